"""What a ledger lets be linked: with whom, how often, at what cost; and what is counted by it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import reduce
from typing import Any

import pytest

from privacy.contract.policy import Linking, Rules
from privacy.errors import Code, Refused, VerificationFailed
from privacy.ledger import linkage
from privacy.ledger.entry import Mechanism, Paused
from privacy.ledger.fold import apply
from privacy.ledger.link_entry import LinkBegun, Linked, LinkEnded
from privacy.ledger.state import LedgerState
from privacy.linkage.dummies import COST as LINK_COST
from privacy.linkage.dummies import LOG2_SIGMA
from privacy.mechanism import GaussianSum
from privacy.units import Rho
from tests.support.ledger_factory import (
    BY,
    COST,
    START,
    YEAR,
    MemoryLedger,
    digest_of,
    fresh_ledger,
    period,
    policy,
    reserve,
)

S = digest_of("session")
AGREED = Linking(partners=("beta", "gamma"), fields=("members.name",), room=100, a_year=2)
TWICE = Mechanism.of(GaussianSum(delta_grid=2**17, nodes=3, margin=1, memberships=2))


def begun(session: str = S, **changes: Any) -> LinkBegun:
    facts = {
        "session": session,
        "nodes": ("alpha", "beta", "gamma"),
        "fields": ("members.name",),
        "room": 100,
        "ends": "2026-03-31",
        "log2_sigma": LOG2_SIGMA,
        "rho": LINK_COST.text,
    }
    return LinkBegun(**(facts | changes))


def ledger(agreed: Linking | None = AGREED, budget: Rho = COST * 10) -> MemoryLedger:
    """A ledger whose organisation counts on two memberships of one person."""
    book = fresh_ledger("alpha", budget, {"als": COST * 40})
    rules = Rules(linking=agreed)
    book.append(policy(budget, max_memberships=2).model_copy(update={"rules": rules}))
    return book


def linked() -> MemoryLedger:
    book = ledger()
    book.append(begun())
    book.append(Linked(session=S, transcript=digest_of("transcript")))
    return book


def test_a_linkage_is_charged_when_it_begins_and_never_given_back() -> None:
    book = ledger()
    book.append(begun())
    assert book.state.spent == book.state.linkage_charged == LINK_COST
    book.append(LinkEnded(session=S, why="node_offline"))
    assert (book.state.linking, book.state.total_charged) == (None, LINK_COST)
    assert book.state.left == COST * 10 - LINK_COST


REFUSED: dict[str, tuple[Callable[[], MemoryLedger], LinkBegun, Code]] = {
    "no policy of linkage": (lambda: ledger(None), begun(), Code.POLICY_FLOOR),
    "a stranger": (ledger, begun(nodes=("alpha", "beta", "delta")), Code.POLICY_FLOOR),
    "not itself": (ledger, begun(nodes=("beta", "delta", "gamma")), Code.POLICY_FLOOR),
    "somebody twice": (ledger, begun(nodes=("alpha", "beta", "beta")), Code.POLICY_FLOOR),
    "other fields": (ledger, begun(fields=("members.email",)), Code.POLICY_FLOOR),
    "more room": (ledger, begun(room=101), Code.POLICY_FLOOR),
    "less noise": (ledger, begun(log2_sigma=LOG2_SIGMA - 1), Code.PLAN_MISMATCH),
    "a lower cost": (ledger, begun(rho=Rho(1).text), Code.PLAN_MISMATCH),
    "no cost": (ledger, begun(rho=Rho.ZERO.text), Code.PLAN_MISMATCH),
    "beyond the period": (ledger, begun(ends="2027-03-31"), Code.NOT_IN_PERIOD),
    "over already": (ledger, begun(ends="2025-12-31"), Code.NOT_IN_PERIOD),
    "no budget": (lambda: ledger(budget=Rho(1)), begun(), Code.BUDGET_EXCEEDED),
    "the same again": (linked, begun(), Code.REPLAYED),
    "while one holds": (linked, begun(digest_of("other")), Code.CONFLICT),
}


@pytest.mark.parametrize(("made", "body", "code"), REFUSED.values(), ids=list(REFUSED))
def test_what_was_not_agreed_is_not_begun(
    made: Callable[[], MemoryLedger], body: LinkBegun, code: Code
) -> None:
    book = made()
    before = book.state
    with pytest.raises(Refused) as refused:
        book.append(body)
    assert refused.value.code is code
    assert book.state == before


def test_a_linkage_counts_for_a_lifetime_too() -> None:
    book = ledger()
    now = book.state.policy
    assert now is not None
    book.append(now.model_copy(update={"lifetime_rho": Rho(1).text}))
    with pytest.raises(Refused, match="budget_exceeded"):
        book.append(begun())


def test_nothing_is_begun_in_a_pause() -> None:
    book = ledger()
    book.append(Paused(by=BY))
    with pytest.raises(Refused, match="paused"):
        book.append(begun())


def test_so_many_a_period_and_as_many_in_the_next() -> None:
    book = ledger()
    for number in range(2):
        book.append(begun(digest_of(str(number))))
        book.append(LinkEnded(session=digest_of(str(number)), why="node_offline"))
    with pytest.raises(Refused, match="rate_limited"):
        book.append(begun(digest_of("3")))
    book.now = START + YEAR
    book.append(period(COST * 10, 1))
    book.append(begun(digest_of("4"), ends="2027-03-31"))
    assert (book.state.links, book.state.period_charged) == (1, LINK_COST)


def test_what_comes_into_force_was_begun() -> None:
    book = ledger()
    for body in (
        Linked(session=S, transcript=digest_of("transcript")),
        LinkEnded(session=S, why="node_offline"),
    ):
        with pytest.raises(Refused, match="conflict"):
            book.append(body)
    book.append(begun())
    with pytest.raises(Refused, match="conflict"):
        book.append(Linked(session=digest_of("other"), transcript=digest_of("transcript")))


def test_only_a_steward_ends_what_is_in_force() -> None:
    book = linked()
    with pytest.raises(Refused, match="conflict"):
        book.append(LinkEnded(session=S, why="node_offline"))
    book.append(LinkEnded(session=S, why="a partner left", by=BY))
    assert book.state.linkage is None
    book.append(begun(digest_of("other")))


def asked(book: MemoryLedger, session: str, mechanism: Mechanism | None = None) -> None:
    soon = book.now + timedelta(minutes=10)
    body = (
        reserve("p", "als", soon)
        if mechanism is None
        else reserve("p", "als", soon, mechanism=mechanism)
    )
    book.append(body.model_copy(update={"linkage": session}))


def test_one_membership_is_paid_for_only_where_members_are_linked() -> None:
    with pytest.raises(Refused) as refused:
        asked(ledger(), "")
    assert refused.value.public_fields == {"what": "memberships"}
    book = linked()
    asked(book, S)
    assert book.state.total_held == COST
    apart = ledger()
    asked(apart, "", TWICE)
    assert apart.state.total_held == TWICE.event.rho
    assert COST.units * 4 - 4 < TWICE.event.rho.units <= COST.units * 4


@pytest.mark.parametrize("session", [digest_of("other"), digest_of("session 2")])
def test_nothing_is_counted_by_another_linkage(session: str) -> None:
    for book in (ledger(), linked()):
        with pytest.raises(Refused) as refused:
            asked(book, session)
        assert refused.value.code is Code.NOT_LINKED


def test_nothing_is_counted_by_a_linkage_whose_last_day_is_over() -> None:
    book = linked()
    book.now = START + timedelta(days=90)  # 1 April
    with pytest.raises(Refused, match="not_linked"):
        asked(book, S)


@pytest.mark.parametrize(
    ("name", "mutant"),
    [
        ("_check_agreed", lambda _state, _body: None),
        ("_begin", lambda state, body, _at: state.begun_link(body)),
        ("COST", Rho(1)),
    ],
)
def test_an_auditor_finds_what_a_node_without_the_rule_wrote(
    monkeypatch: pytest.MonkeyPatch, name: str, mutant: object
) -> None:
    """Each rule is needed: without it a node writes what the rules of others refuse."""
    wrong = {
        "_check_agreed": begun(nodes=("alpha", "beta", "delta")),
        "_begin": begun(),
        "COST": begun(rho=Rho(1).text),
    }[name]
    book = ledger(budget=Rho(1) if name == "_begin" else COST * 10)
    with monkeypatch.context() as patch:
        patch.setattr(linkage, name, mutant)
        book.append(wrong)
    with pytest.raises(VerificationFailed, match="link-begun is illegal"):
        reduce(apply, book.entries, LedgerState())
