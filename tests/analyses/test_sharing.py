"""A budget divided over questions is never exceeded, to the last unit, and hardly wasted."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.sharing import divide, largest_epsilon, shares_of
from privacy.accounting.conversion import epsilon_of_rho, parse_epsilon, rho_of_epsilon
from privacy.errors import BadInput
from privacy.mechanism import plan_mechanism
from privacy.units import Rho

DELTA = Fraction(1, 10**6)
WEIGHTS = st.lists(st.fractions(min_value="1/50", max_value=50), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    epsilon=st.decimals(min_value="0.5", max_value="50", places=3),
    weights=WEIGHTS,
    memberships=st.integers(1, 3),
)
def test_the_parts_never_cost_more_than_the_whole(
    epsilon: object, weights: list[Fraction], memberships: int
) -> None:
    whole = rho_of_epsilon(parse_epsilon(str(epsilon)), DELTA)
    parts = divide(str(epsilon), weights, DELTA)
    rhos = [rho_of_epsilon(parse_epsilon(part), DELTA) for part in parts]
    assert Rho.total(rhos) <= whole
    charged = [plan_mechanism(rho, 10, 3, memberships).rho for rho in rhos]
    assert Rho.total(charged) <= whole * memberships**2
    total = sum(weights)
    for rho, weight in zip(rhos, weights, strict=True):
        fair = whole.fraction * weight / total
        assert rho.fraction <= fair
        assert rho.fraction >= fair * (1 - Fraction(1, 10**7))


def test_one_question_gets_the_whole_and_equal_ones_the_same() -> None:
    assert divide("2", [Fraction(7)], DELTA) == ("2",)
    assert divide("0.1", [Fraction(1)], DELTA) == ("0.1",)
    first, second = divide("1", [Fraction(1), Fraction(1)], DELTA)
    assert first == second
    assert float(first) > 0.69  # not one half: losses add up in rho


def test_rounding_up_would_overspend() -> None:
    """The mutant that takes the next number of nine digits goes beyond its part."""
    whole = rho_of_epsilon(Fraction(2), DELTA)
    for part in shares_of(whole, [Fraction(1), Fraction(3), Fraction(3, 7)]):
        kept = largest_epsilon(part, DELTA)
        above = Fraction(Decimal(kept) + Decimal(1).scaleb(Decimal(kept).adjusted() - 8))
        assert rho_of_epsilon(Fraction(kept), DELTA) <= part
        assert rho_of_epsilon(above, DELTA) > part


@settings(max_examples=60, deadline=None)
@given(units=st.integers(2**30, 2**62))
def test_the_largest_epsilon_of_a_rho(units: int) -> None:
    found = Fraction(largest_epsilon(Rho(units), DELTA))
    assert rho_of_epsilon(found, DELTA) <= Rho(units)
    assert float(found) >= epsilon_of_rho(Rho(units), DELTA) * (1 - 1e-7)


def test_what_cannot_be_divided_is_refused() -> None:
    for weights in ([], [Fraction(0)], [Fraction(-1)], [Fraction(10**7)]):
        with pytest.raises(BadInput):
            divide("1", weights, DELTA)
    with pytest.raises(BadInput):
        divide("0", [Fraction(1)], DELTA)
    with pytest.raises(BadInput, match="too small"):
        largest_epsilon(Rho.ZERO, DELTA)
