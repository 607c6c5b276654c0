"""Members' own balances as tables of the records' file, and the steps that keep them.

    member_balances    member, member_ix (NULL: not in the newest import), and in units of 2^-60
                       spent (in this period), earlier (in those before), and what of both was
                       only presumed, of who came later (presumed, presumed_earlier)
    charged_openings   openings whose charges wait to be seen in the ledger
    waiting_charges    what each of them costs whom
    sitting_out        of an open plan: who takes no part in it, to its end

Every step is one statement over all members. Nothing in here is copied to another database,
sent, logged or counted.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from node.engines.embedded import columns_of
from node.layout import MEMBERS, Cursor, literal, select
from privacy.accounting.individual import MemberCost, Missed, presumed
from privacy.ledger.state import LedgerState
from privacy.units import Rho

TABLES = """
CREATE TABLE IF NOT EXISTS member_balances (
    member VARCHAR, member_ix INTEGER, spent HUGEINT, earlier HUGEINT,
    presumed HUGEINT, presumed_earlier HUGEINT);
CREATE TABLE IF NOT EXISTS balance_book (
    id INTEGER PRIMARY KEY, period VARCHAR, imported VARCHAR, known HUGEINT, size BIGINT);
CREATE TABLE IF NOT EXISTS charged_openings (
    number BIGINT, plan VARCHAR, round INTEGER, attempt INTEGER, nominal HUGEINT);
CREATE TABLE IF NOT EXISTS waiting_charges (number BIGINT, member_ix INTEGER, units HUGEINT);
CREATE TABLE IF NOT EXISTS sitting_out (plan VARCHAR, member_ix INTEGER);
"""
_WAITING = "(SELECT member_ix, sum(units) AS units FROM waiting_charges GROUP BY member_ix)"
Place = tuple[str, int, int]  # plan, round, attempt


@dataclass(frozen=True)
class Book:
    """Up to what the balances go: the period, the import, and what of the ledger they know."""

    period: str
    imported: str
    known: Rho
    size: int


@dataclass(frozen=True)
class Charged:
    """An opening whose charges were written and are not yet part of the balances."""

    number: int
    opening: Place
    nominal: Rho


def read_book(cursor: Cursor) -> Book | None:
    """None before the first opening that members were charged for one by one."""
    found = cursor.execute("SELECT period, imported, known, size FROM balance_book").fetchone()
    return None if found is None else Book(found[0], found[1], Rho(int(found[2])), int(found[3]))


def openings(cursor: Cursor) -> list[Charged]:
    found = cursor.execute("SELECT number, plan, round, attempt, nominal FROM charged_openings")
    return [
        Charged(int(number), (plan, int(round_), int(attempt)), Rho(int(nominal)))
        for number, plan, round_, attempt, nominal in found.fetchall()
    ]


@dataclass(frozen=True)
class Commits:
    """What the ledger charged since the balances last followed it.

    `former` of an earlier period, `present` of this one.
    """

    former: frozenset[Place] = frozenset()
    present: frozenset[Place] = frozenset()


def catch_up(cursor: Cursor, state: LedgerState, commits: Commits) -> None:
    """Bring the balances up to the ledger's `state`.

    What they cannot know of member by member, everybody is charged.
    """
    book = read_book(cursor)
    period = "" if state.period is None else state.period.starts
    same = book is not None and book.period == period
    known = Rho.ZERO if book is None else book.known
    known = known + _settled(cursor, commits.former)
    if not same:
        _turn_the_page(cursor)
    known = known + _settled(cursor, commits.present)
    for each in openings(cursor):
        if not _undecided(state, each.opening):
            drop(cursor, each.number)
    total, now = state.total_charged, state.period_charged
    _charge_everybody(cursor, Missed.between(known, total, now, same_period=same))
    imported = _number_again(cursor, "" if book is None else book.imported, presumed(total, now))
    _end_runs(cursor, state.plans)
    cursor.execute("DELETE FROM balance_book")
    cursor.execute(
        "INSERT INTO balance_book VALUES (1, ?, ?, CAST(? AS HUGEINT), ?)",
        [period, imported, str(total.units), state.size],
    )


def _undecided(state: LedgerState, opening: Place) -> bool:
    """May this opening still be charged in the ledger?"""
    plan = state.plans.get(opening[0])
    return plan is not None and not plan.has_passed(opening[1:])


def _turn_the_page(cursor: Cursor) -> None:
    """A new period: what was spent is what was spent in earlier ones."""
    cursor.execute(
        "UPDATE member_balances SET earlier = earlier + spent, spent = 0, "
        "presumed_earlier = presumed_earlier + presumed, presumed = 0"
    )


def _settled(cursor: Cursor, committed: frozenset[Place]) -> Rho:
    """Settle what the ledger charged; its public cost."""
    seen = [each for each in openings(cursor) if each.opening in committed]
    for each in seen:
        _settle(cursor, each.number)
    return Rho.total(each.nominal for each in seen)


def _settle(cursor: Cursor, number: int) -> None:
    """What waited for the ledger is spent."""
    cursor.execute(
        "UPDATE member_balances SET spent = spent + w.units FROM waiting_charges AS w "
        "WHERE w.number = ? AND w.member_ix = member_balances.member_ix",
        [number],
    )
    drop(cursor, number)


def drop(cursor: Cursor, number: int) -> None:
    """Forget an opening of which nothing left, or whose charges are spent."""
    cursor.execute("DELETE FROM waiting_charges WHERE number = ?", [number])
    cursor.execute("DELETE FROM charged_openings WHERE number = ?", [number])


def _charge_everybody(cursor: Cursor, missed: Missed) -> None:
    if missed != Missed(Rho.ZERO, Rho.ZERO):
        cursor.execute(
            "UPDATE member_balances SET spent = spent + CAST(? AS HUGEINT), "
            "earlier = earlier + CAST(? AS HUGEINT)",
            [str(missed.now.units), str(missed.earlier.units)],
        )


def _number_again(cursor: Cursor, known: str, start: Missed) -> str:
    """After an import: balances stay with the organisation's own keys, whoever is in the files.

    Who was in no import before starts where `start` says; at the very first, everybody does.
    Returns the mark of the newest import.
    """
    found = cursor.execute("SELECT value FROM meta WHERE key = 'imported'").fetchone()
    imported = "" if found is None else str(found[0])
    if imported == known or not columns_of(cursor, MEMBERS):
        return known
    cursor.execute(
        "UPDATE member_balances SET spent = spent + w.units "  # noqa: S608 - a name of this module
        f"FROM {_WAITING} AS w WHERE w.member_ix = member_balances.member_ix"
    )
    for table in ("waiting_charges", "sitting_out"):  # numbers of the former import
        cursor.execute(f"DELETE FROM {table}")  # noqa: S608
    now, earlier = _whole(start.now.units), _whole(start.earlier.units)
    presumed_now, presumed_earlier = (now, earlier) if known else (_whole(0), _whole(0))
    columns = {
        "member": "coalesce(b.member, m.member)",
        "member_ix": "m.member_ix",
        "spent": f"coalesce(b.spent, {now})",
        "earlier": f"coalesce(b.earlier, {earlier})",
        "presumed": f"coalesce(b.presumed, {presumed_now})",
        "presumed_earlier": f"coalesce(b.presumed_earlier, {presumed_earlier})",
    }
    source = f"member_balances AS b FULL JOIN {MEMBERS} AS m ON b.member = m.member"
    cursor.execute(f"CREATE OR REPLACE TABLE member_balances AS {select(columns, source)}")
    return imported


def _end_runs(cursor: Cursor, plans: Collection[str]) -> None:
    cursor.execute(
        "DELETE FROM sitting_out WHERE plan NOT IN (SELECT unnest(CAST(? AS VARCHAR[])))",
        [list(plans)],
    )


@dataclass(frozen=True)
class Limits:
    """What one member may lose in a period, and in all of them together (None: no limit)."""

    period: Rho
    lifetime: Rho | None = None


def seat_out(cursor: Cursor, plan: str, limits: Limits, need: Rho) -> None:
    """From now on whoever has no room for `need` takes no part in this plan."""
    due = f"b.spent + coalesce(w.units, 0) + {_whole(need.units)}"
    full = f"{due} > {_whole(limits.period.units)}"
    if limits.lifetime is not None:
        full = f"({full} OR b.earlier + {due} > {_whole(limits.lifetime.units)})"
    cursor.execute(
        "INSERT INTO sitting_out SELECT ?, b.member_ix FROM member_balances AS b "  # noqa: S608
        f"LEFT JOIN {_WAITING} AS w ON w.member_ix = b.member_ix "
        f"WHERE b.member_ix IS NOT NULL AND {full} "
        "AND b.member_ix NOT IN (SELECT member_ix FROM sitting_out WHERE plan = ?)",
        [plan, plan],
    )


def note_opening(cursor: Cursor, opening: Place, nominal: Rho) -> int:
    """The number under which this opening's charges are written."""
    found = cursor.execute("SELECT coalesce(max(number), 0) + 1 FROM charged_openings").fetchone()
    number = int(found[0])
    cursor.execute(
        "INSERT INTO charged_openings VALUES (?, ?, ?, ?, CAST(? AS HUGEINT))",
        [number, *opening, str(nominal.units)],
    )
    return number


def write_charges(cursor: Cursor, number: int, norms: str, cost: MemberCost) -> None:
    """Charge everybody whom `norms`, SQL of (member_ix, squared), names with more than zero."""
    units = f"CAST(squared AS HUGEINT) * {_whole(cost.top)} // {_whole(cost.bottom)} + 1"
    cursor.execute(
        f"INSERT INTO waiting_charges SELECT {int(number)}, member_ix, {units} "  # noqa: S608
        f"FROM ({norms}) AS norms WHERE squared > 0"
    )


def _whole(value: int) -> str:
    return f"CAST({literal(str(value))} AS HUGEINT)"


def seats(cursor: Cursor, plan: str) -> list[int]:
    """Numbers of the members who take no part in a plan."""
    found = cursor.execute("SELECT member_ix FROM sitting_out WHERE plan = ?", [plan]).fetchall()
    return sorted(int(number) for (number,) in found)


def figures(cursor: Cursor, member: str) -> tuple[Rho, Rho] | None:
    """What a member spent in the book's period and before; None for somebody not in it yet."""
    found = cursor.execute(
        "SELECT spent, earlier FROM member_balances WHERE member = ?", [member]
    ).fetchone()
    return None if found is None else (Rho(int(found[0])), Rho(int(found[1])))


def waiting(cursor: Cursor, member: str) -> dict[int, Rho]:
    """By number of the opening: what a member is charged as soon as the ledger is."""
    found = cursor.execute(
        "SELECT w.number, w.units FROM waiting_charges AS w JOIN member_balances AS b "
        "ON w.member_ix = b.member_ix WHERE b.member = ?",
        [member],
    ).fetchall()
    return {int(number): Rho(int(units)) for number, units in found}


def begin_at_zero(cursor: Cursor, member: str) -> bool:
    """Take back what was presumed of a member; was there anything?"""
    found = cursor.execute(
        "UPDATE member_balances SET spent = spent - presumed, presumed = 0, "
        "earlier = earlier - presumed_earlier, presumed_earlier = 0 "
        "WHERE member = ? AND (presumed > 0 OR presumed_earlier > 0)",
        [member],
    ).fetchone()
    return bool(found[0])


def note_new_person(cursor: Cursor, by: str, at: str, reference: str) -> None:
    """Keep the steward's word, for the next root of the consent table (node.consent_table)."""
    cursor.execute(
        "INSERT INTO new_people (declared_at, steward, reference) VALUES (?, ?, ?)",
        [at, by, reference],
    )


def forget(cursor: Cursor, member: str) -> None:
    """Erase a member's balance."""
    cursor.execute(
        "DELETE FROM waiting_charges WHERE member_ix IN "
        "(SELECT member_ix FROM member_balances WHERE member = ?)",
        [member],
    )
    cursor.execute("DELETE FROM member_balances WHERE member = ?", [member])
