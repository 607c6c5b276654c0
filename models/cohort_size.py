"""How many members an opened total speaks of, as far as the total itself says so."""

from __future__ import annotations

from collections.abc import Sequence

from models.aggregates.catalogue import contribution
from models.aggregates.requests import Analysis
from models.contribution import (
    BoundedValue,
    CellCounts,
    Contribution,
    Products,
    Rollup,
    Stack,
)
from models.noise_law import NoiseLaw
from privacy.contract.dictionary import Dictionary


def noised_members(
    analysis: Analysis, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw
) -> float | None:
    """The noised number of members behind `totals`, or None where the total does not tell.

    Guarantee: a function of the released total alone, so judging a minimum cohort by it
    costs nothing and leaks nothing.
    """
    return _members(contribution(analysis, dictionary, law.mechanism.delta_grid), totals)


def _members(shape: Contribution, totals: Sequence[int]) -> float | None:
    match shape:
        case CellCounts(max_cells=1, weight=weight):
            return sum(totals) / weight
        case BoundedValue(count_weight=weight) if weight > 0:
            return totals[0] / weight
        case Products(count_weight=weight) if weight > 0:
            return sum(totals[:: shape.width]) / weight
        case Rollup():
            return _members(shape.cells, totals[: shape.cells.length])
        case Stack():
            return _first(shape, totals)
        case _:
            return None


def _first(shape: Stack, totals: Sequence[int]) -> float | None:
    """What the first part that tells anything tells."""
    start = 0
    for part in shape.parts:
        found = _members(part, totals[start : start + part.length])
        if found is not None:
            return found
        start += part.length
    return None
