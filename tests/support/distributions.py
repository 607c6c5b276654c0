"""Reference distributions and bounds for tests that draw noise. Every error rate is stated."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

ALPHA = 1e-9
"""Chance that a right sampler fails one check; a seeded run never flakes at all."""

Cdf = Callable[[NDArray[np.int64]], NDArray[np.float64]]


def dkw_bound(n: int) -> float:
    """Dvoretzky, Kiefer and Wolfowitz: sup|F_n - F| stays below this but with chance ALPHA."""
    return math.sqrt(math.log(2 / ALPHA) / (2 * n))


def distance(draws: NDArray[np.int64], cdf: Cdf) -> float:
    """sup |F_n - F| for a distribution on the integers."""
    values, counts = np.unique(draws, return_counts=True)
    after = np.cumsum(counts) / draws.size
    return max(
        float(np.abs(after - cdf(values)).max()),
        float(np.abs(after - counts / draws.size - cdf(values - 1)).max()),
    )


def fits(draws: NDArray[np.int64], cdf: Cdf) -> bool:
    return distance(draws, cdf) <= dkw_bound(draws.size)


def gaussian_cdf(sigma: float) -> Cdf:
    """The discrete Gaussian's distribution function.

    Above sigma 1000 the sum up to y is the normal integral up to y + 1/2 to within 10^-7
    (Euler-Maclaurin); below, the exact sum is taken.
    """
    if sigma > 1000:
        return lambda y: ndtr((y + 0.5) / sigma)
    reach = math.ceil(12 * sigma)
    cumulative = np.cumsum(gaussian_pmf(np.arange(-reach, reach + 1), sigma))
    return lambda y: cumulative[np.clip(y + reach, 0, 2 * reach)]


def gaussian_pmf(y: NDArray[np.int64], sigma: float) -> NDArray[np.float64]:
    """The discrete Gaussian's probabilities."""
    reach = np.arange(-math.ceil(14 * sigma), math.ceil(14 * sigma) + 1)
    total = np.exp(-(reach**2) / (2 * sigma**2)).sum()
    return np.exp(-(y.astype(np.float64) ** 2) / (2 * sigma**2)) / total
