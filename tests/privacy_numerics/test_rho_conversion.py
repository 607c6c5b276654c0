"""epsilon(rho) against a high-precision minimisation, against dp-accounting, and against itself."""

from __future__ import annotations

import math
import time
from fractions import Fraction

import dp_accounting
import mpmath
import numpy as np
import pytest
from dp_accounting import rdp
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.accounting import conversion
from privacy.accounting.conversion import (
    DEFAULT_DELTA,
    MAX_BUDGET,
    epsilon_of_rho,
    parse_budget,
    parse_epsilon,
    rho_of_epsilon,
)
from privacy.errors import BadInput
from privacy.units import Rho

deltas = st.integers(min_value=1, max_value=12).map(lambda k: Fraction(1, 10**k))
epsilons = st.one_of(
    st.fractions(min_value=Fraction(1, 10**6), max_value=50, max_denominator=10**9),
    st.integers(min_value=1, max_value=10**15).map(Fraction),
)
rhos = st.builds(
    lambda mantissa, shift: Rho(mantissa << shift),
    st.integers(min_value=1, max_value=2**30),
    st.integers(min_value=0, max_value=80),
)


def minimised(rho: Fraction, delta: Fraction) -> mpmath.mpf:
    """The formula's minimum over alpha by golden-section search in log(alpha - 1), 80 digits."""
    with mpmath.workdps(80):
        exact_rho = mpmath.mpf(rho.numerator) / rho.denominator
        exact_delta = mpmath.mpf(delta.numerator) / delta.denominator

        def formula(log_x: mpmath.mpf) -> mpmath.mpf:
            x = mpmath.exp(log_x)
            alpha = 1 + x
            return (
                exact_rho * alpha
                + (mpmath.log(1 / (alpha * exact_delta)) + x * mpmath.log(x / alpha)) / x
            )

        low, high = mpmath.mpf(-45), mpmath.mpf(45)
        golden = (mpmath.sqrt(5) - 1) / 2
        left, right = high - golden * (high - low), low + golden * (high - low)
        f_left, f_right = formula(left), formula(right)
        for _ in range(150):
            if f_left < f_right:
                high, right, f_right = right, left, f_left
                left = high - golden * (high - low)
                f_left = formula(left)
            else:
                low, left, f_left = left, right, f_right
                right = low + golden * (high - low)
                f_right = formula(right)
        return formula((low + high) / 2)


@pytest.mark.parametrize("delta", [Fraction(1, 10**6), Fraction(1, 10**3), Fraction(1, 10**12)])
@pytest.mark.parametrize("epsilon", ["1e-6", "1e-3", "0.1", "1", "3", "40", "1e6", "1e15", "1e24"])
def test_never_below_the_exact_minimum_and_within_1e_9_of_it(epsilon: str, delta: Fraction) -> None:
    rho = rho_of_epsilon(parse_budget(epsilon), delta)
    exact = minimised(rho.fraction, delta)
    ours = epsilon_of_rho(rho, delta)
    assert exact <= ours
    assert ours - exact <= 1e-15 * exact


@pytest.mark.parametrize("delta", [Fraction(1, 10**6), Fraction(1, 2), Fraction(1, 10**200)])
@pytest.mark.parametrize("log2_units", [0, 20, 40, 60, 80, 112])
def test_the_arithmetic_is_far_better_than_the_slack(log2_units: int, delta: Fraction) -> None:
    rho = Rho(2**log2_units + 1)
    with conversion._digits():
        value, _ = conversion._minimum(
            conversion._decimal(rho.fraction), conversion._log_inverse(delta)
        )
        slack = conversion._SLACK * (1 + abs(value))
    with mpmath.workdps(80):
        exact = minimised(rho.fraction, delta)
        assert abs(mpmath.mpf(str(value)) - exact) < mpmath.mpf(str(slack)) / 1000


def test_a_float_evaluation_without_outward_rounding_does_understate() -> None:
    """The mutant the outward rounding is there for: plain floats fall below the exact value."""

    def naive(rho: Rho, delta: Fraction) -> float:
        log_inverse = math.log(1 / float(delta))
        x = conversion._rough_minimiser(float(rho.fraction), log_inverse)
        tail = (log_inverse - math.log1p(x)) / x - math.log1p(1 / x)
        return float(rho.fraction) * (1 + x) + tail

    samples = [Rho(k * 10**15 + 7) for k in range(1, 40)]
    exact = [minimised(rho.fraction, DEFAULT_DELTA) for rho in samples]
    assert any(naive(r, DEFAULT_DELTA) < e for r, e in zip(samples, exact, strict=True))
    assert all(epsilon_of_rho(r, DEFAULT_DELTA) >= e for r, e in zip(samples, exact, strict=True))


@pytest.mark.parametrize("rho", ["0.001", "0.02436", "0.5", "4", "60"])
def test_agrees_with_dp_accounting(rho: str) -> None:
    exact = Rho.round_down(Fraction(rho))
    ours = epsilon_of_rho(exact, DEFAULT_DELTA)
    orders = 1 + np.exp(np.linspace(math.log(1e-2), math.log(1e5), 20_000))
    accountant = rdp.RdpAccountant(orders=orders)
    accountant.compose(dp_accounting.ZCDpEvent(float(exact.fraction)))
    theirs = accountant.get_epsilon(float(DEFAULT_DELTA))
    assert ours <= theirs * (1 + 1e-12)
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_the_figure_everybody_quotes() -> None:
    rho = rho_of_epsilon(Fraction(1), DEFAULT_DELTA)
    assert float(rho.fraction) == pytest.approx(0.02436, abs=5e-6)
    three = rho_of_epsilon(Fraction(3), DEFAULT_DELTA)
    assert epsilon_of_rho(three * 4, DEFAULT_DELTA) == pytest.approx(6.53, abs=0.01)


def test_no_loss_is_epsilon_zero() -> None:
    assert epsilon_of_rho(Rho.ZERO, DEFAULT_DELTA) == 0.0


@given(epsilons, deltas)
@settings(deadline=None)
def test_the_inverse_is_the_last_unit_below(epsilon: Fraction, delta: Fraction) -> None:
    rho = rho_of_epsilon(epsilon, delta)
    assert epsilon_of_rho(rho, delta) <= epsilon < epsilon_of_rho(rho + Rho(1), delta)


@given(rhos, st.integers(min_value=1, max_value=2**70), deltas)
@settings(deadline=None)
def test_more_rho_is_never_less_epsilon(rho: Rho, more: int, delta: Fraction) -> None:
    assert epsilon_of_rho(rho, delta) <= epsilon_of_rho(rho + Rho(more), delta)
    assert epsilon_of_rho(rho, delta) <= epsilon_of_rho(rho + Rho(1), delta)


@given(rhos, deltas)
@settings(deadline=None)
def test_a_smaller_delta_is_never_less_epsilon(rho: Rho, delta: Fraction) -> None:
    assert epsilon_of_rho(rho, delta) <= epsilon_of_rho(rho, delta / 10)


@given(epsilons, epsilons, deltas)
@settings(deadline=None)
def test_the_inverse_is_monotone(a: Fraction, b: Fraction, delta: Fraction) -> None:
    low, high = sorted((a, b))
    assert rho_of_epsilon(low, delta) <= rho_of_epsilon(high, delta)


def test_both_directions_are_fast() -> None:
    """Well under 2 ms each on an idle machine; the bound leaves room for a busy one."""
    seconds = []
    for k in range(40):
        epsilon = Fraction(10**15, 7 ** (k % 20)) / (k + 3)
        start = time.perf_counter()
        epsilon_of_rho(rho_of_epsilon(epsilon, DEFAULT_DELTA), DEFAULT_DELTA)
        seconds.append(time.perf_counter() - start)
    assert sorted(seconds)[len(seconds) // 2] < 0.01


@pytest.mark.parametrize("text", ["1", "0.1", "1e-6", "1E+15", "000.5", "1000000000000000"])
def test_epsilon_is_read_exactly(text: str) -> None:
    assert parse_epsilon(text) == Fraction(text)


NOT_EPSILON = [
    *["", "0", "0.0", "-1", "+1", "nan", "inf", "1e16", "1000000000000001", "1/3"],
    *[" 1", "1\n", "1_000", "٣", ".5", "1.", "0x1", "1e999", "1e-999"],
]


@pytest.mark.parametrize("text", NOT_EPSILON)
def test_anything_else_is_not_an_epsilon(text: str) -> None:
    with pytest.raises(BadInput):
        parse_epsilon(text)


@pytest.mark.parametrize("text", ["0", "1.1e24", "nan", "10000000000000000000000001"])
def test_a_budget_has_its_own_limit(text: str) -> None:
    assert parse_budget("1e24") == MAX_BUDGET
    with pytest.raises(BadInput):
        parse_budget(text)


@pytest.mark.parametrize("epsilon", [Fraction(0), Fraction(-1), MAX_BUDGET + 1, math.nan, 0.5])
def test_epsilon_out_of_range_is_refused(epsilon: Fraction) -> None:
    with pytest.raises(BadInput):
        rho_of_epsilon(epsilon, DEFAULT_DELTA)


@pytest.mark.parametrize(
    "delta", [Fraction(0), Fraction(1), Fraction(3, 5), Fraction(-1, 2), math.nan, 1e-6]
)
def test_delta_out_of_range_is_refused(delta: Fraction) -> None:
    with pytest.raises(BadInput):
        epsilon_of_rho(Rho(1), delta)
    with pytest.raises(BadInput):
        rho_of_epsilon(Fraction(1), delta)
