"""Where members are charged one by one, the ledger counts questions against a public ceiling."""

from __future__ import annotations

from datetime import timedelta

import pytest

from privacy.contract.policy import Linking, Rules
from privacy.errors import Code, Refused, VerificationFailed
from privacy.ledger.chain import replay, verify_entries
from privacy.ledger.entry import Mechanism, PolicySet
from privacy.mechanism import GaussianSum
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

BOUND, CEILING = COST * 3, COST * 8


def set_policy(ledger: MemoryLedger, bound: Rho, ceiling: Rho | None) -> None:
    said = None if ceiling is None else ceiling.text
    ledger.append(PolicySet.from_json(policy(bound).to_json() | {"ceiling_rho": said}))


def individual() -> MemoryLedger:
    """In its second period, which was opened under the ceiling."""
    ledger = fresh_ledger("alpha", BOUND, {"als": COST * 100})
    set_policy(ledger, BOUND, CEILING)
    ledger.now += YEAR
    ledger.append(period(CEILING, 1))
    return ledger


def ask(ledger: MemoryLedger, name: str, mechanism: Mechanism = SMALL) -> None:
    asked = reserve(name, "als", ledger.now + timedelta(minutes=5), mechanism=mechanism)
    ledger.append(asked)
    ledger.append(commit(digest_of(name), 0, 0, b"12345678", mechanism))


def test_questions_go_on_to_the_ceiling_and_no_further() -> None:
    ledger = individual()
    for number in range(8):
        ask(ledger, f"{number}")
    with pytest.raises(Refused) as refused:
        ask(ledger, "one more")
    assert refused.value.code is Code.BUDGET_EXCEEDED
    assert ledger.state.period_charged == CEILING
    verify_entries(ledger.lines, ledger.head())


def test_a_ceiling_counts_from_the_next_period_on() -> None:
    """Raised in the middle of a period, it renews nothing."""
    ledger = fresh_ledger("alpha", BOUND, {"als": COST * 100})
    for number in range(3):
        ask(ledger, f"{number}")
    set_policy(ledger, BOUND, CEILING)
    assert ledger.state.left == Rho.ZERO
    with pytest.raises(Refused):
        ask(ledger, "one more")


def test_a_question_beyond_what_one_member_may_lose_is_refused_in_public() -> None:
    large = Mechanism.of(GaussianSum(delta_grid=2**18, nodes=3, margin=1))
    assert BOUND < large.event.rho <= CEILING
    with pytest.raises(Refused) as refused:
        ask(individual(), "large", large)
    assert refused.value.code is Code.QUESTION_LIMIT


@pytest.mark.parametrize("ceiling", [COST * 2, Rho(2**81)])
def test_a_ceiling_below_the_bound_or_beyond_counting_is_no_policy(ceiling: Rho) -> None:
    ledger = fresh_ledger("alpha", BOUND, {})
    with pytest.raises(Refused) as refused:
        set_policy(ledger, BOUND, ceiling)
    assert refused.value.code is Code.CONFLICT


def test_linkage_and_charging_one_by_one_exclude_each_other() -> None:
    linking = Linking(partners=("beta", "gamma"), fields=("email",), room=100)
    rules = Rules(linking=linking).to_json()
    ledger = fresh_ledger("alpha", BOUND, {"als": COST * 100})
    said = policy(BOUND).to_json() | {"ceiling_rho": CEILING.text, "rules": rules}
    with pytest.raises(Refused) as refused:
        ledger.append(PolicySet.from_json(said))
    assert refused.value.code is Code.CONFLICT


def test_an_auditor_finds_a_charge_beyond_the_ceiling() -> None:
    """A node that goes on asking, with a ledger that its own program would not have written."""
    ledger = individual()
    for number in range(8):
        ask(ledger, f"{number}")
    lenient = individual()
    lenient.entries, lenient.state, lenient.tree = ledger.entries, ledger.state, ledger.tree
    bound = lenient.state.policy
    assert bound is not None
    open_ended = bound.model_copy(update={"ceiling_rho": (CEILING * 2).text})
    kept = lenient.state.period
    assert kept is not None
    larger = kept.model_copy(update={"budget_rho": (CEILING * 2).text})
    lenient.state = lenient.state.having(policy=open_ended, period=larger)
    ask(lenient, "one more")
    with pytest.raises(VerificationFailed) as found:
        replay(lenient.lines)
    assert "budget_exceeded" in str(found.value)
