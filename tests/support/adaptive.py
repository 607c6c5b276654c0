"""An analysis in rounds for the tests: halve an interval towards a column's median.

Small on purpose, and every number of it can be followed by hand. It belongs to no catalogue; the
fixture `halving` adds it for one test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import pytest

from models.aggregates import requests
from models.aggregates.columns import value_column
from models.aggregates.expected import Expected
from models.aggregates.request import Labels, Request
from models.changed import changed
from models.contribution import CellCounts, Contribution
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.result import Result, normal_estimate
from privacy.contract.canonical import canonical_bytes, parse_canonical
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.errors import BadInput

PARTS = 16


class Halving(Request):
    """`parts` are the weights of the rounds. The state is the interval, in sixteenths."""

    kind: Literal["halving"] = "halving"
    column: str
    parts: tuple[int, ...] = (1, 1, 1, 1, 1)

    def normalised(self, dictionary: Dictionary) -> Self:
        return changed(self, column=value_column(dictionary, self.column).name)

    def cells(self, dictionary: Dictionary) -> Labels:
        return ((),)

    def shares(self, dictionary: Dictionary) -> tuple[int, ...]:
        return self.parts

    def length_at(self, dictionary: Dictionary, delta_grid: int, number: int) -> int:
        return 2

    def state(self, dictionary: Dictionary, opened: Sequence[Opening]) -> bytes:
        """The interval in which the median was found so far."""
        if not opened:
            return canonical_bytes([0, PARTS])
        low, high = interval(opened[-1].state)
        below, above = opened[-1].totals
        middle = (low + high) // 2
        kept = [low, middle] if below > above else [middle, high]
        return canonical_bytes(kept if kept[0] < kept[1] else [low, high])

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> Contribution:
        return self.contribution_at(dictionary, delta_grid, 0, self.state(dictionary, ()))

    def contribution_at(
        self, dictionary: Dictionary, delta_grid: int, number: int, state: bytes
    ) -> Contribution:
        low, high = interval(state)
        ref = dictionary.resolve(self.column)
        lower, upper = ref.column.bounds or (0.0, 1.0)
        cut = lower + (upper - lower) * ((low + high) // 2 or 1) / PARTS
        column = ref.column.model_copy(
            update={"bins": (repr(lower), repr(cut), repr(upper)), "levels": ()}
        )
        return CellCounts((ColumnRef(ref.table, _fresh(column)),), delta_grid, 1)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        raise NotImplementedError

    def conclude(self, dictionary: Dictionary, opened: Sequence[Opening]) -> Result:
        low, high = interval(self.state(dictionary, opened))
        lower, upper = dictionary.resolve(self.column).column.bounds or (0.0, 1.0)
        middle = lower + (upper - lower) * (low + high) / 2 / PARTS
        return Result("halving", (), (normal_estimate((), middle, 1.0),), unit="")

    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        return None

    def words(self) -> str:
        return f"Halves towards the median of {self.column}"


def _fresh(column: Any) -> Any:
    return type(column)(**column.model_dump())


def interval(state: bytes) -> tuple[int, int]:
    """Read a state; raises BadInput for anything else."""
    value = parse_canonical(state, max_bytes=64)
    match value:
        case [int(low), int(high)] if 0 <= low < high <= PARTS:
            return low, high
        case _:
            raise BadInput("not an interval")


def add_halving(patch: pytest.MonkeyPatch) -> None:
    """Put the analysis into the catalogue for one test."""
    known = {**requests._BY_KIND, "halving": Halving}
    patch.setattr(requests, "_BY_KIND", known)
