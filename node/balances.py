"""Individual accounting at a node: who still takes part, and what each is charged.

    1. begin     the balances are brought up to the ledger; who has no room for the run sits out
    2. read      the total of the others, and in the same transaction what each of them is charged
    3. commit    the ledger is charged in public, in full, as ever            (node.runner)
    4. settle    at the next opening: what the ledger holds is spent; what never left is not

A crash between 2 and 3 leaves charges that the ledger does not know. Asked again, the same
opening writes them anew in their place; if it never is, they are dropped. A crash after 3 changes
nothing: the charges wait. So one answered opening is paid once, and a new attempt is paid again.

Guarantee: every opening in the ledger is in every balance: by the member's own charge where it
was written before, else by its full public cost. Who sits out changes no message, entry, code or
count, and all of this happens where records are read, before a reply waits for its slot.
Assumes: members' own bounds (`privacy.accounting.individual`), and records that are the newest
(`node.records_guard`) or, if they were set back, a ledger that knows more than they do.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from node import balance_book as book
from node.charges import Charge
from node.engines.embedded import DuckDBReading
from node.engines.protocol import Account, Engine, Expr, Reading
from node.layout import Cursor, offer
from node.records import Records
from privacy.accounting.individual import MemberCost, Missed, presumed
from privacy.errors import BadInput, Code, Refused
from privacy.ledger.entry import Commit, Entry, PolicySet
from privacy.ledger.fields import parse_rho
from privacy.ledger.history_entry import BudgetForfeited
from privacy.ledger.state import LedgerState
from privacy.ledger.steward_entry import PeriodOpened
from privacy.units import Rho

_BATCH = 65_536


@dataclass(frozen=True)
class Balance:
    """One member's own figures. They are shown to this member and to nobody else."""

    spent: Rho
    earlier: Rho
    bound: Rho

    def __repr__(self) -> str:
        return "<Balance>"


class Ledger(Protocol):
    """What the balances follow: see `node.ledger_store`."""

    @property
    def state(self) -> LedgerState: ...

    def lines(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]: ...


class Balances:
    """The balances of one node. Safe to use from several threads."""

    def __init__(self, records: Records, ledger: Ledger) -> None:
        self._records = records
        self._ledger = ledger
        self._opening = threading.Lock()  # what one is charged, the next has to know

    def __repr__(self) -> str:
        return "<Balances>"

    @property
    def individual(self) -> bool:
        """Does the policy in force charge members one by one?"""
        policy = self._ledger.state.policy
        return policy is not None and policy.individual

    @contextmanager
    def account(self, opening: Charge, where: Engine) -> Iterator[Account | None]:
        """What `node.engine.total` is handed for this opening; None where everybody is charged.

        `where` is the engine that it is asked of. Raises Refused(ATTEMPT_LOST) for an opening
        that is not reserved, or was charged.
        """
        if not self.individual:
            yield None
            return
        with self._opening:
            self._begin(opening)
            if where is self._records:
                yield _Own(self._records, opening)
            else:
                yield _Copied(self._records, opening, where)

    def _begin(self, opening: Charge) -> None:
        with self._records.transaction() as cursor:
            state = self._caught_up(cursor)
            plan, policy = state.plans.get(opening.plan), state.policy
            if plan is None or policy is None or plan.has_passed(opening.place[1:]):
                raise Refused(Code.ATTEMPT_LOST)
            for each in book.openings(cursor):
                if each.opening == opening.place:  # nothing of it left
                    book.drop(cursor, each.number)
            need = opening.event.rho if plan.committed else plan.held
            book.seat_out(cursor, opening.plan, _limits(policy), need)

    def _caught_up(self, cursor: Cursor) -> LedgerState:
        """The ledger's state, after bringing the balances up to it."""
        state = self._ledger.state
        commits = book.Commits()
        if book.openings(cursor):
            known = book.read_book(cursor)
            commits = self._commits(known, state)
        book.catch_up(cursor, state, commits)
        return state

    def _commits(self, known: book.Book | None, state: LedgerState) -> book.Commits:
        """What was charged in public since the balances were last brought up to the ledger."""
        former: set[book.Place] = set()
        present: set[book.Place] = set()
        for line in self._ledger.lines(0 if known is None else known.size, state.size):
            match Entry.from_bytes(line).body:
                case Commit() as body:
                    present.add((body.plan, body.round, body.attempt))
                case PeriodOpened() | BudgetForfeited():
                    former |= present
                    present = set()
                case _:
                    pass
        return book.Commits(frozenset(former), frozenset(present))

    def settle(self) -> None:
        """Bring the balances up to the ledger now, where members are charged one by one."""
        if self.individual:
            with self._opening, self._records.transaction() as cursor:
                self._caught_up(cursor)

    # people

    def of(self, member: str) -> Balance | None:
        """A member's own balance, for their own page; None where everybody is charged alike."""
        state = self._ledger.state
        if state.policy is None or not self.individual:
            return None
        with self._records.snapshot() as cursor:
            spent, earlier = self._present(cursor, member, state)
        return Balance(spent, earlier, parse_rho(state.policy.yearly_rho))

    def _present(self, cursor: Cursor, member: str, state: LedgerState) -> tuple[Rho, Rho]:
        """What a member spent in this period and before, up to the ledger's newest entry."""
        known, row = book.read_book(cursor), book.figures(cursor, member)
        if known is None or row is None:
            start = presumed(state.total_charged, state.period_charged)
            return start.now, start.earlier
        openings = book.openings(cursor)
        commits = self._commits(known, state) if openings else book.Commits()
        ended = {each.number for each in openings if each.opening in commits.former}
        own = book.waiting(cursor, member)
        before = Rho.total(units for number, units in own.items() if number in ended)
        now = Rho.total(units for number, units in own.items() if number not in ended)
        missed, same = _missed(known, openings, commits, state)
        spent, earlier = row[0] + before, row[1] + missed.earlier
        if same:
            return spent + now + missed.now, earlier
        return now + missed.now, spent + earlier

    def new_person(self, member: str, *, by: str, at: str, reference: str) -> None:
        """A steward's word that who came with a later import was never a member here before.

        What was presumed of them is taken back. Raises BadInput for anybody else.
        """
        self.settle()
        with self._records.transaction() as cursor:
            if not book.begin_at_zero(cursor, member):
                raise BadInput(
                    f"nothing is presumed of {member!r}",
                    instead="name somebody who came with a later import, by their key there",
                )
            book.note_new_person(cursor, by, at, reference)


def _missed(
    known: book.Book, openings: Sequence[book.Charged], commits: book.Commits, state: LedgerState
) -> tuple[Missed, bool]:
    """What the book does not know of the ledger yet, and whether it is of the present period."""
    same = state.period is not None and known.period == state.period.starts
    both = commits.former | commits.present
    seen = Rho.total(each.nominal for each in openings if each.opening in both)
    total, period = state.total_charged, state.period_charged
    return Missed.between(known.known + seen, total, period, same_period=same), same


def _limits(policy: PolicySet) -> book.Limits:
    whole = policy.lifetime_rho
    lifetime = None if whole is None else parse_rho(whole)
    return book.Limits(parse_rho(policy.yearly_rho), lifetime)


class _Own:
    """Charges in the node's own database, in the transaction that reads."""

    def __init__(self, records: Records, opening: Charge) -> None:
        self._records, self._opening = records, opening
        self._cursor: Any = None

    @property
    def sitting_out(self) -> Expr:
        from node.engine_cohort import ibis

        seats = ibis().table({"plan": "string", "member_ix": "int32"}, name="sitting_out")
        return seats.filter(seats.plan == self._opening.plan).member_ix

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        with self._records.charging() as self._cursor:
            yield DuckDBReading(self._cursor)

    def charge(self, _reading: Reading, norms: Expr) -> None:
        from node.engine_cohort import ibis

        written = str(ibis().to_sql(norms, dialect="duckdb"))
        event = self._opening.event
        number = book.note_opening(self._cursor, self._opening.place, event.rho)
        book.write_charges(self._cursor, number, written, MemberCost.of(event))


class _Copied:
    """Charges what a database beside the node answers, before the total is asked of it."""

    def __init__(self, records: Records, opening: Charge, where: Engine) -> None:
        self._records, self._opening, self._where = records, opening, where
        with records.snapshot() as cursor:
            self._out = book.seats(cursor, opening.plan)

    @property
    def sitting_out(self) -> Expr | None:
        from node.engine_cohort import listed

        return listed(self._out) if self._out else None

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        with self._where.reading() as reading:
            yield reading

    def charge(self, reading: Reading, norms: Expr) -> None:
        event = self._opening.event
        with self._records.transaction() as cursor:
            number = book.note_opening(cursor, self._opening.place, event.rho)
            for part in reading.batches(norms, _BATCH):
                offer(cursor, "norms_found", pa.table({name: part[name] for name in part}))
                found = "SELECT member_ix, squared FROM norms_found"
                book.write_charges(cursor, number, found, MemberCost.of(event))
                cursor.unregister("norms_found")
