"""How many members an opened total speaks of, as far as the total itself says so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
from models.result import Z95
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
    found = _told_at(analysis, dictionary, number, opening)
    return None if found is None else found.members


def size_told(
    analysis: Analysis, dictionary: Dictionary, opening: Opening
) -> tuple[float, float] | None:
    """The noised number of members behind one round, and how many there are at least (97.5 %).

    Whoever has a value missing is not counted by every analysis, and of several that speak of
    one cohort the one that is surely of most members is the nearest to it.
    """
    found = _told_at(analysis, dictionary, 0, opening)
    if found is None:
        return None
    return found.members, found.members - Z95 * found.noise * opening.law.sd_grid


@dataclass(frozen=True)
class _Told:
    """Members, and their noise in standard deviations of one number of the total."""

    members: float
    noise: float


def _told_at(
    analysis: Analysis, dictionary: Dictionary, number: int, opening: Opening
) -> _Told | None:
    delta_grid = opening.law.mechanism.delta_grid
    shape = analysis.contribution_at(dictionary, delta_grid, number, opening.state)
    return _members(shape, opening.totals)


def _members(shape: Contribution, totals: Sequence[int]) -> _Told | None:
    match shape:
        case CellCounts(max_cells=1, weight=weight):
            return _added(totals, weight)
        case BoundedValue(count_weight=weight) if weight > 0:
            return _added(totals[:1], weight)
        case Products(count_weight=weight) if weight > 0:
            return _added(totals[:: shape.width], weight)
        case Rollup():
            return _members(shape.cells, totals[: shape.cells.length])
        case Stack():
            return _first(shape, totals)
        case Streamed():
            members = shape.members_in(totals)
            return None if members is None else _Told(members, 0.0)
        case _:
            return None


def _added(counts: Sequence[int], weight: int) -> _Told:
    return _Told(sum(counts) / weight, math.sqrt(len(counts)) / weight)


def _first(shape: Stack, totals: Sequence[int]) -> _Told | None:
    """What the first part that tells anything tells."""
    start = 0
    for part in shape.parts:
        found = _members(part, totals[start : start + part.length])
        if found is not None:
            return found
        start += part.length
    return None
