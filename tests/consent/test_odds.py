"""Odds for people: never less than what a best test between neighbours reaches."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from privacy.accounting.conversion import rho_of_epsilon
from privacy.errors import BadInput
from privacy.odds import odds, odds_of_rho
from privacy.units import Rho

DELTA = Fraction(1, 10**6)
chances = st.floats(1e-4, 0.999)
losses = st.floats(0.001, 20)


def _best_test(rho: float, baseline: float) -> float:
    """The highest chance that a test of `baseline` false alarms finds a member of a Gaussian
    release of that rho: the distance of the two means is the square root of 2·rho."""
    return float(norm.cdf(norm.ppf(baseline) + math.sqrt(2 * rho)))


@given(losses, chances)
def test_the_best_attack_on_a_gaussian_release_stays_below(epsilon: float, baseline: float) -> None:
    rho = rho_of_epsilon(Fraction(epsilon), DELTA)
    found = odds_of_rho(rho, DELTA, baseline)
    assert _best_test(rho.units / 2**60, baseline) <= found.most


def test_a_bound_without_its_loss_is_beaten_by_that_attack() -> None:
    """The mutant: odds for half the loss are not a bound for the whole."""
    rho = rho_of_epsilon(Fraction(3), DELTA)
    quarter = Rho(rho.units // 36)
    assert _best_test(rho.units / 2**60, 0.1) > odds_of_rho(quarter, DELTA, 0.1).most


@given(losses, chances, st.floats(1.0, 3.0))
def test_more_loss_or_a_higher_baseline_never_lowers_it(
    epsilon: float, baseline: float, factor: float
) -> None:
    found = odds(epsilon, 1e-6, baseline).most
    assert baseline <= found <= 1
    assert odds(epsilon * factor, 1e-6, baseline).most >= found
    higher = min(0.999, baseline * factor)
    assert odds(epsilon, 1e-6, higher).most >= found * (1 - 1e-12)


@pytest.mark.parametrize(
    ("epsilon", "baseline", "sentence"),
    [
        (1.0, 0.1, "at most 28 in 100 instead of 10 in 100"),  # e · 10 = 27.18
        (1.0, 0.9, "at most 97 in 100 instead of 90 in 100"),  # 1 - 0.1 / e = 0.9632
        (0.0, 0.1, "at most 10 in 100 instead of 10 in 100"),
        (0.001, 0.1, "at most 11 in 100 instead of 10 in 100"),
        (3.0, 0.0001, "at most 21 in 10,000 instead of 1 in 10,000"),
        (5000.0, 0.1, "at most 100 in 100 instead of 10 in 100"),
    ],
)
def test_odds_in_words(epsilon: float, baseline: float, sentence: str) -> None:
    assert odds(epsilon, 0.0, baseline).sentence == f"if you take part, {sentence}"


@given(losses, chances)
def test_words_never_make_the_difference_smaller(epsilon: float, baseline: float) -> None:
    found = odds(epsilon, 1e-6, baseline)
    numbers = [int(n.replace(",", "")) for n in re.findall(r"[\d,]+\d|\d", found.sentence)]
    most, of, base, again = numbers
    assert of == again
    assert most / of >= found.most * (1 - 1e-9)
    assert base / of <= found.baseline * (1 + 1e-9)


def test_two_memberships_cost_four_times_rho() -> None:
    rho = rho_of_epsilon(Fraction(3), DELTA)
    twice = odds_of_rho(rho, DELTA, 0.1, memberships=2)
    assert twice.epsilon == pytest.approx(6.53, abs=0.005)
    assert twice.memberships == 2
    assert odds_of_rho(Rho.ZERO, DELTA, 0.1).most == 0.1


@pytest.mark.parametrize(
    ("epsilon", "delta", "baseline"),
    [(-1, 0, 0.1), (math.nan, 0, 0.1), (1, 1, 0.1), (1, 0, 0), (1, 0, 1), (1, 0, math.nan)],
)
def test_what_is_no_chance_is_refused(epsilon: float, delta: float, baseline: float) -> None:
    with pytest.raises(BadInput):
        odds(epsilon, delta, baseline)


@pytest.mark.parametrize("memberships", [0, 101])
def test_memberships_have_bounds(memberships: int) -> None:
    with pytest.raises(BadInput):
        odds_of_rho(Rho(1), DELTA, 0.1, memberships)
