from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.errors import BadInput
from privacy.units import UNITS_PER_RHO, Rho

rhos = st.integers(min_value=0, max_value=2**120).map(Rho)


@given(st.fractions(min_value=0, max_value=10**15))
def test_rounding_brackets_the_value_within_one_unit(value: Fraction) -> None:
    down, up = Rho.round_down(value), Rho.round_up(value)
    assert down.fraction <= value <= up.fraction
    assert up.units - down.units == (value * UNITS_PER_RHO % 1 != 0)


@given(rhos, rhos, rhos)
def test_sums_are_exact_in_any_order(a: Rho, b: Rho, c: Rho) -> None:
    assert a + b + c == c + (b + a) == Rho.total([b, c, a])
    assert (a + b) - b == a
    assert (a + b).fraction == a.fraction + b.fraction
    assert a * 4 == a + a + a + a


@given(rhos)
def test_text_round_trips(rho: Rho) -> None:
    assert Rho.parse(rho.text) == rho


@given(rhos, rhos)
def test_order_is_that_of_the_fractions(a: Rho, b: Rho) -> None:
    assert (a < b) == (a.fraction < b.fraction)


def test_subtraction_below_zero_is_refused() -> None:
    assert Rho(3) - Rho(3) == Rho.ZERO
    with pytest.raises(BadInput):
        Rho(2) - Rho(3)


@pytest.mark.parametrize("units", [-1, 1.0, math.nan, math.inf, True, "1", None])
def test_only_whole_non_negative_units_exist(units: object) -> None:
    with pytest.raises(BadInput):
        Rho(units)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["-1/4", "1/3", "2/4", "0.25", "1", "", "nan", f"1/{2**61}"])
def test_other_spellings_and_finer_values_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        Rho.parse(text)


@pytest.mark.parametrize("times", [-1, 0.5, math.nan, True])
def test_rho_is_multiplied_by_whole_numbers_only(times: object) -> None:
    with pytest.raises(BadInput):
        Rho(4) * times  # type: ignore[operator]
