"""Mean and sum of one bounded numeric column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np

from models.aggregates.columns import bounds_of, short_name, value_column
from models.aggregates.expected import Expected, scale_of
from models.aggregates.mean_interval import Moments, interval
from models.aggregates.request import Labels, Request
from models.aggregates.wording import word
from models.changed import changed
from models.contribution import BoundedValue, Summary
from models.noise_law import NoiseLaw
from models.result import NO_INFORMATION, Z95, Estimate, Result, normal_estimate
from privacy.contract.dictionary import ColumnRef, Dictionary


class Mean(Request):
    """The mean over the population the members are drawn from; each member counts once."""

    by_size: ClassVar[bool] = True
    kind: Literal["mean"] = "mean"
    column: str

    def normalised(self, dictionary: Dictionary) -> Self:
        return changed(self, column=value_column(dictionary, self.column).name)

    def cells(self, dictionary: Dictionary) -> Labels:
        return ((),)

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> BoundedValue:
        return mean_contribution(dictionary.resolve(self.column), delta_grid)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        return estimate_mean(dictionary.resolve(self.column), dictionary, totals, law)

    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        ref = dictionary.resolve(self.column)
        return None if members is None else expected_mean(ref, law, members)

    def words(self) -> str:
        return f"Estimates the mean of {word(self.column)}"

    def method(self) -> str:
        return (
            "The mean is a ratio of noisy totals of values clamped to public bounds; its "
            "interval is Fieller's set, with sampling error and noise."
        )


class Sum(Request):
    """The total over the cohort's members, of all their rows."""

    kind: Literal["sum"] = "sum"
    column: str

    def normalised(self, dictionary: Dictionary) -> Self:
        return changed(self, column=value_column(dictionary, self.column).name)

    def cells(self, dictionary: Dictionary) -> Labels:
        return ((),)

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> BoundedValue:
        return sum_contribution(dictionary.resolve(self.column), delta_grid)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        return estimate_sum(dictionary.resolve(self.column), dictionary, totals, law)

    def expected(self, dictionary: Dictionary, law: NoiseLaw, members: int | None) -> Expected:
        return expected_sum(dictionary.resolve(self.column), law)

    def words(self) -> str:
        return f"Adds up {word(self.column)}"

    def method(self) -> str:
        return (
            "Values were clamped to public bounds and added up; the noise is the sum's only error."
        )


def mean_contribution(ref: ColumnRef, delta_grid: int) -> BoundedValue:
    """Count, centred value and centred square, at one scale: the largest that fits.

    In a many-row table a member gives the mean of their rows.
    Guarantee: norm_squared <= delta_grid**2 (about (1.5 scale)**2). Raises BadInput where
    not even scale 1 fits.
    """
    lower, upper = bounds_of(ref.column)
    scale = math.isqrt(4 * delta_grid**2 // 9) + 1
    while scale > 0 and 2 * scale**2 + (scale - scale // 2) ** 2 > delta_grid**2:
        scale -= 1
    return BoundedValue(
        column=ref,
        summary=Summary.MEAN if ref.many else Summary.VALUE,
        centre=(lower + upper) / 2,
        half_width=(upper - lower) / 2,
        scale=scale_of(scale),
        count_weight=scale,
        with_square=True,
    )


def sum_contribution(ref: ColumnRef, delta_grid: int) -> BoundedValue:
    """The member's value, or in a many-row table the sum of their rows, about zero.

    Guarantee: norm_squared <= delta_grid**2. Raises BadInput where not even scale 1 fits.
    """
    lower, upper = bounds_of(ref.column)
    return BoundedValue(
        column=ref,
        summary=Summary.SUM if ref.many else Summary.VALUE,
        centre=0.0,
        half_width=max(abs(lower), abs(upper)),
        scale=scale_of(delta_grid),
        count_weight=0,
        with_square=False,
    )


def estimate_sum(
    ref: ColumnRef, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw
) -> Result:
    """The cohort's total, unbiased; its only error is the noise."""
    shape = sum_contribution(ref, law.mechanism.delta_grid)
    (total,) = totals
    unit = shape.half_width * shape.rows_per_step / shape.scale
    row = normal_estimate((), total * unit, law.sd_grid * unit)
    return Result("sum", (), (row,), unit=ref.column.unit, notes=(_missing(dictionary, ref),))


def estimate_mean(
    ref: ColumnRef, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw
) -> Result:
    """The population's mean: the ratio of two noisy totals, with its interval.

    The standard errors are those of the delta method at the ratio; the interval does not use
    them (see `models.aggregates.mean_interval`) and stays within the declared range.
    """
    shape = mean_contribution(ref, law.mechanism.delta_grid)
    moments = mean_moments(shape, totals, law)
    row = _mean_row(shape, moments)
    seen = f"About {max(0.0, float(moments.count[0])):,.0f} members have a value (a noisy count)."
    lower, upper = bounds_of(ref.column)
    notes = (_missing(dictionary, ref), seen)
    return Result("mean", (), (row,), unit=ref.column.unit, floor=lower, ceiling=upper, notes=notes)


def mean_moments(shape: BoundedValue, totals: Sequence[int], law: NoiseLaw) -> Moments:
    """The noisy totals of one run in units of one member."""
    count, total, square = (np.array([each / shape.scale]) for each in totals)
    half = (shape.scale // 2) / shape.scale
    return Moments(count, total, square, tau=law.sd_grid / shape.scale, half=half)


def _mean_row(shape: BoundedValue, moments: Moments) -> Estimate:
    ratio = moments.ratio()
    near = np.clip(ratio, -1.0, 1.0)
    members = max(float(moments.count[0]), 1.0)
    spread = max(float(moments.spread(near)[0]), 0.0) * members / max(members - 1, 1.0)
    low, high = (float(each[0]) for each in interval(moments))
    known = low > -1 or high < 1
    return Estimate(
        cell=(),
        estimate=shape.centre + shape.half_width * float(ratio[0]),
        se_sampling=shape.half_width * math.sqrt(spread) / members,
        se_noise=shape.half_width * moments.tau * math.hypot(1, float(near[0])) / members,
        low=shape.centre + shape.half_width * low,
        high=shape.centre + shape.half_width * high,
        note="" if known else NO_INFORMATION,
    )


def _missing(dictionary: Dictionary, ref: ColumnRef) -> str:
    return f"Members without a value of {short_name(dictionary, ref)} are left out."


def expected_sum(ref: ColumnRef, law: NoiseLaw) -> Expected:
    """The error of a sum: known before asking."""
    shape = sum_contribution(ref, law.mechanism.delta_grid)
    unit = shape.half_width * shape.rows_per_step / shape.scale
    half = Z95 * law.sd_grid * unit
    return Expected(half_noise=half, half_sampling=0.0, unit=ref.column.unit)


def expected_mean(ref: ColumnRef, law: NoiseLaw, members: int) -> Expected:
    """The error of a mean over `members` members whose values spread evenly over the range.

    Infinite where the noise on the count is so large that Fieller's set is usually unbounded.
    """
    shape = mean_contribution(ref, law.mechanism.delta_grid)
    tau = law.sd_grid / shape.scale
    assumption = f"{members:,} members, values spread evenly over the declared range"
    room = members**2 - (Z95 * tau) ** 2
    if room <= 0:
        return Expected(math.inf, math.inf, ref.column.unit, assumption)
    # Fieller's half-width at the centre of the range is z sd(D) / sqrt(n^2 - z^2 tau^2)
    factor = Z95 * shape.half_width / math.sqrt(room)
    return Expected(factor * tau, factor * math.sqrt(members / 3), ref.column.unit, assumption)
