"""Mean, variance and standard deviation of one bounded column, from one release.

The variance v has the interval of those v with (Q - v n)^2 <= z^2 (n (kurtosis - 1) v^2 + noise),
Q the noisy sum of squares about the mean. The kurtosis comes from the third and fourth powers,
which are released too, at a quarter of the weight: without them every honest interval would
have to assume the worst shape of the data.

Guarantee: coverage within 93-97.5 % for 200 or more members (`tests/analyses/test_variance.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np

from models.aggregates.columns import bounds_of, short_name, value_column
from models.aggregates.expected import Expected
from models.aggregates.mean_interval import Moments, interval
from models.aggregates.moments import Floats, Sums, largest, quadratic, sums, variable
from models.aggregates.request import Labels, Request
from models.aggregates.wording import word
from models.changed import changed
from models.contribution import Monomial, Products
from models.digits import many
from models.noise_law import NoiseLaw
from models.result import NO_INFORMATION, Z95, Estimate, Result
from privacy.contract.dictionary import Column, Dictionary

FIGURES = ("mean", "variance", "standard deviation")
POWERS = (Monomial((0,)), Monomial((0,) * 2), Monomial((0,) * 3, 4), Monomial((0,) * 4, 4))
_FLATTEST = 1.2  # kurtosis: no smaller one is believed


class Variance(Request):
    """Mean, variance and standard deviation over the population; each member counts once."""

    by_size: ClassVar[bool] = True
    kind: Literal["variance"] = "variance"
    column: str

    def normalised(self, dictionary: Dictionary) -> Self:
        return changed(self, column=value_column(dictionary, self.column).name)

    def cells(self, dictionary: Dictionary) -> Labels:
        return tuple((figure,) for figure in FIGURES)

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> Products:
        ref = dictionary.resolve(self.column)
        return largest(lambda s: Products((), (variable(ref, s),), s, POWERS), delta_grid)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        ref = dictionary.resolve(self.column)
        shape = self.contribution(dictionary, law.mechanism.delta_grid)
        (found,) = sums(shape, totals, law)
        rows = spread_rows(found, bounds_of(ref.column))
        notes = (
            f"Members without a value of {short_name(dictionary, ref)} are left out.",
            f"About {max(0.0, found.count):,.0f} members have a value (a noisy count).",
            "The variance is in squared units.",
        )
        return Result(self.kind, ("figure",), rows, unit=ref.column.unit, notes=notes)

    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        """That of the standard deviation, for values spread evenly over the range."""
        return self.expected_cells(dictionary, law, members)[2]

    def expected_cells(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> tuple[Expected | None, ...]:
        if members is None:
            return (None,) * len(FIGURES)
        ref = dictionary.resolve(self.column)
        tau = law.sd_grid / self.contribution(dictionary, law.mechanism.delta_grid).scale
        assumption = f"{many(members, 'member')}, values spread evenly over the declared range"
        return expected_spread(ref.column, tau, members, assumption)

    def words(self) -> str:
        return f"Estimates the mean and the variance of {word(self.column)}"

    def method(self) -> str:
        return (
            "Mean, variance and standard deviation come from noisy sums of the first four "
            "powers of values clamped to public bounds; the variance's interval uses the "
            "estimated kurtosis."
        )


def expected_spread(
    column: Column, tau: float, members: float, assumption: str
) -> tuple[Expected, Expected, Expected]:
    """Of mean, variance and standard deviation of `members` values spread evenly over the range.

    `tau` is the noise of a sum of numbers that were scaled to [-1, 1].
    """
    lower, upper = bounds_of(column)
    half, v = (upper - lower) / 2, 1 / 3

    def told(figure: str, noise: float, sampling: float, unit: float, name: str) -> Expected:
        halves = (noise * unit, sampling * unit)
        return Expected(*halves, name, assumption, figure)

    room = members**2 - (Z95 * tau) ** 2
    factor = Z95 / math.sqrt(room) if room > 0 else math.inf
    mean = told("mean", factor * tau, factor * math.sqrt(v * members), half, column.unit)
    noise = Z95 * tau * math.sqrt(1 + (0.5 - v) ** 2) / members
    sampling = Z95 * v * math.sqrt(0.8 / members)
    if noise > v:
        noise = sampling = math.inf
    squared = f"{column.unit} squared" if column.unit else ""
    variance = told("variance", noise, sampling, half**2, squared)
    root = told("standard deviation", noise, sampling, half / (2 * math.sqrt(v)), column.unit)
    return mean, variance, root


def spread_rows(found: Sums, bounds: tuple[float, float]) -> tuple[Estimate, Estimate, Estimate]:
    """Mean, variance and standard deviation of numbers that were scaled from `bounds`."""
    middle, half = (bounds[0] + bounds[1]) / 2, (bounds[1] - bounds[0]) / 2
    spread = _variance(found)
    return _mean(found, middle, half), _scaled(spread, half**2), _root(spread, half)


def central(values: Floats) -> Floats:
    """Mean, variance, third and fourth central moments from count and sums of powers."""
    m1, m2, m3, m4 = values[1:5] / max(values[0], 1.0)
    return np.array(
        [
            m1,
            m2 - m1**2,
            m3 - 3 * m1 * m2 + 2 * m1**3,
            m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4,
        ]
    )


def _mean(found: Sums, middle: float, half: float) -> Estimate:
    count, total, square = (np.array([each]) for each in found.values[:3])
    shift = float(found.mixing[2, 0])
    moments = Moments(count, total, square - shift * count, found.tau, shift)
    low, high = (float(each[0]) for each in interval(moments))
    mean, variance = (float(each) for each in central(found.values)[:2])
    members = max(found.count, 1.0)
    return Estimate(
        cell=("mean",),
        estimate=middle + half * mean,
        se_sampling=half * math.sqrt(max(variance, 0.0) / members),
        se_noise=half * found.tau * math.hypot(1.0, min(abs(mean), 1.0)) / members,
        low=middle + half * low,
        high=middle + half * high,
        note="" if low > -1 or high < 1 else NO_INFORMATION,
    )


def _variance(found: Sums) -> Estimate:
    """In squared half-widths of the range: between 0 and 1."""
    members = max(found.count, 2.0)
    mean, raw, _, fourth = (float(each) for each in central(found.values))
    noise = found.noise(lambda values: float(central(values)[1]))
    # squaring a noisy mean takes its noise away from the variance
    spread = raw + found.tau**2 * (1 + min(mean * mean, 1.0)) / members**2
    value = spread * members / (members - 1)
    safe = max(value, noise)
    most = max((1 + min(abs(mean), 1.0)) ** 2 / safe, 3.0)
    kurtosis = min(max(fourth / safe**2, _FLATTEST), most)
    relative = (kurtosis - 1) / members
    ends = quadratic(1 - Z95**2 * relative, 2 * value, value**2 - (Z95 * noise) ** 2)
    known = ends is not None and found.count > Z95 * found.tau and ends[1] > 0
    low, high = ends if ends and known else (0.0, 1.0)
    return Estimate(
        cell=("variance",),
        estimate=value,
        se_sampling=max(value, 0.0) * math.sqrt(relative),
        se_noise=noise,
        low=min(max(low, 0.0), 1.0),
        high=min(high, 1.0),
        note="" if known else NO_INFORMATION,
    )


def _scaled(row: Estimate, unit: float) -> Estimate:
    return Estimate(
        row.cell,
        row.estimate * unit,
        row.se_sampling * unit,
        row.se_noise * unit,
        row.low * unit,
        row.high * unit,
        row.note,
    )


def _root(row: Estimate, unit: float) -> Estimate:
    """The standard deviation: 0 where the variance came out below it."""
    value = math.sqrt(max(row.estimate, 0.0))
    slope = 1 / (2 * max(value, math.sqrt(max(row.high, 0.0)) / 2, 1e-9))
    return Estimate(
        cell=("standard deviation",),
        estimate=value * unit,
        se_sampling=row.se_sampling * slope * unit,
        se_noise=row.se_noise * slope * unit,
        low=math.sqrt(row.low) * unit,
        high=math.sqrt(row.high) * unit,
        note=row.note,
    )
