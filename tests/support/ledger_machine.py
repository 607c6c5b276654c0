"""A node's ledger under everything that may happen to it, with crashes at every step.

What must hold is recomputed from the written lines by plain sums, without the ledger's rules,
so that a mutant of the rules or of the store cannot vouch for itself.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from node.ledger_store import LedgerStore
from privacy.contract.time import parse_instant
from privacy.errors import Refused
from privacy.ledger.entry import Aborted, Body, Expired, Lost, Paused, Released, Resumed
from privacy.units import Rho
from tests.support.ledger_factory import (
    BY,
    COST,
    NETWORK,
    SMALL,
    START,
    YEAR,
    commit,
    digest_of,
    founder,
    opening_bodies,
    period,
    reserve,
    signing_key,
)

KEY = signing_key("alpha")
BUDGET, QUOTA = 5, 4  # openings
STUDIES = ("als", "ms")
PLANS = [f"plan {number}" for number in range(24)]

plans = st.sampled_from(PLANS)
picks = st.integers(0, 7)
places = st.tuples(st.integers(0, 1), st.integers(0, 1))


class Killed(BaseException):
    """The process ends here."""


class LedgerMachine(RuleBasedStateMachine):
    """One store that is asked, paid, ended, reopened and killed in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ledger-machine-"))
        self.copies = 0
        self.now = START
        self.deadly = ""
        self.gone: dict[tuple[str, int, int], bytes] = {}  # what left the building
        self.lives = 0

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    def clock(self) -> datetime:
        return self.now

    def reached(self, step: str) -> None:
        if self.deadly and step.endswith(self.deadly):
            raise Killed

    @initialize()
    def begin(self) -> None:
        self.path = self.folder / "ledger.sqlite"
        self.store = LedgerStore.create(
            self.path,
            KEY,
            self.clock,
            node="alpha",
            network=NETWORK,
            delta=Fraction(1, 10**6),
            steward=founder("alpha").public,
            reached=self.reached,
        )
        for body in opening_bodies(COST * BUDGET, dict.fromkeys(STUDIES, COST * QUOTA)):
            self.store.append(body)

    def attempt(self, body: Body, outbox: bytes | None = None) -> bool:
        """True if the ledger took it."""
        try:
            self.store.append(body, outbox=outbox)
        except Refused:
            return False
        return True

    # what may happen

    @rule(
        plan=plans,
        study=st.sampled_from(STUDIES),
        rounds=st.integers(1, 2),
        attempts=st.integers(1, 2),
    )
    def ask(self, plan: str, study: str, rounds: int, attempts: int) -> None:
        soon = self.now + timedelta(minutes=10)
        self.attempt(reserve(plan, study, soon, rounds=rounds, max_attempts=attempts))

    @rule(plan=plans, study=st.sampled_from(STUDIES), attempts=st.integers(1, 3))
    def ask_and_pay(self, plan: str, study: str, attempts: int) -> None:
        soon = self.now + timedelta(minutes=10)
        if self.attempt(reserve(plan, study, soon, max_attempts=attempts)):
            body, payload = self.payment(digest_of(plan), (0, 0))
            if self.attempt(body, payload):
                self.gone[digest_of(plan), 0, 0] = payload

    @rule(pick=picks, place=places)
    def pay(self, pick: int, place: tuple[int, int]) -> None:
        plan = self.some_plan(pick)
        body, payload = self.payment(plan, place)
        if self.attempt(body, payload):
            key = (plan, *place)
            assert self.store.outbox(*key) == payload
            assert key not in self.gone
            self.gone[key] = payload

    def some_plan(self, pick: int) -> str:
        """An open plan if there is one, else one that may have ended."""
        choices = sorted(self.store.state.plans) or list(map(digest_of, PLANS))
        return choices[pick % len(choices)]

    def payment(self, plan: str, place: tuple[int, int]) -> tuple[Body, bytes]:
        self.lives += 1
        payload = f"{plan} {place} {self.lives}".encode()
        return commit(plan, *place, payload, SMALL), payload

    @rule(pick=picks)
    def lose(self, pick: int) -> None:
        if self.gone:
            plan, round_, attempt = sorted(self.gone)[pick % len(self.gone)]
            self.attempt(Lost(plan=plan, round=round_, attempt=attempt))

    @rule(pick=picks, how=st.sampled_from(["released", "aborted", "expired"]))
    def end(self, pick: int, how: str) -> None:
        plan = self.some_plan(pick)
        bodies: dict[str, Body] = {
            "released": Released(plan=plan, release=digest_of("release")),
            "aborted": Aborted(plan=plan, code="cancelled"),
            "expired": Expired(plan=plan),
        }
        self.attempt(bodies[how])

    @rule(minutes=st.sampled_from([1, 5, 11]))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(early=st.booleans())
    def open_period(self, early: bool) -> None:
        number = int((self.now - START) / YEAR) + 1
        if not early:
            self.now = START + number * YEAR
        self.attempt(period(COST * BUDGET, number, at=self.now))

    @rule()
    def set_clock_back(self) -> None:
        now, self.now = self.now, self.now - timedelta(hours=1)
        behind = parse_instant(self.store.state.at) - self.now
        assert not (self.attempt(Resumed(by=BY)) and behind > timedelta(seconds=2))
        self.now = now

    @rule(pause=st.booleans())
    def pause(self, pause: bool) -> None:
        self.attempt(Paused(by=BY) if pause else Resumed(by=BY))
        self.attempt(Resumed(by=BY))

    @rule()
    def reopen(self) -> None:
        before = self.store.state
        self.store.close()
        self.store = LedgerStore.open(self.path, KEY, self.clock, reached=self.reached)
        assert self.store.state == before

    @rule(
        pick=picks,
        plan=plans,
        place=places,
        step=st.sampled_from(["written", "durable"]),
        paying=st.booleans(),
    )
    def crash(self, pick: int, plan: str, place: tuple[int, int], step: str, paying: bool) -> None:
        """Killed inside or right after a transaction; the bytes never left."""
        soon = self.now + timedelta(minutes=10)
        body: Body = reserve(plan, "als", soon, max_attempts=2)
        payload = None
        if paying:
            body, payload = self.payment(self.some_plan(pick), place)
        self.deadly = step
        try:
            self.store.append(body, outbox=payload)
        except (Killed, Refused):
            self._restart_from_copy()
        finally:
            self.deadly = ""

    def _restart_from_copy(self) -> None:
        self.copies += 1
        place = self.folder / str(self.copies)
        place.mkdir()
        for name in (self.path.name, self.path.name + "-wal"):
            if (self.path.parent / name).exists():
                shutil.copy(self.path.parent / name, place / name)
        self.store.close()
        self.path = place / self.path.name
        self.store = LedgerStore.open(self.path, KEY, self.clock, reached=self.reached)

    # what must hold

    @invariant()
    @precondition(lambda self: hasattr(self, "store"))
    def balances_are_what_was_written(self) -> None:
        bodies = [json.loads(line)["body"] for line in self.store.entries()]
        commits = [body for body in bodies if body["kind"] == "commit"]
        places = Counter((b["plan"], b["round"], b["attempt"]) for b in commits)
        assert all(count == 1 for count in places.values()), "charged twice"
        assert set(self.gone) <= set(places), "left without being charged"
        reserved = {body["plan"]: body for body in bodies if body["kind"] == "reserve"}
        assert len(reserved) == sum(body["kind"] == "reserve" for body in bodies)
        for body in commits:
            assert body["plan"] in reserved, "charged without a reservation"
        periods = [line for line in map(json.loads, self.store.entries())
                   if line["body"]["kind"] == "period"]  # fmt: skip
        for old, new in pairwise(periods):
            assert old["body"]["ends"] <= min(new["at"], new["body"]["starts"]), "opened early"
        self._check_limits(bodies, reserved)

    def _check_limits(self, bodies: list[dict[str, Any]], reserved: dict[str, Any]) -> None:
        state = self.store.state
        charged, period_charged = Fraction(0), Fraction(0)
        by_study: Counter[str] = Counter()
        open_plans: dict[str, Fraction] = {}
        for body in bodies:
            match body["kind"]:
                case "period":
                    period_charged = Fraction(0)
                case "reserve":
                    open_plans[body["plan"]] = Fraction(body["rho"])
                case "commit":
                    rho = Fraction(body["rho"])
                    charged, period_charged = charged + rho, period_charged + rho
                    by_study[reserved[body["plan"]]["study"]] += rho  # type: ignore[assignment]
                    open_plans[body["plan"]] -= rho
                case "released" | "aborted" | "expired":
                    del open_plans[body["plan"]]
        held = sum(open_plans.values(), Fraction(0))
        assert state.total_charged.fraction == charged
        assert state.period_charged.fraction == period_charged
        assert state.total_held.fraction == held
        assert set(state.plans) == set(open_plans)
        assert period_charged + held <= COST.fraction * BUDGET, "over the budget"
        for study in STUDIES:
            assert state.charged.get(study, Rho.ZERO).fraction == by_study[study]
            mine = [rho for p, rho in open_plans.items() if reserved[p]["study"] == study]
            assert by_study[study] + sum(mine) <= COST.fraction * QUOTA, "over the quota"

    @invariant()
    @precondition(lambda self: hasattr(self, "store"))
    def what_left_can_be_sent_again(self) -> None:
        for (plan, round_, attempt), payload in self.gone.items():
            stored = self.store.outbox(plan, round_, attempt)
            open_plan = self.store.state.plans.get(plan)
            committed = () if open_plan is None else open_plan.committed
            newest = committed[-1:] == ((round_, attempt),)
            assert stored == (payload if newest else None)
