"""No order of questions, endings, restarts and crashes loses, repeats or overspends a charge.

The same machine must reject ledgers that are wrong in one place each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from node.ledger_store import LedgerStore
from privacy.errors import CairnError, Code, Refused
from privacy.ledger import fold, plans
from privacy.ledger.entry import Commit
from privacy.ledger.state import LedgerState, OpenPlan
from privacy.units import Rho
from tests.support.ledger_machine import LedgerMachine


def run(examples: int) -> None:
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_ledger_keeps_its_promises() -> None:
    run(40)


@pytest.mark.statistical
def test_the_ledger_keeps_its_promises_at_length() -> None:
    run(2_000)


Patch = Callable[[pytest.MonkeyPatch], None]
MUTANTS: dict[str, Patch] = {}


def mutant(patch: Patch) -> Patch:
    MUTANTS[patch.__name__] = patch
    return patch


@mutant
def budget_forgets_what_is_reserved(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LedgerState, "spent", property(lambda self: self.period_charged))


@mutant
def quota_forgets_what_is_reserved(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LedgerState, "study_spent", lambda self, s: self.charged.get(s, Rho.ZERO))


@mutant
def quota_is_renewed_with_the_period(patch: pytest.MonkeyPatch) -> None:
    original = LedgerState.opened_period
    patch.setattr(
        LedgerState, "opened_period", lambda self, p: replace(original(self, p), charged={})
    )


@mutant
def ending_refunds_what_was_charged(patch: pytest.MonkeyPatch) -> None:
    original = LedgerState.ended_plan

    def ended(self: LedgerState, plan: OpenPlan) -> LedgerState:
        after = original(self, plan)
        spent = after.total_charged - plan.charged
        return replace(after, total_charged=spent)

    patch.setattr(LedgerState, "ended_plan", ended)


@mutant
def ending_refunds_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        LedgerState,
        "ended_plan",
        lambda self, plan: replace(
            self, plans={k: v for k, v in self.plans.items() if k != plan.plan}
        ),
    )


@mutant
def losing_refunds(patch: pytest.MonkeyPatch) -> None:
    original = LedgerState.lost_plan

    def lost(self: LedgerState, plan: OpenPlan, opening: tuple[int, int]) -> LedgerState:
        after, cost = original(self, plan, opening), plan.rounds[opening[0]].cost
        return replace(
            after,
            total_charged=after.total_charged - cost,
            period_charged=Rho(max(0, after.period_charged.units - cost.units)),
        )

    patch.setattr(LedgerState, "lost_plan", lost)


@mutant
def a_commit_is_free(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LedgerState, "charged_plan", lambda self, _plan, _opening: self)


@mutant
def a_plan_may_be_reserved_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LedgerState, "knows", lambda _self, *_digests: False)


@mutant
def an_opening_may_be_charged_again(patch: pytest.MonkeyPatch) -> None:
    def careless(state: LedgerState, body: Commit, at: str) -> LedgerState:
        plan = plans._open(state, body.plan)
        if body.round >= len(plan.rounds):
            raise Refused(Code.TOO_MANY_ATTEMPTS)
        return state.charged_plan(plan, (body.round, body.attempt))

    patch.setattr(fold, "commit", careless)


@mutant
def a_period_may_open_early(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fold, "_open_period", lambda state, body, _at: state.opened_period(body))


@mutant
def nothing_is_written_down(patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def forgetful(self: LedgerStore) -> Iterator[None]:
        self._db.execute("BEGIN")
        yield
        self._db.execute("ROLLBACK" if self.size > 6 else "COMMIT")

    patch.setattr(LedgerStore, "_transaction", forgetful)


@mutant
def the_bytes_are_not_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LedgerStore, "outbox", lambda *_place: None)


@mutant
def a_clock_may_run_backwards(patch: pytest.MonkeyPatch) -> None:
    def any_time(now: str, last: str, slack_seconds: int) -> str:
        return max(now, last)

    patch.setattr("node.ledger_wish.instant_not_before", any_time)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_ledger_wrong_in_one_place_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[name](monkeypatch)
    with pytest.raises((AssertionError, CairnError, KeyError)):
        run(300)
