"""Noisy sums of products of members' numbers, and the noise of whatever is computed of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.aggregates.columns import bounds_of
from models.aggregates.expected import scale_of
from models.contribution import BoundedValue, Products, Stack, Summary
from models.noise_law import NoiseLaw
from privacy.contract.dictionary import ColumnRef

Floats = NDArray[np.float64]
Scaled = TypeVar("Scaled", Products, Stack)
Statistic = Callable[[Floats], float]
_STEP = 1e-5


def variable(ref: ColumnRef, scale: int) -> BoundedValue:
    """A bounded column about the middle of its range; of many rows, the member's mean."""
    lower, upper = bounds_of(ref.column)
    return BoundedValue(
        column=ref,
        summary=Summary.MEAN if ref.many else Summary.VALUE,
        centre=(lower + upper) / 2,
        half_width=(upper - lower) / 2,
        scale=scale,
        count_weight=0,
        with_square=False,
    )


def largest(build: Callable[[int], Scaled], delta_grid: int) -> Scaled:
    """The contribution of the largest scale whose norm stays within `delta_grid`.

    Guarantee: norm_squared <= delta_grid**2. Raises BadInput where not even scale 1 fits.
    """
    low, high = 0, delta_grid
    while low < high:
        middle = (low + high + 1) // 2
        if build(middle).norm_squared <= delta_grid**2:
            low = middle
        else:
            high = middle - 1
    return build(scale_of(low))


@dataclass(frozen=True, eq=False)
class Sums:
    """The count and the sums of monomials of one cell, of numbers scaled to [-1, 1].

    `values` is [count, sums of monomials …], freed of centring and divisors; `mixing` says how
    the independent noises, each of standard deviation `tau`, enter them.
    """

    values: Floats
    mixing: Floats
    tau: float

    @property
    def count(self) -> float:
        return float(self.values[0])

    def noise(self, statistic: Statistic) -> float:
        """The standard deviation that the noise gives a smooth statistic, by its gradient."""
        step = _STEP * max(abs(self.count), 1.0)
        gradient = np.array(
            [
                (statistic(self.values + move) - statistic(self.values - move)) / (2 * step)
                for move in step * np.eye(len(self.values))
            ]
        )
        return self.tau * float(np.linalg.norm(gradient @ self.mixing))


def sums(shape: Products, totals: Sequence[int], law: NoiseLaw) -> tuple[Sums, ...]:
    """The noisy sums of every cell of a contribution whose count weighs as much as a number."""
    scale = shape.scale
    mixing = np.eye(shape.width)
    for at, each in enumerate(shape.monomials, start=1):
        mixing[at, at] = each.divisor
        mixing[at, 0] = each.centre(scale) * each.divisor / scale
    cells = np.array(totals, dtype=np.float64).reshape(shape.cells, shape.width) / scale
    tau = law.sd_grid / scale
    return tuple(Sums(mixing @ cell, mixing, tau) for cell in cells)


def quadratic(square: float, linear: float, constant: float) -> tuple[float, float] | None:
    """Where square * v^2 - linear * v + constant <= 0; None unless that is one interval."""
    if square <= 0:
        return None
    root = math.sqrt(max(linear * linear - 4 * square * constant, 0.0))
    return (linear - root) / (2 * square), (linear + root) / (2 * square)
