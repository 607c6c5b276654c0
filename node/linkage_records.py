"""A linkage at the node's records: who is put on the list, and what is kept of what was learnt.

    persons    members who opted in, with a value for every field, by what recognises them
    stage      what was learnt is kept, for no question yet
    apply      every node learnt: the column of the member table is this linkage's from now on
    reapply    after an import, in its transaction: who has another key, another value in a
               field, or no consent any more is not linked until the next linkage
    forget     nothing of any linkage is left

Guarantee: nobody is linked who did not say so for the purpose `linkage` itself: a word on `all`
is none. Two members of one organisation with the same fields are not linked: nothing says whether
they are one person.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date

from node.consent import add_purpose, class_column, consent_columns, purposes_in
from node.engines.embedded import columns_of
from node.layout import MEMBERS, Cursor, literal, quote, select
from node.linked import LINKAGE, linked_column, linked_columns
from node.records import Records, leave_mark
from privacy.contract.dictionary import ColumnRef
from privacy.errors import BadInput, Code, Refused
from privacy.linkage.party import person
from privacy.linkage.session import LinkSession
from privacy.linkage.spelling import spelt

_BATCH = 10_000


def persons(records: Records, fields: Sequence[ColumnRef], today: date) -> dict[bytes, str]:
    """Who can be linked: what is hashed of each, with the member's key. Never leaves."""
    with records.snapshot() as cursor:
        if not _can_link(columns_of(cursor, MEMBERS), fields):
            return {}
        asked = {"member": "member"} | {f"v{i}": quote(ref.name) for i, ref in enumerate(fields)}
        found = cursor.execute(f"{select(asked, _opted_in())} ORDER BY member_ix", [today, today])
        named: list[tuple[bytes, str]] = []
        while rows := found.fetchmany(_BATCH):
            named += _named(fields, rows)
    times = Counter(name for name, _ in named)
    return {name: member for name, member in named if times[name] == 1}


def _can_link(columns: Sequence[str], fields: Sequence[ColumnRef]) -> bool:
    return LINKAGE in purposes_in(columns) and {ref.name for ref in fields} <= set(columns)


def _opted_in() -> str:
    """SQL: members whose own word on the purpose holds on a day (given twice)."""
    own = quote(consent_columns(LINKAGE)[3])
    return (
        f"{MEMBERS} JOIN consent_classes k ON k.number = {quote(class_column(LINKAGE))} "
        f"WHERE {own} AND (k.valid_from IS NULL OR k.valid_from <= ?) "
        "AND (k.valid_until IS NULL OR k.valid_until >= ?)"
    )


def _named(
    fields: Sequence[ColumnRef], rows: Sequence[tuple[str | None, ...]]
) -> list[tuple[bytes, str]]:
    named, names = [], [ref.name for ref in fields]
    for member, *values in rows:
        written = [
            spelt(ref.column.type, value or "") for ref, value in zip(fields, values, strict=True)
        ]
        if member is not None and all(written):
            named.append((person(names, written), member))
    return named


def stage(
    records: Records, session: LinkSession, transcript: str, counted: Mapping[str, bool]
) -> None:
    """Keep what was learnt of each linked member: counted here, or elsewhere."""
    fields = json.dumps(list(session.fields))
    with records.transaction() as cursor:
        _drop_staged(cursor)
        cursor.execute(
            "INSERT INTO linkages VALUES (?, ?, ?, false)", [session.digest, fields, transcript]
        )
        columns = columns_of(cursor, MEMBERS)
        if not columns:
            return
        learnt = select(
            {
                "member": "unnest(CAST(? AS VARCHAR[]))",
                "counted": "unnest(CAST(? AS BOOLEAN[]))",
            },
            "range(1)",
        )
        identity = _identity(columns, session.fields)
        asked = {"member": "member", "identity": identity, "counted": "counted"}
        source = f"({learnt}) JOIN {MEMBERS} USING (member)"
        rows = select({"session": literal(session.digest)} | asked, source)
        cursor.execute(f"INSERT INTO linked {rows}", [list(counted), list(counted.values())])


def _drop_staged(cursor: Cursor) -> None:
    cursor.execute(
        "DELETE FROM linked WHERE session IN (SELECT session FROM linkages WHERE NOT applied)"
    )
    cursor.execute("DELETE FROM linkages WHERE NOT applied")


def staged_transcript(records: Records, session: str) -> str:
    """The transcript by which this session was learnt here; raises Refused(NOT_LINKED)."""
    with records.snapshot() as cursor:
        found = cursor.execute("SELECT transcript FROM linkages WHERE session = ?", [session])
        row = found.fetchone()
    if row is None:
        raise Refused(Code.NOT_LINKED)
    return str(row[0])


def applied(records: Records) -> str:
    """The session that the records' column is of; "" for none."""
    with records.snapshot() as cursor:
        row = cursor.execute("SELECT session FROM linkages WHERE applied").fetchone()
    return "" if row is None else str(row[0])


def apply(records: Records, session: str) -> None:
    """Count by this linkage from now on; again changes nothing. Raises Refused(NOT_LINKED)."""
    staged_transcript(records, session)
    if applied(records) == session:
        return
    with records.transaction() as cursor:
        cursor.execute("DELETE FROM linked WHERE session <> ?", [session])
        cursor.execute("DELETE FROM linkages WHERE session <> ?", [session])
        cursor.execute("UPDATE linkages SET applied = true WHERE session = ?", [session])
        reapply(cursor)
        leave_mark(cursor)


def forget(records: Records, *, staged_only: bool = False) -> None:
    """Nothing of a linkage is left; or nothing of one that was learnt and never in force."""
    with records.transaction() as cursor:
        if staged_only:
            _drop_staged(cursor)
            return
        cursor.execute("DELETE FROM linked")
        cursor.execute("DELETE FROM linkages")
        _drop_columns(cursor)
        leave_mark(cursor)


def reapply(cursor: Cursor) -> None:
    """Make the column of the linkage in force, if there is one, in the caller's transaction."""
    columns = columns_of(cursor, MEMBERS)
    row = cursor.execute("SELECT session, fields FROM linkages WHERE applied").fetchone()
    if not columns or row is None:
        return
    session, fields = str(row[0]), json.loads(row[1])
    _drop_columns(cursor)
    name = quote(linked_column(session))
    cursor.execute(f"ALTER TABLE {MEMBERS} ADD COLUMN {name} INTEGER")
    if LINKAGE not in purposes_in(columns):
        add_purpose(cursor, purposes_in(columns), LINKAGE)
    if not set(fields) <= set(columns):
        cursor.execute("DELETE FROM linked")
        return
    same = (
        f"m.member = l.member AND {_identity(columns, fields)} = l.identity "
        f"AND m.{quote(consent_columns(LINKAGE)[3])} "
        f"AND m.{quote(class_column(LINKAGE))} IS NOT NULL"
    )
    cursor.execute(
        f"DELETE FROM linked l WHERE NOT EXISTS (SELECT 1 FROM {MEMBERS} m WHERE {same})"  # noqa: S608
    )
    cursor.execute(
        f"UPDATE {MEMBERS} SET {name} = CAST(l.counted AS INTEGER) "  # noqa: S608
        f"FROM linked l WHERE l.member = {MEMBERS}.member"
    )


def _identity(columns: Sequence[str], fields: Sequence[str]) -> str:
    """SQL: what stands in the fields of a member, as one text that does not show it."""
    if not set(fields) <= set(columns):
        raise BadInput("the records have no such fields", instead="import again")
    values = ", ".join(quote(name) for name in fields)
    return f"sha256(CAST([{values}] AS VARCHAR))"


def _drop_columns(cursor: Cursor) -> None:
    for name in linked_columns(columns_of(cursor, MEMBERS)):
        cursor.execute(f"ALTER TABLE {MEMBERS} DROP COLUMN {quote(name)}")


def opted_in(records: Records, today: date) -> int:
    """How many members' own word on linkage holds. Stays in the building."""
    with records.snapshot() as cursor:
        if LINKAGE not in purposes_in(columns_of(cursor, MEMBERS)):
            return 0
        found = cursor.execute(select({"n": "count(*)"}, _opted_in()), [today, today])
        return int(found.fetchone()[0])


def linked_numbers(records: Records) -> dict[str, int]:
    """How many members are linked, and counted here. Stays in the building."""
    with records.snapshot() as cursor:
        found = cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE counted) FROM linked "
            "WHERE session IN (SELECT session FROM linkages WHERE applied)"
        ).fetchone()
    return {"linked": int(found[0]), "counted_here": int(found[1])}
