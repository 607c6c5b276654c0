"""What a fit says of single organisations, and when it says nothing.

An organisation that is lost during a run is missing from what the rounds after it opened, so its
own coefficient rests on nothing, or on the noise. Who was lost is public.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.opening import Opening
from models.regression.design import INTERCEPT
from models.regression.reading import nothing
from models.regression.syntax import Formula, Site
from models.result import Estimate


@dataclass(frozen=True)
class ByOrganisation:
    """The formula and `organisations` of a fit, and those `lost` where its figures come from.

    With `strata` each has a baseline hazard of its own.
    """

    formula: Formula
    organisations: tuple[str, ...]
    lost: tuple[str, ...]
    strata: bool = False

    def told(self, rows: Sequence[Estimate]) -> tuple[Estimate, ...]:
        """The rows, without what can only be said of an organisation that is missing."""
        labels = frozenset(row.cell[1] for row in rows)
        return tuple(nothing(row.cell) if self._hidden(row.cell, labels) else row for row in rows)

    @property
    def note(self) -> str:
        return (
            f"Lost during the run: {', '.join(self.lost)}. Nothing is said of them by themselves; "
            "what is said is of the organisations that stayed."
        )

    def _hidden(self, cell: tuple[str, ...], labels: frozenset[str]) -> bool:
        figure, label = cell[0], cell[1]
        if any(_named(name) in label for name in self.lost):
            return True
        if self.strata and any(label.startswith(f"{name} (") for name in self.lost):
            return True
        first = self.organisations[0]
        compared = self.formula.by_site and _named(first) not in labels
        return compared and first in self.lost and self._compares(figure, label)

    def _compares(self, figure: str, label: str) -> bool:
        """Is it by comparison with the first organisation?"""
        constant = label == INTERCEPT or " | " in label or figure == "baseline hazard"
        products = any(len(term) > 1 and Site() in term for term in self.formula.terms)
        return figure != "fact" and (products or constant or "organisation[" in label)


def _named(name: str) -> str:
    return f"organisation[{name}]"


def lost_during(kinds: Sequence[str], opened: Sequence[Opening]) -> tuple[str, ...]:
    """Who is missing from the rounds that the coefficients rest on.

    Newton's method takes them from the last round; the others from every round of scores.
    """
    last = len(opened) - 1
    rests = [
        each.lost
        for at, (kind, each) in enumerate(zip(kinds, opened, strict=False))
        if kind == "scores" or (kind == "newton" and at == last)
    ]
    return tuple(dict.fromkeys(name for lost in rests for name in lost))
