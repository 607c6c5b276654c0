"""Replies leave at public slots, so that how long a question took says nothing finer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Slot:
    """One packet's arrival; `wait` returns at the next multiple of the slot after it.

    A slot of 0 seconds is none: for measuring what the slots cost.
    """

    arrived: float
    seconds: float
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]

    def wait(self) -> None:
        if self.seconds <= 0:
            return
        elapsed = self.monotonic() - self.arrived
        slots = int(elapsed // self.seconds) + 1
        self.sleep(max(0.0, slots * self.seconds - elapsed))


@dataclass(frozen=True)
class Slots:
    """Slots of a fixed public length."""

    seconds: float
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]

    def arrive(self) -> Slot:
        return Slot(self.monotonic(), self.seconds, self.monotonic, self.sleep)
