"""What may follow what: every rule by the code it refuses with, and the balances it keeps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from privacy.errors import Code, Refused, VerificationFailed
from privacy.ledger.entry import (
    Aborted,
    Body,
    DictionaryAdopted,
    Entry,
    Expired,
    KeysRevoked,
    Lost,
    Mechanism,
    Paused,
    Released,
    ReservedRound,
    Resumed,
    RosterPinned,
    Witnessed,
)
from privacy.ledger.fold import apply, instant_not_before
from privacy.ledger.state import LedgerState
from privacy.mechanism import GaussianSum
from privacy.units import Rho
from tests.support.ledger_factory import (
    BY,
    COST,
    SMALL,
    START,
    YEAR,
    MemoryLedger,
    approval,
    commit,
    digest_of,
    fresh_ledger,
    genesis,
    period,
    policy,
    random_ledger,
    reserve,
    signing_key,
)

SOON = START + timedelta(minutes=10)
P = digest_of("p")
QUESTION = digest_of("question of p")  # another plan made of the same signed question


def ledger(budget: int = 10, quota: int = 10) -> MemoryLedger:
    """Budget and quota in openings."""
    return fresh_ledger("alpha", COST * budget, {"als": COST * quota, "ms": COST * quota})


def asked(**terms: int) -> MemoryLedger:
    book = ledger()
    book.append(reserve("p", "als", SOON, **terms))  # type: ignore[arg-type]
    return book


def code_of(book: MemoryLedger, body: Body) -> Code:
    before, size = book.state, len(book.entries)
    with pytest.raises(Refused) as caught:
        book.append(body)
    assert (book.state, len(book.entries)) == (before, size)
    return caught.value.code


def opening(round_: int = 0, attempt: int = 0, mechanism: Mechanism = SMALL) -> Body:
    return commit(P, round_, attempt, b"x" * 16, mechanism)


def test_one_question_moves_set_aside_to_charged() -> None:
    book = ledger()
    book.append(reserve("p", "als", SOON, rounds=2, max_attempts=2))
    assert (book.state.spent, book.state.total_held) == (COST * 4, COST * 4)
    book.append(opening(0, 0))
    book.append(Lost(plan=P, round=0, attempt=0))
    book.append(opening(0, 1))
    book.append(opening(1, 0))
    assert (book.state.total_charged, book.state.total_held) == (COST * 3, COST)
    assert book.state.study_spent("als") == COST * 4
    book.append(Released(plan=P, release=digest_of("r")))
    assert (book.state.spent, book.state.total_held) == (COST * 3, Rho.ZERO)
    assert book.state.left == COST * 7
    assert book.state.study_spent("ms") == Rho.ZERO


@pytest.mark.parametrize("ending", [Aborted(plan=P, code="cancelled"), Expired(plan=P)])
def test_what_was_never_charged_comes_back_and_nothing_else(ending: Body) -> None:
    book = asked(max_attempts=3)
    book.append(opening())
    book.append(Lost(plan=P, round=0, attempt=0))
    book.now = SOON
    book.append(ending)
    assert (book.state.spent, book.state.left) == (COST, COST * 9)
    assert code_of(book, ending) is Code.CONFLICT
    assert code_of(book, reserve("p", "als", SOON + timedelta(minutes=9))) is Code.REPLAYED


def test_nothing_is_reserved_for_a_revoked_key_and_a_key_is_revoked_once() -> None:
    keys = sorted(signing_key(name).public.text for name in ("researcher", "another"))
    listed = digest_of("the list")
    book = asked()
    book.append(KeysRevoked(revocation=listed, keys=tuple(keys)))
    assert book.state.revoked == set(keys)
    assert code_of(book, reserve("q", "als", SOON)) is Code.KEY_REVOKED
    for again in (keys[:1], keys, [*keys[::-1]]):
        assert code_of(book, KeysRevoked(revocation=listed, keys=tuple(again))) is Code.CONFLICT
    book.append(opening())  # what was reserved before is charged as it was permitted
    others = sorted(signing_key(name).public.text for name in ("x", "y"))
    unsorted = KeysRevoked(revocation=listed, keys=tuple(others[::-1]))
    assert code_of(book, unsorted) is Code.CONFLICT
    book.append(KeysRevoked(revocation=listed, keys=tuple(others)))
    assert book.state.revoked == {*keys, *others}


@pytest.mark.parametrize(("budget", "quota", "left"), [(3, 2, 2), (2, 3, 2), (9, 1, 1), (1, 9, 1)])
def test_what_is_left_has_to_fit_in_quota_and_budget(budget: int, quota: int, left: int) -> None:
    with pytest.raises(Refused) as caught:
        ledger(budget, quota).append(reserve("p", "als", SOON, max_attempts=10))
    assert caught.value.public_fields == {"needed": (COST * 10).text, "left": (COST * left).text}


def test_the_filter_counts_what_is_set_aside() -> None:
    book = ledger(budget=3)
    book.append(reserve("p", "als", SOON, max_attempts=2))
    with pytest.raises(Refused) as caught:
        book.append(reserve("q", "ms", SOON, max_attempts=2))
    assert caught.value.code is Code.BUDGET_EXCEEDED
    assert caught.value.public_fields == {"needed": (COST * 2).text, "left": COST.text}
    book.append(reserve("q", "ms", SOON))
    assert code_of(book, reserve("r", "ms", SOON)) is Code.BUDGET_EXCEEDED


def test_the_quota_counts_every_version_and_is_never_renewed() -> None:
    book = ledger(budget=10, quota=2)
    book.append(reserve("p", "als", SOON))
    book.append(opening())
    book.append(reserve("q", "als", SOON))
    assert code_of(book, reserve("r", "als", SOON)) is Code.STUDY_BUDGET_EXCEEDED
    book.append(Aborted(plan=digest_of("q"), code="cancelled"))
    book.append(Released(plan=P, release=digest_of("r")))
    second = approval("als", COST * 2).model_copy(update={"study_digest": digest_of("als, v2")})
    book.append(second)
    book.now = START + YEAR
    book.append(period(COST * 10, 1))
    assert (book.state.period_charged, book.state.total_charged) == (Rho.ZERO, COST)
    later = book.now + timedelta(minutes=1)
    newer = reserve("s", "als", later, max_attempts=2).model_copy(
        update={"study_digest": digest_of("als, v2")}
    )
    assert code_of(book, newer) is Code.STUDY_BUDGET_EXCEEDED
    assert code_of(book, reserve("s", "als", later)) is Code.NOT_APPROVED, "a newer one is"
    fitting = {"max_attempts": 1, "rho": COST.text}
    book.append(newer.model_copy(update=fitting))


def test_a_period_opens_by_its_entry_alone() -> None:
    book = ledger(budget=1)
    book.append(reserve("p", "als", SOON))
    book.append(opening())
    book.append(Released(plan=P, release=digest_of("r")))
    assert code_of(book, period(COST, 0)) is Code.CONFLICT
    assert code_of(book, period(COST, 1)) is Code.CONFLICT  # the first is not over
    book.append(policy(COST * 5))
    assert code_of(book, reserve("q", "als", SOON)) is Code.BUDGET_EXCEEDED
    book.now = START + YEAR
    assert code_of(book, reserve("q", "als", book.now + timedelta(1))) is Code.NOT_IN_PERIOD
    assert code_of(book, period(COST * 6, 1)) is Code.CONFLICT  # beyond the policy
    book.append(period(COST, 1))
    book.append(reserve("q", "als", book.now + timedelta(1)))


def test_what_is_set_aside_is_carried_into_the_new_period() -> None:
    book = ledger(budget=4)
    late = START + YEAR + timedelta(minutes=5)
    book.now = START + YEAR - timedelta(minutes=1)
    book.append(reserve("p", "als", late, max_attempts=2))
    book.now = START + YEAR
    assert code_of(book, period(COST, 1)) is Code.CONFLICT
    book.append(period(COST * 3, 1))
    book.append(opening())
    assert (book.state.period_charged, book.state.spent) == (COST, COST * 2)
    assert code_of(book, reserve("q", "ms", late, max_attempts=2)) is Code.BUDGET_EXCEEDED


def test_a_stricter_policy_prevails_and_refunds_nothing() -> None:
    book = ledger(budget=5)
    book.append(reserve("p", "als", SOON, max_attempts=2))
    book.append(policy(COST))
    assert (book.state.budget, book.state.left) == (COST, Rho.ZERO)
    assert code_of(book, reserve("q", "ms", SOON)) is Code.BUDGET_EXCEEDED
    book.append(opening())


REFUSALS: list[tuple[Callable[[], MemoryLedger], Body, Code]] = [
    (ledger, opening(), Code.CONFLICT),
    (ledger, Released(plan=P, release=P), Code.CONFLICT),
    (ledger, Lost(plan=P, round=0, attempt=0), Code.CONFLICT),
    (ledger, approval("other", COST, "withdrawn"), Code.NOT_APPROVED),
    (ledger, reserve("p", "other", SOON), Code.NOT_APPROVED),
    (ledger, reserve("p", "als", START), Code.EXPIRED),
    (ledger, genesis("beta"), Code.CONFLICT),
    (ledger, RosterPinned(roster=P, epoch=0, confirmed=(), by=BY), Code.CONFLICT),
    (ledger, Witnessed(nonce="n" * 16, peers=("beta",), size=1), Code.NOT_WITNESSED),
    (ledger, Witnessed(nonce="n" * 16, peers=("beta", "beta"), size=1), Code.NOT_WITNESSED),
    (ledger, Witnessed(nonce="n" * 16, peers=("beta", "alpha"), size=1), Code.NOT_WITNESSED),
    (ledger, Witnessed(nonce="n" * 16, peers=("beta", "gamma"), size=99), Code.NOT_WITNESSED),
    (asked, Released(plan=P, release=P), Code.CONFLICT),
    (asked, Expired(plan=P), Code.CONFLICT),
    (asked, Lost(plan=P, round=0, attempt=0), Code.CONFLICT),
    (asked, commit(P, 0, 0, b"", Mechanism.of(GaussianSum(1, 3, 1))), Code.PLAN_MISMATCH),
    (asked, opening().model_copy(update={"rho": Rho(1).text}), Code.PLAN_MISMATCH),
    (asked, reserve("p", "als", SOON), Code.REPLAYED),
    (asked, reserve("q", "als", SOON).model_copy(update={"question": QUESTION}), Code.REPLAYED),
    (ledger, reserve("p", "als", SOON).model_copy(update={"dictionary": P}),
     Code.DICTIONARY_MISMATCH),
    (ledger, reserve("p", "als", SOON).model_copy(update={"rho": Rho(1).text}),
     Code.PLAN_MISMATCH),
    (ledger, reserve("p", "als", SOON, mechanism=Mechanism.of(GaussianSum(1, 2, 1))),
     Code.POLICY_FLOOR),
    (ledger, reserve("p", "als", SOON, mechanism=Mechanism.of(GaussianSum(1, 3, 0))),
     Code.POLICY_FLOOR),
]  # fmt: skip


@pytest.mark.parametrize(("start", "body", "code"), REFUSALS)
def test_what_is_illegal_is_refused_and_changes_nothing(
    start: Callable[[], MemoryLedger], body: Body, code: Code
) -> None:
    assert code_of(start(), body) is code


def test_memberships_below_the_policy_are_refused() -> None:
    book = ledger()
    book.append(policy(COST * 10, max_memberships=2))
    assert code_of(book, reserve("p", "als", SOON)) is Code.POLICY_FLOOR
    twice = Mechanism.of(GaussianSum(SMALL.delta_grid // 2, 3, 1, memberships=2))
    book.append(reserve("p", "als", SOON, mechanism=twice))


def test_an_impossible_mechanism_is_refused() -> None:
    broken = Mechanism(delta_grid=1, nodes=2, margin=2, log2_sigma=20, memberships=1)
    rounds = (ReservedRound(mechanism=broken, rho=COST.text),)
    body = reserve("p", "als", SOON).model_copy(update={"rounds": rounds})
    assert code_of(ledger(), body) is Code.PLAN_MISMATCH


def test_an_opening_is_charged_once_in_order_and_within_its_attempts() -> None:
    book = asked(rounds=2, max_attempts=2)
    book.append(opening(0, 1))
    for again in (opening(0, 1), opening(0, 0)):
        assert code_of(book, again) is Code.REPLAYED
    assert code_of(book, opening(0, 2)) is Code.TOO_MANY_ATTEMPTS
    book.append(opening(1, 0))
    assert code_of(book, opening(0, 0)) is Code.REPLAYED
    assert code_of(book, opening(2, 0)) is Code.TOO_MANY_ATTEMPTS
    book.append(Lost(plan=P, round=1, attempt=0))
    assert code_of(book, Lost(plan=P, round=1, attempt=0)) is Code.CONFLICT


def test_every_round_has_its_own_mechanism_and_cost() -> None:
    """A first round at four times the cost of the others, and no round at another's price."""
    dear = Mechanism.of(GaussianSum(2 * SMALL.delta_grid, 3, 1))
    book = ledger(budget=100, quota=100)
    cost = dear.event.rho + COST + COST
    book.append(reserve("p", "als", SOON, mechanisms=(dear, SMALL, SMALL), max_attempts=2))
    assert book.state.total_held == cost * 2
    assert code_of(book, opening(0, 0, SMALL)) is Code.PLAN_MISMATCH
    book.append(opening(0, 0, dear))
    assert book.state.total_charged == dear.event.rho
    assert code_of(book, opening(1, 0, dear)) is Code.PLAN_MISMATCH
    book.append(opening(1, 1))
    book.append(opening(2, 0))  # a node may be lost in one round and there in the next
    assert book.state.total_charged == cost
    assert book.state.total_held == cost
    book.append(Aborted(plan=P, code="cancelled"))
    assert (book.state.total_charged, book.state.total_held) == (cost, Rho.ZERO)


def test_a_round_is_reserved_at_what_its_mechanism_costs() -> None:
    honest = reserve("p", "als", SOON, rounds=2)
    cheap = ReservedRound(mechanism=SMALL, rho=Rho(1).text)
    lies = (
        {"rounds": (honest.rounds[0], cheap), "rho": (COST + Rho(1)).text},
        {"rho": COST.text},
    )
    for lie in lies:
        assert code_of(ledger(), honest.model_copy(update=lie)) is Code.PLAN_MISMATCH


def test_nothing_is_reserved_and_nothing_leaves_while_paused_or_late() -> None:
    book = asked()
    book.append(Paused(by=BY))
    assert code_of(book, opening()) is Code.PAUSED
    assert code_of(book, reserve("q", "als", SOON)) is Code.PAUSED
    book.append(Resumed(by=BY))
    book.now = SOON
    assert code_of(book, opening()) is Code.EXPIRED
    assert book.state.due(book.entries[-1].at) == ()
    assert book.state.due("2026-01-01T00:10:00Z") == (P,)


@pytest.mark.parametrize("when", ["paused", "late"])
def test_what_was_read_and_lost_is_charged_even_while_paused_or_late(when: str) -> None:
    book = asked()
    if when == "paused":
        book.append(Paused(by=BY))
    else:
        book.now = SOON
    lost = opening().model_copy(update={"bytes": 0})
    book.append(lost)
    assert book.state.total_charged == COST
    assert code_of(book, lost) is Code.REPLAYED


def test_withdrawal_and_refusal_end_an_approval() -> None:
    for decision in ("withdrawn", "refused"):
        book = ledger()
        book.append(approval("als", COST, decision))
        assert code_of(book, reserve("p", "als", SOON)) is Code.NOT_APPROVED
        assert digest_of("als") not in book.state.approved


def test_another_dictionary_ends_the_old_one() -> None:
    book = ledger()
    book.append(DictionaryAdopted(dictionary=P))
    assert code_of(book, reserve("p", "als", SOON)) is Code.DICTIONARY_MISMATCH


def test_time_does_not_run_backwards() -> None:
    book = asked()
    book.now -= timedelta(seconds=1)
    assert code_of(book, Paused(by=BY)) is Code.LEDGER_STOPPED
    assert instant_not_before("2026-01-01T00:00:00Z", "2026-01-01T00:00:02Z", 2)[-3:] == "02Z"
    with pytest.raises(Refused):
        instant_not_before("2026-01-01T00:00:00Z", "2026-01-01T00:00:03Z", 2)


def test_what_could_not_be_read_again_is_not_written() -> None:
    book = ledger()
    many = RosterPinned(roster=P, epoch=1, confirmed=("f" * 79,) * 1024, by=BY)
    assert Entry.from_bytes(book.append(many).data).body == many
    larger = many.model_copy(update={"confirmed": ("f" * 400,) * 1024})
    assert code_of(book, larger) is Code.TOO_LARGE


def test_a_ledger_begins_with_its_owner() -> None:
    empty = MemoryLedger()
    assert code_of(empty, Paused(by=BY)) is Code.CONFLICT


def test_apply_names_the_entry() -> None:
    book = asked()
    state = book.state
    for wrong in (
        {"seq": state.size + 1},
        {"prev": "0" * 64},
        {"body": Released(plan=P, release=P)},
        {"at": "2025-12-31T23:59:59Z"},
    ):
        entry = Entry(seq=state.size, prev=state.head, at=state.at, body=Paused(by=BY)).model_copy(
            update=wrong
        )
        with pytest.raises(VerificationFailed) as caught:
            apply(state, entry)
        assert caught.value.where == f"entry {state.size}"


def test_two_histories_from_one_state_do_not_see_each_other() -> None:
    book = ledger()
    fork = MemoryLedger(book.node, book.now, book.state)
    book.append(reserve("p", "als", SOON))
    assert (book.state.knows(P), fork.state.knows(P)) == (True, False)
    fork.append(reserve("q", "als", SOON))
    assert not fork.state.knows(P)
    assert not book.state.knows(digest_of("q"))
    assert not LedgerState().knows(P)


@pytest.mark.parametrize("seed", range(20))
def test_balances_are_the_sums_of_what_is_written(seed: int) -> None:
    """Recomputed from the entries by plain sums, without the fold."""
    book = random_ledger(seed, 80)
    charged = sum(
        Rho.parse(entry.body.rho).units for entry in book.entries if entry.body.kind == "commit"
    )
    held = 0
    for entry in book.entries:
        if entry.body.kind != "reserve":
            continue
        plan = entry.body.plan
        others = [each.body for each in book.entries if getattr(each.body, "plan", "") == plan]
        if not {"released", "aborted", "expired"} & {body.kind for body in others}:
            spent = sum(Rho.parse(b.rho).units for b in others if b.kind == "commit")
            held += Rho.parse(entry.body.rho).units - spent
    assert book.state.total_charged.units == charged
    assert book.state.total_held.units == held
    assert Rho.total(book.state.charged.values()) == book.state.total_charged
    assert Rho.total(book.state.held.values()) == book.state.total_held
