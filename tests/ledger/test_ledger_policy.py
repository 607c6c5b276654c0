"""Limits inside the year's, two stewards, embargoes and delegations: kept by the ledger itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from privacy.contract.policy import Automatic, Rules
from privacy.contract.time import instant_text
from privacy.errors import Code, Refused
from privacy.ledger.desk_entry import Delegated
from privacy.ledger.entry import Aborted, Approval, Body, PolicySet, Released, Reserve
from privacy.ledger.state import delegation_account, researcher_account
from privacy.units import Rho
from tests.support.ledger_factory import (
    COST,
    SMALL,
    START,
    MemoryLedger,
    approval,
    commit,
    digest_of,
    fresh_ledger,
    policy,
    reserve,
    signing_key,
)

SOON = START + timedelta(minutes=10)
ADA, BEN = (signing_key(name).public.text for name in ("researcher", "another"))
KNOWN = (signing_key("researcher").public.text,)


def code_of(book: MemoryLedger, body: Body) -> Code:
    with pytest.raises(Refused) as caught:
        book.append(body)
    return caught.value.code


def ledger(**changes: Any) -> MemoryLedger:
    """Ten openings for the year and for each study, under a policy with these changes."""
    book = fresh_ledger("alpha", COST * 10, {"als": COST * 10})
    book.append(limits(**changes))
    return book


def limits(**changes: Any) -> PolicySet:
    return policy(COST * 10).model_copy(update=changes)


def by(body: Reserve, researcher: str, **changes: Any) -> Reserve:
    return body.model_copy(update={"researcher": researcher, **changes})


def approved(**changes: Any) -> Approval:
    return approval("als", COST * 10).model_copy(update=changes)


def end(book: MemoryLedger, plan: str, *, paid: bool) -> None:
    if paid:
        payload = plan.encode()
        book.append(commit(digest_of(plan), 0, 0, payload, SMALL))
        book.append(Released(plan=digest_of(plan), release=digest_of("r" + plan)))
    else:
        book.append(Aborted(plan=digest_of(plan), code="cancelled"))


@pytest.mark.parametrize("where", ["policy", "approval"])
def test_one_researcher_cannot_spend_what_is_everybodys(where: str) -> None:
    book = ledger()
    for plan in "abcde":  # without a part of her own, Ada may take everything
        book.append(by(reserve(plan, "als", SOON, max_attempts=2), ADA))
    assert code_of(book, by(reserve("f", "als", SOON), BEN)) is Code.STUDY_BUDGET_EXCEEDED

    part = (COST * 2).text
    book = ledger(**({"researcher_rho": part} if where == "policy" else {}))
    if where == "approval":
        book.append(approved(researcher_rho=part))
    book.append(by(reserve("a", "als", SOON), ADA))
    end(book, "a", paid=True)
    book.append(by(reserve("b", "als", SOON), ADA))
    assert code_of(book, by(reserve("c", "als", SOON), ADA)) is Code.RESEARCHER_BUDGET_EXCEEDED
    book.append(by(reserve("d", "als", SOON), BEN))
    end(book, "b", paid=False)
    assert book.state.part_spent(researcher_account("als", ADA)) == COST
    book.append(by(reserve("e", "als", SOON), ADA))


def test_the_policys_limit_for_a_study_holds_whatever_was_approved() -> None:
    book = ledger(study_rho=COST.text)
    book.append(reserve("a", "als", SOON))
    assert code_of(book, reserve("b", "als", SOON)) is Code.STUDY_BUDGET_EXCEEDED
    book.append(limits(study_rho=(COST * 2).text))
    book.append(reserve("b", "als", SOON))


def test_one_question_costs_no_more_than_the_policy_lets_it() -> None:
    book = ledger(question_rho=COST.text)
    assert code_of(book, reserve("a", "als", SOON, max_attempts=2)) is Code.QUESTION_LIMIT
    book.append(reserve("a", "als", SOON))


def test_what_would_fit_is_the_least_of_what_every_limit_leaves() -> None:
    book = ledger(study_rho=(COST * 6).text, researcher_rho=(COST * 4).text)
    with pytest.raises(Refused) as caught:
        book.append(reserve("a", "als", SOON, max_attempts=7))
    assert caught.value.public_fields["left"] == (COST * 4).text


def delegated(cap: Rho, minutes: int = 60) -> Delegated:
    return Delegated(
        statement=digest_of("delegation"),
        key=BEN,
        rho=cap.text,
        expires=instant_text(START + timedelta(minutes=minutes)),
    )


def test_a_delegation_is_spent_at_its_cap_and_is_over_at_its_end() -> None:
    book = ledger()
    leave = delegated(COST * 2)
    for plan in "ab":
        book.append(by(reserve(plan, "als", SOON), ADA, delegation=leave))
    third = by(reserve("c", "als", SOON), ADA, delegation=leave)
    assert code_of(book, third) is Code.DELEGATION_EXCEEDED
    assert book.state.part_spent(delegation_account(leave.statement)) == COST * 2
    assert book.state.part_spent(researcher_account("als", ADA)) == COST * 2
    book.append(by(reserve("d", "als", SOON), ADA))  # her own hand is not bound by it
    late = by(reserve("e", "als", SOON), ADA, delegation=delegated(COST * 9, minutes=0))
    assert code_of(book, late) is Code.NOT_DELEGATED


@pytest.mark.parametrize(
    ("rules", "taken"),
    [
        (Rules(), False),
        (Rules(automatic=(Automatic.APPROVE_KNOWN,), known=KNOWN), True),
        (Rules(automatic=(Automatic.REFUSE_OUTSIDE,)), False),
        (Rules(approvers=2), False),
    ],
)
def test_a_policy_approves_by_itself_only_where_it_says_so(rules: Rules, taken: bool) -> None:
    book = ledger(rules=rules)
    body = approved(how="policy", by="policy")
    if taken:
        book.append(body)
    else:
        assert code_of(book, body) is Code.NOT_APPROVED
    book.append(body.model_copy(update={"decision": "refused"}))


def test_nothing_is_answered_during_the_embargo() -> None:
    book = ledger(rules=Rules(embargo_days=3))
    ends = START + timedelta(days=3)
    for start in (None, instant_text(ends - timedelta(seconds=1))):
        assert code_of(book, approved(answers_from=start)) is Code.POLICY_FLOOR
    book.append(approved(answers_from=instant_text(ends)))
    early = reserve("a", "als", ends + timedelta(minutes=1))
    book.now = ends - timedelta(seconds=1)
    assert code_of(book, early) is Code.POLICY_FLOOR
    book.now = ends
    book.append(early)


def test_a_newer_version_takes_the_place_of_the_older() -> None:
    book = ledger()
    book.append(approved(study_digest=digest_of("v2")))
    assert set(book.state.approvals) == {digest_of("v2")}
    assert code_of(book, reserve("a", "als", SOON)) is Code.NOT_APPROVED
    assert book.state.decisions == {digest_of("als"): "approved", digest_of("v2"): "approved"}


@pytest.mark.parametrize("decision", ["withdrawn", "refused", "asked"])
def test_after_a_withdrawal_nothing_of_an_open_plan_leaves(decision: str) -> None:
    book = ledger()
    book.append(reserve("a", "als", SOON))
    book.append(approved(decision=decision))
    leaving = commit(digest_of("a"), 0, 0, b"12345678", SMALL)
    assert code_of(book, leaving) is Code.NOT_APPROVED
    lost: Body = commit(digest_of("a"), 0, 0, b"", SMALL)
    book.append(lost)  # what was read is charged
    assert book.state.total_charged == COST
