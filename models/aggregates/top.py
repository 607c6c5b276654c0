"""The most frequent levels of a column, with what the noise leaves open of their ranks.

Guarantee: with probability 95 %, all the members' intervals hold at once, for whichever levels
come out on top (Bonferroni over all levels); so do the ranks of any one level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal, Self

import numpy as np

from models.aggregates import counts
from models.aggregates.columns import capped, cell_column, short_name
from models.aggregates.expected import Expected
from models.aggregates.request import Labels, Request
from models.aggregates.wording import word
from models.changed import changed
from models.contribution import CellCounts
from models.noise_law import NoiseLaw
from models.result import Estimate, Result
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.errors import BadInput

_ERROR = 0.05


class Top(Request):
    """The `k` levels that most members have; each member counts with their first `cap` rows."""

    kind: Literal["top"] = "top"
    column: str
    k: int = 10
    cap: int = 5

    def normalised(self, dictionary: Dictionary) -> Self:
        ref = cell_column(dictionary, self.column)
        levels = len(ref.column.cell_labels)
        if not 1 <= self.k <= levels:
            raise BadInput(
                f"k = {self.k} where {ref.name!r} has {levels} levels",
                where="k",
                instead=f"write k from 1 to {levels}",
            )
        if self.cap < 1:
            raise BadInput("cap is at least 1", where="cap")
        return changed(self, column=ref.name, cap=min(self.cap, ref.table.max_rows_per_member))

    def ref(self, dictionary: Dictionary) -> ColumnRef:
        return capped(dictionary.resolve(self.column), self.cap)

    def cells(self, dictionary: Dictionary) -> Labels:
        return counts.cell_labels((self.ref(dictionary),))

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> CellCounts:
        return counts.contribution((self.ref(dictionary),), delta_grid)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        ref = self.ref(dictionary)
        weight = self.contribution(dictionary, law.mechanism.delta_grid).weight
        tau = law.sd_grid / weight
        numbers = np.array(totals) / weight
        order = np.argsort(-numbers, kind="stable")[: self.k]
        labels = ref.column.cell_labels
        name = short_name(dictionary, ref)
        half = _point(len(labels)) * tau
        apart = _point(max(len(labels) - 1, 1)) * tau * math.sqrt(2)
        rows = []
        for place, at in enumerate(order, start=1):
            number, label = float(numbers[at]), labels[at]
            cell = ("members", label)
            rows.append(Estimate(cell, number, 0.0, tau, number - half, number + half))
            best = 1 + int((numbers - number > apart).sum())
            worst = len(labels) - int((number - numbers > apart).sum())
            rank = ("rank", label)
            rows.append(Estimate(rank, float(place), 0.0, 0.0, float(best), float(worst)))
        notes = [
            f"Intervals hold at once for all {len(labels)} levels, so for those on top too.",
            f"Members with {name} missing are in no cell.",
        ]
        if ref.many:
            notes.append(f"Each member counts with their first {self.cap} rows, once per level.")
        return Result(
            self.kind, ("figure", name), tuple(rows), unit="", floor=0.0, notes=tuple(notes)
        )

    def expected(self, dictionary: Dictionary, law: NoiseLaw, members: int | None) -> Expected:
        weight = self.contribution(dictionary, law.mechanism.delta_grid).weight
        half = _point(len(self.cells(dictionary))) * law.sd_grid / weight
        return Expected(half_noise=half, half_sampling=0.0, unit="members")

    def words(self) -> str:
        return f"Finds the {self.k} most frequent of {word(self.column)}"

    def method(self) -> str:
        return (
            "Levels were ranked by noisy numbers of members. Intervals of numbers hold at once "
            "for all levels, and so the ranks of a level, by Bonferroni's correction."
        )


def _point(comparisons: int) -> float:
    """The two-sided normal point for so many comparisons at once."""
    return NormalDist().inv_cdf(1 - _ERROR / (2 * comparisons))
