"""The catalogue: for each analysis what a member adds, and what is made of the noisy total.

Guarantee: `contribution(...).norm_squared <= delta_grid**2`, so the vectors of one
population with and without any one member differ by at most `delta_grid` in L2 norm.
Assumes: an analysis that `models.aggregates.requests.normalise` returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from models.aggregates import counts, values
from models.aggregates.expected import Expected
from models.aggregates.requests import Analysis, Count, Histogram, Mean, Sum
from models.contribution import Contribution
from models.noise_law import NoiseLaw
from models.result import Result
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.errors import BadInput


def columns(analysis: Analysis, dictionary: Dictionary) -> tuple[ColumnRef, ...]:
    """The columns an analysis reads, in its order. Raises BadInput for an unknown one."""
    match analysis:
        case Count():
            return tuple(map(dictionary.resolve, analysis.by))
        case Histogram() | Mean() | Sum():
            return (dictionary.resolve(analysis.column),)
        case _:
            assert_never(analysis)


def cells(analysis: Analysis, dictionary: Dictionary) -> tuple[tuple[str, ...], ...]:
    """The labels of every number in the answer, in its order; () for a nameless one."""
    match analysis:
        case Count() | Histogram():
            return counts.cell_labels(columns(analysis, dictionary))
        case Mean() | Sum():
            return ((),)
        case _:
            assert_never(analysis)


def contribution(analysis: Analysis, dictionary: Dictionary, delta_grid: int) -> Contribution:
    """What one member adds, scaled to use `delta_grid` as fully as integers allow.

    Raises BadInput where `delta_grid` is too small to carry anything.
    """
    refs = columns(analysis, dictionary)
    match analysis:
        case Count() | Histogram():
            return counts.contribution(refs, delta_grid)
        case Mean():
            return values.mean_contribution(refs[0], delta_grid)
        case Sum():
            return values.sum_contribution(refs[0], delta_grid)
        case _:
            assert_never(analysis)


def estimate(
    analysis: Analysis, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw
) -> Result:
    """Estimates with intervals from the opened total (grid units, one integer per component).

    Raises BadInput where the total does not have the contribution's length.
    """
    refs = columns(analysis, dictionary)
    length = contribution(analysis, dictionary, law.mechanism.delta_grid).length
    if len(totals) != length:
        raise BadInput(f"the total has {len(totals)} numbers where {length} belong")
    exact = [int(each) for each in totals]
    match analysis:
        case Count() | Histogram():
            return counts.estimate(analysis.kind, refs, dictionary, exact, law)
        case Mean():
            return values.estimate_mean(refs[0], dictionary, exact, law)
        case Sum():
            return values.estimate_sum(refs[0], dictionary, exact, law)
        case _:
            assert_never(analysis)


def expected_error(
    analysis: Analysis, dictionary: Dictionary, law: NoiseLaw, members: int | None
) -> Expected | None:
    """The expected half-width per cell, from public facts; None where it needs `members`.

    `members` is the declared or assumed size of the cohort (never counted).
    """
    refs = columns(analysis, dictionary)
    match analysis:
        case Count() | Histogram():
            return counts.expected(refs, law)
        case Mean():
            return None if members is None else values.expected_mean(refs[0], law, members)
        case Sum():
            return values.expected_sum(refs[0], law)
        case _:
            assert_never(analysis)
