"""The catalogue as functions: for each analysis what a member adds, and what is made of the total.

Guarantee: `contribution(...).norm_squared <= delta_grid**2`, so the vectors of one
population with and without any one member differ by at most `delta_grid` in L2 norm.
Assumes: an analysis that `models.aggregates.requests.normalise` returned.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.aggregates.expected import Expected
from models.aggregates.request import Labels
from models.aggregates.requests import Analysis
from models.contribution import Contribution
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.result import Result
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput


def cells(analysis: Analysis, dictionary: Dictionary) -> Labels:
    """The labels of every cell, in the order of the answer; ((),) for a nameless one."""
    return analysis.cells(dictionary)


def contribution(analysis: Analysis, dictionary: Dictionary, delta_grid: int) -> Contribution:
    """What one member adds, scaled to use `delta_grid` as fully as integers allow.

    Raises BadInput where `delta_grid` is too small to carry anything.
    """
    return analysis.contribution(dictionary, delta_grid)


def estimate(
    analysis: Analysis, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw
) -> Result:
    """Estimates with intervals from the opened total (grid units, one integer per component).

    Raises BadInput where the total does not have the contribution's length.
    """
    length = contribution(analysis, dictionary, law.mechanism.delta_grid).length
    if len(totals) != length:
        raise BadInput(f"the total has {len(totals)} numbers where {length} belong")
    return analysis.estimate(dictionary, [int(each) for each in totals], law)


def conclude(analysis: Analysis, dictionary: Dictionary, opened: Sequence[Opening]) -> Result:
    """Estimates with intervals from the openings of every round.

    Raises BadInput where a round or a number of its total is missing or too many.
    """
    if len(opened) != len(analysis.shares(dictionary)):
        raise BadInput(f"{len(opened)} rounds were opened of {len(analysis.shares(dictionary))}")
    for number, each in enumerate(opened):
        check_length(analysis, dictionary, number, each)
    return analysis.conclude(dictionary, opened)


def check_length(analysis: Analysis, dictionary: Dictionary, number: int, opening: Opening) -> None:
    """Raise BadInput unless the opened total is as long as its round's contribution."""
    length = analysis.length_at(dictionary, opening.law.mechanism.delta_grid, number)
    if len(opening.totals) != length:
        raise BadInput(f"the total has {len(opening.totals)} numbers where {length} belong")


def expected_error(
    analysis: Analysis, dictionary: Dictionary, law: NoiseLaw, members: int | None
) -> Expected | None:
    """The expected half-width per cell, from public facts; None where it needs `members`.

    `law` is that of the run's last round.
    `members` is the declared or assumed size of the cohort (never counted).
    """
    return analysis.expected(dictionary, law, members)
