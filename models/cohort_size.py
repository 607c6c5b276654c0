"""How many members an opened total speaks of, as far as the total itself says so."""

from __future__ import annotations

from collections.abc import Sequence

from models.aggregates.requests import Analysis
from models.contribution import (
    BoundedValue,
    CellCounts,
    Contribution,
    Products,
    Rollup,
    Stack,
)
from models.opening import Opening
from models.streamed import Streamed
from privacy.contract.dictionary import Dictionary


def noised_members(
    analysis: Analysis, dictionary: Dictionary, opened: Sequence[Opening]
) -> float | None:
    """The noised number of members behind a run, from the first round that tells; else None.

    Guarantee: a function of the released totals alone, so judging a minimum cohort by it
    costs nothing and leaks nothing.
    """
    told = (members_at(analysis, dictionary, at, each) for at, each in enumerate(opened))
    return next((found for found in told if found is not None), None)


def members_at(
    analysis: Analysis, dictionary: Dictionary, number: int, opening: Opening
) -> float | None:
    """The noised number of members behind one round, or None where its total does not tell."""
    delta_grid = opening.law.mechanism.delta_grid
    shape = analysis.contribution_at(dictionary, delta_grid, number, opening.state)
    return _members(shape, opening.totals)


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
        case Streamed():
            return shape.members_in(totals)
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
