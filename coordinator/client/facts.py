"""What is known of a study besides its questions: budget, columns and where both come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from coordinator.client.delegating import Delegated
from coordinator.client.proposing import Step
from coordinator.client.question import Backend
from privacy.contract import study as contract
from privacy.contract.dictionary import Dictionary
from privacy.contract.study_life import Act

_BAR = 30


@dataclass(frozen=True)
class Loss:
    """An amount of privacy loss: exact rho as text, and epsilon at the study's delta."""

    rho: str
    epsilon: float


@dataclass(frozen=True)
class Budget:
    """The study's allowance as its most spent node sees it. The nodes decide; this reports.

    `yours` is what is left of your own part, None where a researcher has none. `left` is the
    smallest of all limits.
    """

    allowance: Loss
    committed: Loss
    reserved: Loss
    left: Loss
    yours: Loss | None = None

    def __str__(self) -> str:
        whole = self.allowance.epsilon
        share = min(max(1 - self.left.epsilon / whole, 0.0), 1.0) if whole else 1.0
        bar = "█" * round(share * _BAR)
        return (
            f"[{bar:░<{_BAR}}] epsilon {self.left.epsilon:.4g} left of {whole:.4g}, "
            f"{self.committed.epsilon:.4g} spent"
            + (f"; {self.yours.epsilon:.4g} of your part" if self.yours else "")
        )

    __repr__ = __str__


@dataclass(frozen=True)
class ColumnInfo:
    """One declared column and what can be asked of it."""

    name: str
    table: str
    type: str
    cells: tuple[str, ...]
    lower: str | None
    upper: str | None
    unit: str
    label: str

    def __str__(self) -> str:
        bounds = f" {self.lower} to {self.upper}" if self.lower and self.upper else ""
        cells = f" in {', '.join(self.cells)}" if self.cells else ""
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.table}.{self.name}: {self.type}{bounds}{unit}{cells}"

    __repr__ = __str__


class Source(Protocol):
    """Where a study's facts come from and who answers its questions."""

    @property
    def label(self) -> str: ...

    @property
    def backend(self) -> Backend: ...

    def facts(self) -> contract.Study: ...

    def dictionary(self) -> Dictionary: ...

    def budget(self) -> Budget: ...

    def approvals(self) -> dict[str, str]: ...

    def delegate(self, epsilon: str, hours: float, to: str | None) -> Delegated: ...

    def delegated(self, under: Delegated) -> Source: ...

    def steps(self) -> list[Step]: ...

    def take(self, act: Act, note: str, releases: tuple[str, ...] = ()) -> str: ...

    def organisations(self) -> tuple[str, ...]: ...
