"""How far a verification is: which file is read, and which share of all bytes was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[str, float], None]


def silent(_file: str, _share: float) -> None:
    return None


@dataclass
class Meter:
    """Tells which file is read and which share of all bytes was, each time a hundredth more."""

    tell: Progress
    total: int
    done: int = 0
    told: float = -1.0

    def count(self, file: str, size: int) -> None:
        self.done += size
        share = min(1.0, self.done / max(1, self.total))
        if share - self.told >= 0.01:
            self.told = share
            self.tell(file, share)
