"""The sampler's output is the discrete Gaussian, and draws are independent.

Each check fails a right sampler with chance 1e-9 and must refuse the wrong scales beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import opendp.prelude as dp
import pytest
from numpy.typing import NDArray
from scipy import stats

from privacy.discrete_gaussian import SHARE_BLOCK, noise_share, sample
from privacy.errors import BadInput
from tests.support.distributions import (
    ALPHA,
    distance,
    dkw_bound,
    fits,
    gaussian_cdf,
    gaussian_pmf,
)
from tests.support.seeded import seeded_entropy, seeded_stream

DRAWS = 400_000
Draws = NDArray[np.int64]


@pytest.mark.parametrize("log2_sigma", [3, 4, 5, 6, 9, 14, 20])
def test_distribution_and_the_wrong_scales_are_refused(log2_sigma: int) -> None:
    draws = sample(seeded_stream(f"scale {log2_sigma}"), log2_sigma, DRAWS)
    sigma = 2**log2_sigma
    assert fits(draws, gaussian_cdf(sigma))
    for wrong in (0.7, 0.9, 1.1, 1.3):
        assert not fits(draws, gaussian_cdf(wrong * sigma)), f"scale x{wrong} went unnoticed"


@pytest.mark.parametrize("log2_sigma", [3, 4, 5, 6])
def test_chi_square_against_the_exact_probabilities(log2_sigma: int) -> None:
    n, sigma = 2_000_000, 2**log2_sigma
    draws = sample(seeded_stream(f"chi-square {log2_sigma}"), log2_sigma, n)
    assert chi_square(draws, sigma) > ALPHA
    for wrong in (0.99, 1.01):
        assert chi_square(draws, wrong * sigma) < ALPHA
    heavy_zero = np.where((draws == 1) & (np.arange(n) % 2 == 0), 0, draws)
    assert chi_square(heavy_zero, sigma) < ALPHA, "a zero met too often went unnoticed"


def chi_square(draws: Draws, sigma: float) -> float:
    """p-value over the values expected at least 20 times, the rest pooled."""
    reach = math.ceil(5 * sigma)
    values = np.arange(-reach, reach + 1)
    expected = gaussian_pmf(values, sigma) * draws.size
    pooled = np.clip(draws, -reach - 1, reach + 1) + reach + 1
    observed = np.bincount(pooled, minlength=2 * reach + 3)[1:-1]
    often = expected >= 20
    expected, observed = expected[often], observed[often]
    expected = np.append(expected, draws.size - expected.sum())
    observed = np.append(observed, draws.size - observed.sum())
    statistic = ((observed - expected) ** 2 / expected).sum()
    return float(stats.chi2.sf(statistic, expected.size - 1))


@pytest.mark.parametrize("log2_sigma", [4, 20])
@pytest.mark.parametrize("lag", [1, 2, 1024, 2**15])
def test_draws_are_independent(log2_sigma: int, lag: int) -> None:
    draws = sample(seeded_stream(f"independence {lag}"), log2_sigma, DRAWS)
    pairs = draws[: draws.size // (2 * lag) * 2 * lag].reshape(-1, 2, lag)
    assert independent(pairs, log2_sigma)
    repeated = pairs.copy()
    again = np.random.default_rng(lag).random(pairs[:, 0].shape) < 1 / 8
    repeated[:, 1][again] = pairs[:, 0][again]
    assert not independent(repeated, log2_sigma), "every 8th draw repeated went unnoticed"


def independent(pairs: Draws, log2_sigma: int) -> bool:
    """Sums and differences of disjoint pairs have sigma * sqrt(2), to 1e-100 also if discrete."""
    wide = gaussian_cdf(math.sqrt(2) * 2**log2_sigma)
    sums, differences = pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]
    return fits(sums.ravel(), wide) and fits(differences.ravel(), wide)


def test_agrees_with_an_independent_exact_sampler() -> None:
    """OpenDP's exact sampler as oracle: both samples lie within their bounds of each other."""
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="i64")
    for log2_sigma in (4, 20):
        oracle = dp.m.make_gaussian(*space, scale=float(2**log2_sigma))
        theirs = np.array(oracle([0] * 20_000), dtype=np.int64)
        ours = sample(seeded_stream("oracle"), log2_sigma, DRAWS)
        bound = dkw_bound(theirs.size) + dkw_bound(ours.size)
        assert distance(theirs, empirical_cdf(ours)) <= bound
        assert distance(theirs, empirical_cdf(ours * 7 // 5)) > bound


def empirical_cdf(draws: Draws) -> Callable[[Draws], NDArray[np.float64]]:
    ordered = np.sort(draws)
    return lambda y: np.searchsorted(ordered, y, side="right") / ordered.size


def test_signs_and_low_bits_are_fair() -> None:
    draws = sample(seeded_stream("bits"), 20, DRAWS)
    for shift in (0, 1, 5, 10, 14):
        ones = int(((draws >> shift) & 1).sum())
        assert stats.binomtest(ones, DRAWS).pvalue > ALPHA
    assert stats.binomtest(int((draws < 0).sum()), DRAWS).pvalue > ALPHA


@pytest.mark.parametrize("log2_sigma", [4, 20])
def test_far_tails_are_as_heavy_as_they_should_be_and_even(log2_sigma: int) -> None:
    """Beyond 4.4 sigma lie 11 draws in a million, all from one cell of the sampler's table."""
    n = 10_000_000
    draws = sample(seeded_stream(f"tails {log2_sigma}"), log2_sigma, n)
    limit = math.ceil(4.4 * 2**log2_sigma)
    far = draws[np.abs(draws) >= limit]
    chance = 2 * gaussian_cdf(2**log2_sigma)(np.array([-limit]))[0]
    assert stats.binomtest(far.size, n, chance).pvalue > ALPHA
    assert stats.binomtest(int((far < 0).sum()), far.size).pvalue > ALPHA
    assert stats.binomtest(far.size * 2, n, chance).pvalue < ALPHA


@pytest.mark.parametrize("length", [1, 7, 1023, 1024, 1025, 40_000])
def test_a_share_has_its_length_and_its_own_key(length: int) -> None:
    entropy = seeded_entropy(length)
    first, second = noise_share(entropy, 10, length), noise_share(entropy, 10, length)
    assert first.shape == (length,)
    assert first.dtype == np.int64
    assert length == 1 or not np.array_equal(first, second)


def test_short_shares_cost_the_same_work_whatever_their_length() -> None:
    asked: list[int] = []

    def counting(n: int) -> bytes:
        asked.append(n)
        return bytes(n)

    whole = noise_share(counting, 20, SHARE_BLOCK)
    for length in (1, 2, 100, 1023):
        assert np.array_equal(noise_share(counting, 20, length), whole[:length])
    assert asked == [32] * 5


@pytest.mark.parametrize("length", [0, -1, 1.5, math.nan, True, None])
def test_a_share_without_a_length_is_refused(length: int) -> None:
    with pytest.raises(BadInput):
        noise_share(seeded_entropy(0), 20, length)


@pytest.mark.parametrize("log2_sigma", [2, 21, -1, math.nan, 4.0, True, None])
def test_other_sigmas_are_refused(log2_sigma: int) -> None:
    with pytest.raises(BadInput):
        sample(seeded_stream(0), log2_sigma, 10)
    with pytest.raises(BadInput):
        noise_share(seeded_entropy(0), log2_sigma, 10)


def test_no_draws_are_no_draws() -> None:
    assert sample(seeded_stream(0), 20, 0).shape == (0,)
    with pytest.raises(BadInput):
        sample(seeded_stream(0), 20, -1)
