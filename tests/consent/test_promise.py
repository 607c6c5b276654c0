"""The promise in words and figures: a period, a life, several places; the ledger keeps the cap."""

from __future__ import annotations

import math
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from privacy.accounting.conversion import rho_of_epsilon
from privacy.errors import Code, Refused
from privacy.ledger.entry import PolicySet
from privacy.ledger.state import LedgerState
from privacy.promise import PERIODS, Promise, shown
from privacy.units import Rho
from tests.support.ledger_factory import (
    COST,
    SMALL,
    YEAR,
    MemoryLedger,
    commit,
    digest_of,
    fresh_ledger,
    period,
    policy,
    reserve,
)

DELTA = Fraction(1, 10**6)
DOCUMENT = Path(__file__).parents[2] / "docs" / "promise.md"


def promised(
    epsilon: str = "3", memberships: int = 1, lifetime: str = "", so_far: Rho = Rho.ZERO
) -> Promise:
    cap = rho_of_epsilon(Fraction(lifetime), DELTA) if lifetime else None
    bound = rho_of_epsilon(Fraction(epsilon), DELTA)
    return Promise(bound, None, cap, DELTA, memberships, 1, so_far)


def epsilon_by_scipy(rho: float, delta: float = 1e-6) -> float:
    """The same conversion, minimised by somebody else's program."""

    def at(log_x: float) -> float:
        x = math.exp(log_x)
        return rho * (1 + x) + (-math.log(delta) - math.log1p(x)) / x - math.log1p(1 / x)

    return float(minimize_scalar(at, bounds=(-20, 20), method="bounded").fun)


@pytest.mark.parametrize("periods", PERIODS)
@pytest.mark.parametrize("places", [1, 2, 3])
def test_losses_add_over_periods_and_grow_as_the_square_of_places(
    periods: int, places: int
) -> None:
    promise = promised()
    rho = float(promise.bound.fraction)
    expected = epsilon_by_scipy(rho * periods * places**2)
    found = promise.loss(periods, places)
    assert found.epsilon == pytest.approx(expected, rel=1e-6)
    linear = epsilon_by_scipy(rho * periods * places)
    assert places == 1 or found.epsilon > linear + 0.5, "k times the rho would be a smaller promise"


def test_two_places_at_epsilon_three_are_more_than_twice_it() -> None:
    assert shown(promised().loss(1, 2).epsilon) == "6.53"


def test_what_several_memberships_pay_for_is_no_extra() -> None:
    promise = promised(memberships=2)
    assert promise.loss(1, 1).rho == promise.loss(1, 2).rho == promise.bound
    assert promise.loss(1, 3).rho == Rho.round_up(promise.bound.fraction * Fraction(9, 4))


def test_a_lifetime_cap_holds_every_row() -> None:
    promise = promised(lifetime="5")
    cap = rho_of_epsilon(Fraction(5), DELTA)
    assert promise.loss(20).rho == cap
    assert promise.loss(1).rho == promise.bound
    assert promise.loss(20, 2).rho == cap * 4
    assert any("at most epsilon 5;" in line for line in promise.words)
    assert any("No limit over all periods" in line for line in promised().words)


@given(st.floats(0, 1e6))
def test_a_shown_epsilon_is_no_smaller_than_it_is(epsilon: float) -> None:
    assert epsilon - 1e-9 <= float(shown(epsilon)) <= epsilon + 0.0101


def test_the_words_say_odds_and_what_was_lost_so_far() -> None:
    so_far = rho_of_epsilon(Fraction(1), DELTA)
    words = " ".join(promised(so_far=so_far).words)
    for part in (
        "at most epsilon 3, at delta 1e-06",
        "if you take part, at most 96 in 100 instead of 10 in 100",
        "at most epsilon 1 was lost: if you take part, at most 28 in 100 instead of 10 in 100",
        "never by an import",
        "Nothing ever resets",
    ):
        assert part in words


def test_without_a_policy_nothing_is_promised() -> None:
    assert Promise.of(LedgerState()) is None


def test_the_document_s_table_is_what_the_program_computes() -> None:
    rows = [line.strip("| \n").split(" | ") for line in DOCUMENT.read_text().splitlines()]
    shown_rows = {row[0]: row[1:] for row in rows if len(row) == 7}
    for epsilon in ("0.3", "1", "3"):
        promise = promised(epsilon)
        losses = [promise.loss(n) for n in (5, 10, 20)]
        losses += [promise.loss(1, 2), promise.loss(1, 3), promise.loss(10, 2)]
        assert shown_rows[epsilon] == [shown(each.epsilon) for each in losses]


# the ledger


def with_lifetime(cap: Rho, ceiling: Rho | None = None) -> MemoryLedger:
    ledger = fresh_ledger("alpha", COST * 2, {"als": COST * 100})
    said = policy(COST * 2).to_json() | {"lifetime_rho": cap.text}
    said |= {"ceiling_rho": None if ceiling is None else ceiling.text}
    ledger.append(PolicySet.from_json(said))
    return ledger


def ask(ledger: MemoryLedger, name: str) -> None:
    ledger.append(reserve(name, "als", ledger.now + timedelta(minutes=5)))
    ledger.append(commit(digest_of(name), 0, 0, b"12345678", SMALL))


def next_period(ledger: MemoryLedger, number: int) -> None:
    ledger.now += YEAR
    ledger.append(period(COST * 2, number))


def test_the_ledger_keeps_a_lifetime_over_periods() -> None:
    ledger = with_lifetime(COST * 3)
    for name in ("one", "two"):
        ask(ledger, name)
    next_period(ledger, 1)
    assert ledger.state.left == COST, "a new period does not renew a life"
    ask(ledger, "three")
    with pytest.raises(Refused) as refused:
        ask(ledger, "four")
    assert refused.value.code is Code.BUDGET_EXCEEDED
    next_period(ledger, 2)
    with pytest.raises(Refused):
        ask(ledger, "five")
    found = Promise.of(ledger.state)
    assert found is not None
    assert (found.periods, found.so_far, found.lifetime) == (3, COST * 3, COST * 3)


def test_without_it_every_period_renews() -> None:
    ledger = fresh_ledger("alpha", COST * 2, {"als": COST * 100})
    for number in range(3):
        ask(ledger, f"{number}")
        ask(ledger, f"{number} again")
        next_period(ledger, number + 1)
    assert ledger.state.total_charged == COST * 6


def test_where_members_are_charged_one_by_one_the_life_is_each_member_s() -> None:
    ledger = with_lifetime(COST, ceiling=COST * 50)
    assert ledger.state.lifetime is None
    for name in ("one", "two"):
        ask(ledger, name)
