"""Several releases of one analysis, made into one answer with less noise than any of them.

Each release opened c * Y + noise, where Y is the sum over the members and c, a whole number,
how finely the members' vectors were scaled: the more epsilon, the finer. Totals are brought to
the finest scale among them and averaged with weights of inverse variance,

    weight_k = 1 / v_k,   v_k = (c / c_k)^2 * variance_k,   combined variance = 1 / sum(1 / v_k),

in exact rationals. The analysis' own estimate then makes figures and intervals of the average.

Guarantee: a function of the releases alone, so anybody who holds them repeats it, and it costs
nothing beyond what they were charged.
Assumes: the releases speak of the same members; `disagreement_of` says what hinders that.
A member's rounding to a grid, at most half a unit in each, is all that averages do not share.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import repeat
from typing import assert_never

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
from models.noise_law import CombinedLaw
from models.opening import Opening
from models.result import Result
from models.streamed import Streamed
from privacy.contract.dictionary import Dictionary
from privacy.contract.plan import Plan
from privacy.errors import BadInput, Code, Refused

MOST_RELEASES = 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class _Scale:
    """A number of a total is unit * Y - centre * members, Y the same for every scaling.

    Members are told by the number `back` places before it, which is `count` for each of them;
    with a centre of 0 nothing need be known of them.
    """

    unit: int
    centre: int = 0
    count: int = 0
    back: int = 0


def check_topping_up(analysis: Analysis, dictionary: Dictionary, tops_up: tuple[str, ...]) -> None:
    """Raises BadInput for what names no releases, Refused(NOT_COMBINABLE) for an analysis that
    asks again in the light of what it heard."""
    if not tops_up:
        return
    if not all(map(_DIGEST.fullmatch, tops_up)) or len(set(tops_up)) != len(tops_up):
        raise BadInput("tops_up lists different releases by their digests", where="tops_up")
    if len(tops_up) >= MOST_RELEASES:
        raise Refused(Code.NOT_COMBINABLE, what="number of releases", most=MOST_RELEASES)
    if len(analysis.shares(dictionary)) != 1:
        raise Refused(Code.NOT_COMBINABLE, what="an analysis in several rounds")


def disagreement_of(first: Plan, other: Plan) -> str | None:
    """In what two plans differ so that their totals cannot be combined; None if in nothing."""
    if first.analysis != other.analysis:
        return "analysis"
    return of_others(first, other)


def of_others(first: Plan, other: Plan) -> str | None:
    """In what two plans differ so that they speak of other members; None if in nothing."""
    agreements = (
        (first.study_digest == other.study_digest, "study"),
        (first.cohort == other.cohort, "cohort"),
        (first.dictionary == other.dictionary, "dictionary"),
        (first.participants == other.participants, "nodes"),
        (first.epoch == other.epoch, "data epoch"),
        (first.linkage == other.linkage, "linkage"),
    )
    return next((what for holds, what in agreements if not holds), None)


def check_survivors(participants: Sequence[str], survivors: Sequence[str]) -> None:
    """Raises Refused(NOT_COMBINABLE) where a node's members are missing from a total."""
    if set(participants) != set(survivors):
        raise Refused(Code.NOT_COMBINABLE, what="nodes: one was lost in the middle")


def combine(analysis: Analysis, dictionary: Dictionary, opened: Sequence[Opening]) -> Opening:
    """The average of `opened`, whose order does not matter, as if it had been opened at once.

    Raises BadInput for no opening, for totals of another length, and for a contribution whose
    scale cannot be told; Refused(NOT_COMBINABLE) for an analysis in rounds.
    """
    if not opened:
        raise BadInput("there is nothing to combine")
    if len(analysis.shares(dictionary)) != 1:
        raise Refused(Code.NOT_COMBINABLE, what="an analysis in several rounds")
    finest = max(opened, key=_fineness)
    scales = [_scales_of(analysis, dictionary, each) for each in opened]
    target = _scales_of(analysis, dictionary, finest)
    variances = tuple(each.law.variance_grid for each in opened)
    sources = [each.totals for each in opened]
    totals, most = [], Fraction(0)
    for at, wanted in enumerate(target):
        each = tuple(scale[at] for scale in scales)
        average = _averaging(wanted.unit, tuple(scale.unit for scale in each), variances)
        totals.append(average.of(sources, at, each, wanted))
        most = max(most, average.variance)
    law = CombinedLaw(finest.law.mechanism, finest.law.survivors, math.ceil(most))
    return Opening(tuple(totals), law)


def combined_result(
    analysis: Analysis, dictionary: Dictionary, opened: Sequence[Opening]
) -> Result:
    """The answer that all of `opened` give together; of one alone, its own."""
    if len(opened) == 1:
        return analysis.conclude(dictionary, opened)
    return analysis.conclude(dictionary, [combine(analysis, dictionary, opened)])


def _fineness(opening: Opening) -> tuple[Fraction, int]:
    """Ascending with the scale; among equals the one of least noise."""
    mechanism = opening.law.mechanism
    return Fraction(mechanism.delta_grid), -opening.law.variance_grid


def _scales_of(analysis: Analysis, dictionary: Dictionary, opening: Opening) -> tuple[_Scale, ...]:
    shape = contribution(analysis, dictionary, opening.law.mechanism.delta_grid)
    if len(opening.totals) != shape.length:
        raise BadInput(f"a total has {len(opening.totals)} numbers where {shape.length} belong")
    return tuple(_scales(shape))


def _scales(shape: Contribution) -> Iterator[_Scale]:
    match shape:
        case CellCounts():
            yield from repeat(_Scale(shape.weight), shape.length)
        case BoundedValue():
            yield from _value_scales(shape)
        case Products():
            yield from _product_scales(shape)
        case Rollup():
            yield from repeat(_Scale(shape.cells.weight), shape.length)
        case Stack():
            for part in shape.parts:
                yield from _scales(part)
        case Streamed():
            raise Refused(Code.NOT_COMBINABLE, what="an analysis of members' gradients")
        case _:
            assert_never(shape)


def _value_scales(shape: BoundedValue) -> Iterator[_Scale]:
    if shape.count_weight:
        yield _Scale(shape.count_weight)
    yield _Scale(shape.scale)
    if shape.with_square:
        yield _centred(shape.scale, shape.scale // 2, shape.count_weight, back=2)


def _product_scales(shape: Products) -> Iterator[_Scale]:
    cell = [_Scale(shape.count_weight)] if shape.count_weight else []
    for each in shape.monomials:
        centre = each.centre(shape.scale)
        cell.append(_centred(shape.scale, centre, shape.count_weight, len(cell)))
    for _ in range(shape.cells):
        yield from cell


def _centred(unit: int, centre: int, count: int, back: int) -> _Scale:
    if centre and not count:
        raise BadInput("a total without a count cannot be brought to another scale")
    return _Scale(unit, centre, count, back)


@dataclass(frozen=True)
class _Averaging:
    """Bring a number of every total to one scale and average: parts[k] / whole times the k-th."""

    parts: tuple[int, ...]
    whole: int
    ratios: tuple[Fraction, ...]  # wanted scale over that of each
    variance: Fraction  # of the average, wanted scale

    def of(
        self, totals: Sequence[Sequence[int]], at: int, scales: Sequence[_Scale], wanted: _Scale
    ) -> int:
        exact = Fraction(
            sum(part * each[at] for part, each in zip(self.parts, totals, strict=True)), self.whole
        )
        if wanted.centre:
            shifts = (
                part * Fraction(each[at - wanted.back], scale.count) * (scale.centre - back)
                for part, each, scale, back in zip(
                    self.parts, totals, scales, self._back(wanted), strict=True
                )
            )
            exact += sum(shifts, Fraction(0)) / self.whole
        return (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)

    def _back(self, wanted: _Scale) -> Iterator[Fraction]:
        """The wanted centre on the scale of each."""
        return (wanted.centre / ratio for ratio in self.ratios)


@lru_cache(maxsize=1024)
def _averaging(wanted: int, units: tuple[int, ...], variances: tuple[int, ...]) -> _Averaging:
    ratios = tuple(Fraction(wanted, unit) for unit in units)
    precisions = [
        1 / (ratio**2 * variance) for ratio, variance in zip(ratios, variances, strict=True)
    ]
    precision = sum(precisions, Fraction(0))
    weights = [each * ratio / precision for each, ratio in zip(precisions, ratios, strict=True)]
    whole = math.lcm(*(each.denominator for each in weights))
    parts = tuple(int(each * whole) for each in weights)
    return _Averaging(parts, whole, ratios, 1 / precision)
