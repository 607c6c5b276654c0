"""Pearson correlations of every pair of a few bounded columns, from one release.

A trial correlation rho is kept if (r - rho)^2 <= z^2 ((1 - rho^2)^2 / n + noise of r): the
sampling variance is that of values with a joint normal law; the noise comes by its gradient.

Assumes: a joint law not far from normal for the sampling part.
Guarantee: coverage within 93-97.5 % there (`tests/analyses/test_variance.py`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np

from models.aggregates.columns import short_name, value_column
from models.aggregates.expected import Expected
from models.aggregates.moments import Floats, Sums, largest, sums, variable
from models.aggregates.request import Labels, Request
from models.aggregates.wording import words
from models.changed import changed
from models.contribution import Monomial, Products
from models.noise_law import NoiseLaw
from models.result import NO_INFORMATION, Z95, Estimate, Result
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.errors import BadInput

MAX_COLUMNS = 8
_TRIALS = np.linspace(-1.0, 1.0, 4001)
_LEAST = 1e-12  # a variance that is not above it is none


class Correlation(Request):
    """Correlations over members with a value of every column; of many rows, their means."""

    by_size: ClassVar[bool] = True
    kind: Literal["correlation"] = "correlation"
    columns: tuple[str, ...]

    def normalised(self, dictionary: Dictionary) -> Self:
        full = tuple(value_column(dictionary, name).name for name in self.columns)
        if not 2 <= len(full) <= MAX_COLUMNS:
            raise BadInput(f"a correlation has 2 to {MAX_COLUMNS} columns", where="columns")
        if len(set(full)) < len(full):
            raise BadInput("a column stands twice", where="columns", instead="name it once")
        return changed(self, columns=full)

    def refs(self, dictionary: Dictionary) -> tuple[ColumnRef, ...]:
        return tuple(map(dictionary.resolve, self.columns))

    def cells(self, dictionary: Dictionary) -> Labels:
        names = [short_name(dictionary, ref) for ref in self.refs(dictionary)]
        return tuple(itertools.combinations(names, 2))

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> Products:
        refs = self.refs(dictionary)
        monomials = tuple(Monomial(places) for places in _places(len(refs)))

        def build(scale: int) -> Products:
            variables = tuple(variable(ref, scale) for ref in refs)
            return Products((), variables, scale, monomials)

        return largest(build, delta_grid)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        shape = self.contribution(dictionary, law.mechanism.delta_grid)
        (found,) = sums(shape, totals, law)
        pairs = itertools.combinations(range(len(self.columns)), 2)
        rows = tuple(
            _correlation(cell, found, _selection(len(self.columns), *pair))
            for cell, pair in zip(self.cells(dictionary), pairs, strict=True)
        )
        notes = (
            "Members without a value of every column are left out.",
            f"About {max(0.0, found.count):,.0f} members have all values (a noisy count).",
            "Intervals take the values' joint law for nearly normal.",
        )
        return Result(
            self.kind,
            ("first", "second"),
            rows,
            unit="",
            floor=-1.0,
            ceiling=1.0,
            notes=notes,
        )

    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        """That of no correlation between values spread evenly over their ranges."""
        if members is None:
            return None
        tau = law.sd_grid / self.contribution(dictionary, law.mechanism.delta_grid).scale
        assumption = f"{members:,} members, unrelated values spread evenly over their ranges"
        noise = Z95 * tau * 3 / members  # over the variance 1/3 of both
        if noise > 1:
            return Expected(math.inf, math.inf, "", assumption)
        return Expected(noise, Z95 / math.sqrt(members), "", assumption)

    def words(self) -> str:
        return f"Estimates the correlation of {words(self.columns)}"

    def method(self) -> str:
        return (
            "Pearson correlations come from noisy sums of products of values clamped to public "
            "bounds, of members with all values; intervals take the joint law for nearly normal "
            "and hold the noise."
        )


def _places(columns: int) -> list[tuple[int, ...]]:
    """Values, squares, and products of pairs."""
    return [
        *((at,) for at in range(columns)),
        *((at, at) for at in range(columns)),
        *itertools.combinations(range(columns), 2),
    ]


def _selection(columns: int, one: int, two: int) -> list[int]:
    """Where count, both sums, both squares and the product of a pair stand."""
    places = _places(columns)
    wanted = [(one,), (two,), (one, one), (two, two), (one, two)]
    return [0, *(1 + places.index(each) for each in wanted)]


def _spreads(six: Floats) -> tuple[float, float, float]:
    """Both variances and the covariance from (n, x, y, xx, yy, xy)."""
    x, y, xx, yy, xy = (float(each) for each in six[1:] / max(float(six[0]), 1.0))
    return xx - x * x, yy - y * y, xy - x * y


def pearson(six: Floats) -> float:
    """The correlation of (n, x, y, xx, yy, xy)."""
    one, two, both = _spreads(six)
    return both / math.sqrt(max(one, _LEAST) * max(two, _LEAST))


def _correlation(cell: tuple[str, ...], found: Sums, at: list[int]) -> Estimate:
    one, two, _ = _spreads(found.values[at])
    noises = [found.noise(lambda v, i=i: _spreads(v[at])[i]) for i in (0, 1)]  # type: ignore[misc]
    known = found.count > max(Z95 * found.tau, 4) and all(
        spread > max(Z95 * noise, _LEAST) for spread, noise in zip((one, two), noises, strict=True)
    )
    if not known:
        return Estimate(cell, 0.0, 1.0, 1.0, -1.0, 1.0, NO_INFORMATION)
    r = pearson(found.values[at])
    noise = found.noise(lambda values: pearson(values[at]))
    members = found.count - 1
    kept = (r - _TRIALS) ** 2 <= Z95**2 * ((1 - _TRIALS**2) ** 2 / members + noise**2)
    inside = _TRIALS[kept] if kept.any() else np.array([np.sign(r)])
    return Estimate(
        cell=cell,
        estimate=r,
        se_sampling=max(1 - r * r, 0.0) / math.sqrt(members),
        se_noise=noise,
        low=float(inside[0]),
        high=float(inside[-1]),
    )
