from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.accounting.conversion import DEFAULT_DELTA, rho_of_epsilon
from privacy.accounting.filter import Loss, admit, remaining
from privacy.errors import Code, Refused
from privacy.mechanism import plan_mechanism
from privacy.units import Rho

ONE = rho_of_epsilon(Fraction(1), DEFAULT_DELTA)


def test_a_budget_of_epsilon_one_is_exactly_one_question_of_epsilon_one() -> None:
    cost = plan_mechanism(ONE, nodes=3, margin=1).rho
    admit(ONE, Rho.ZERO, cost)
    with pytest.raises(Refused):
        admit(ONE, cost, cost)
    admit(ONE, Rho.ZERO, ONE)
    with pytest.raises(Refused):
        admit(ONE, Rho(1), ONE)


@given(st.integers(0, 2**80), st.lists(st.integers(0, 2**78), max_size=20))
def test_what_passes_never_exceeds_the_budget(budget: int, costs: list[int]) -> None:
    spent = Rho.ZERO
    for cost in map(Rho, costs):
        try:
            admit(Rho(budget), spent, cost)
        except Refused:
            assert (spent + cost).units > budget
        else:
            spent = spent + cost
    assert spent.units <= budget


def test_a_refusal_says_what_was_needed_and_what_is_left() -> None:
    with pytest.raises(Refused) as refusal:
        admit(Rho(10), Rho(4), Rho(7))
    assert refusal.value.code is Code.BUDGET_EXCEEDED
    assert refusal.value.public_fields == {"needed": Rho(7).text, "left": Rho(6).text}


def test_a_budget_lowered_below_what_is_spent_leaves_nothing() -> None:
    assert remaining(Rho(3), Rho(5)) == Rho.ZERO
    with pytest.raises(Refused):
        admit(Rho(3), Rho(5), Rho.ZERO)


def test_the_odometer_reads_the_composed_epsilon() -> None:
    two_answers = Loss(Rho.total([ONE, ONE]), DEFAULT_DELTA)
    assert 1.41 < two_answers.epsilon < 1.5
    assert Loss(Rho.ZERO, DEFAULT_DELTA).epsilon == 0.0
