"""What the opened sum promises: enough noise with lost nodes, no more leaked than rho, no bits."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from privacy.accounting.conversion import DEFAULT_DELTA, epsilon_of_rho, rho_of_epsilon
from privacy.discrete_gaussian import noise_share
from privacy.mechanism import GaussianSum, plan_mechanism
from privacy.units import Rho
from tests.support.distributions import ALPHA, dkw_bound, fits, gaussian_cdf
from tests.support.seeded import seeded_entropy

TRIALS = 200_000
RHO = rho_of_epsilon(Fraction(1), DEFAULT_DELTA)
Totals = NDArray[np.int64]


def opened_noise(event: GaussianSum, survivors: int, seed: str) -> Totals:
    """The noise of `TRIALS` openings to which `survivors` nodes added their share."""
    entropy = seeded_entropy(seed)
    total = np.zeros(TRIALS, dtype=np.int64)
    for _ in range(survivors):
        total += noise_share(entropy, event.log2_sigma, TRIALS)
    return total


@pytest.mark.parametrize(("nodes", "margin"), [(3, 1), (10, 4), (50, 17)])
def test_lost_nodes_leave_the_noise_that_was_promised(nodes: int, margin: int) -> None:
    event = plan_mechanism(RHO, nodes, margin)
    for survivors in (nodes - margin, nodes):
        noise = opened_noise(event, survivors, f"{nodes} {survivors}")
        sigma = math.sqrt(event.noise_variance(survivors))
        assert fits(noise, gaussian_cdf(sigma))
        for wrong in (0.7, 0.9, 1.1, 1.3):
            assert not fits(noise, gaussian_cdf(wrong * sigma))


@pytest.mark.parametrize(("nodes", "margin"), [(3, 1), (10, 4), (50, 17)])
def test_without_margin_lost_nodes_break_the_promise(nodes: int, margin: int) -> None:
    """The noise a member is owed has at least delta_grid / sqrt(2 rho) as its sigma."""
    with_margin = plan_mechanism(RHO, nodes, margin)
    mutant = plan_mechanism(RHO, nodes, 0)
    for event, kept in ((with_margin, True), (mutant, False)):
        noise = opened_noise(event, nodes - margin, f"margin {nodes} {margin}")
        owed = event.delta_grid / math.sqrt(2 * float(RHO.fraction))
        assert enough_noise(noise, owed) is kept


def enough_noise(noise: Totals, owed: float) -> bool:
    """False when P(|noise| <= owed sigma) is surely above the Gaussian's 0.683."""
    inside = float((np.abs(noise) <= owed).mean())
    return inside <= math.erf(math.sqrt(0.5)) + dkw_bound(noise.size)


def test_shares_of_different_nodes_are_independent() -> None:
    event = plan_mechanism(RHO, 2, 0)
    entropy = seeded_entropy("pair")
    one, two = (noise_share(entropy, event.log2_sigma, TRIALS) for _ in range(2))
    sigma = math.sqrt(2) * 2**event.log2_sigma
    assert fits(one + two, gaussian_cdf(sigma))
    assert fits(one - two, gaussian_cdf(sigma))
    assert not fits(one + one, gaussian_cdf(sigma)), "a key used twice went unnoticed"


HALF = Rho.round_up(Fraction(1, 2))
AUDIT_DELTA = Fraction(1, 100)


def privacy_excess(sensitivity: int, event: GaussianSum, seed: str) -> float:
    """A lower confidence bound on P(E | with) - e^eps P(E | without); above delta is a breach.

    E is fixed beforehand: the total passes the point where an exact Gaussian of this rho has
    likelihood ratio e^eps. Clopper-Pearson bounds, each wrong with chance 1e-9.
    """
    epsilon = epsilon_of_rho(event.rho, AUDIT_DELTA)
    sigma = math.sqrt(event.noise_variance(event.nodes - event.margin))
    mu = event.delta_grid / sigma
    threshold = (epsilon / mu + mu / 2) * sigma
    survivors = event.nodes - event.margin
    without = int((opened_noise(event, survivors, seed + "/0") > threshold).sum())
    added = int((opened_noise(event, survivors, seed + "/1") + sensitivity > threshold).sum())
    p_added = stats.beta.ppf(ALPHA, added, TRIALS - added + 1)
    p_without = stats.beta.ppf(1 - ALPHA, without + 1, TRIALS - without)
    return float(p_added - math.exp(epsilon) * p_without)


@pytest.mark.parametrize(("nodes", "margin"), [(3, 1), (10, 4)])
def test_no_event_is_more_telling_than_the_charge_allows(nodes: int, margin: int) -> None:
    event = plan_mechanism(HALF, nodes, margin)
    seed = f"audit {nodes}"
    assert privacy_excess(event.delta_grid, event, seed) <= AUDIT_DELTA
    assert privacy_excess(2 * event.delta_grid, event, seed) > AUDIT_DELTA, (
        "twice the sensitivity went unnoticed"
    )


def test_the_audit_can_see_the_honest_mechanism_at_all() -> None:
    """The bound is not idle: at 1.4 times the sensitivity (twice the rho) it already bites."""
    event = plan_mechanism(HALF, 10, 4)
    assert privacy_excess(event.delta_grid * 7 // 5, event, "audit power") > AUDIT_DELTA


def finest_bits(released: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Released values near zero with bits that the sum of 1 and anything cannot have."""
    return (np.abs(released) < 0.5) & (released * 2.0**53 % 1 != 0)


def test_bits_of_the_noise_identify_nobody() -> None:
    """The attack wins against floating-point noise, and finds nothing in ours.

    A float near zero has finer bits than any float 1 + noise near zero can have, so one such
    release says for certain that the member is absent.
    """
    generator = np.random.default_rng(1)
    noise = generator.laplace(size=TRIALS)
    assert finest_bits(noise).mean() > 0.2
    assert finest_bits(1 + noise).sum() == 0

    event = plan_mechanism(Rho.round_up(Fraction(1)), 3, 1)
    ours = opened_noise(event, 3, "bits")
    assert ours.dtype == np.int64
    absent, present = ours / event.delta_grid, (ours + event.delta_grid) / event.delta_grid
    grid = np.rint(present * event.delta_grid).astype(np.int64)
    assert np.array_equal(grid, ours + event.delta_grid), "a release is a whole number of steps"
    assert np.array_equal(np.rint(absent * event.delta_grid).astype(np.int64), ours)
    for modulus in (2, 8, 64):
        for total in (ours, ours + event.delta_grid):
            counts = np.bincount(total % modulus, minlength=modulus)
            assert stats.chisquare(counts).pvalue > ALPHA, "residues tell the neighbours apart"
