"""Erasing a member: their records, words and salts go; what shows that it was done stays.

- Nothing of it is in the ledger, which holds nothing of members. The next root of the consent
  table covers a note that a steward erased somebody on a day; the organisation can open it.
- No budget comes back: what was answered with this member was answered.
- A salted hash of the member's key stays, so that a later import leaves them out. Their balance
  goes: under that key nobody counts again, and under another one they are somebody unknown, who
  starts at the most that anybody can have lost here (node.balances).
"""

from __future__ import annotations

from node import balance_book
from node.engines.embedded import columns_of
from node.layout import MEMBERS, Cursor, literal, quote, select
from node.linked import unlink
from node.records import Records, leave_mark
from privacy.errors import BadInput
from privacy.randomness import Entropy

_SALT = "erased"


def erase_member(
    records: Records, member: str, *, by: str, at: str, reference: str, entropy: Entropy
) -> None:
    """Take a member out of everything, in one transaction. Raises BadInput for nobody known."""
    with records.transaction() as cursor:
        _check_known(cursor, member)
        unlink(cursor, member)
        balance_book.forget(cursor, member)
        _delete_records(cursor, member)
        cursor.execute(
            "UPDATE consent_leaves SET salt = NULL WHERE seq IN "
            "(SELECT seq FROM consent_changes WHERE member = ?)",
            [member],
        )
        cursor.execute("DELETE FROM consent_changes WHERE member = ?", [member])
        _remember(cursor, member, entropy)
        cursor.execute(
            "INSERT INTO erasures (erased_at, steward, reference) VALUES (?, ?, ?)",
            [at, by, reference],
        )
        leave_mark(cursor)


def _check_known(cursor: Cursor, member: str) -> None:
    tables = ["consent_changes", *([MEMBERS] if columns_of(cursor, MEMBERS) else [])]
    for table in tables:
        found = cursor.execute(f"SELECT count(*) FROM {table} WHERE member = ?", [member])  # noqa: S608
        if found.fetchone()[0]:
            return
    raise BadInput(f"no member {member!r}", instead="write the key as in the imported files")


def _delete_records(cursor: Cursor, member: str) -> None:
    if not columns_of(cursor, MEMBERS):
        return
    many = cursor.execute(
        "SELECT table_name FROM duckdb_tables() WHERE NOT temporary AND table_name LIKE 'rows:%'"
    ).fetchall()
    for (table,) in many:
        cursor.execute(
            f"DELETE FROM {quote(table)} WHERE member_ix IN "  # noqa: S608
            f"(SELECT member_ix FROM {MEMBERS} WHERE member = ?)",
            [member],
        )
    cursor.execute(f"DELETE FROM {MEMBERS} WHERE member = ?", [member])  # noqa: S608


def _remember(cursor: Cursor, member: str, entropy: Entropy) -> None:
    cursor.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", [_SALT, entropy(32).hex()]
    )
    hashed = select({"hash": f"sha256(({_SALTED}) || CAST(? AS VARCHAR))"}, "range(1)")
    cursor.execute(f"INSERT INTO erased {hashed} ON CONFLICT DO NOTHING", [member])


def not_erased() -> str:
    """SQL, over rows with a `member`: is it nobody who was erased?"""
    hashed = f"sha256(({_SALTED}) || member)"
    return f"(SELECT count(*) FROM erased) = 0 OR {hashed} NOT IN (SELECT hash FROM erased)"  # noqa: S608


_SALTED = select({"value": "value"}, f"meta WHERE key = {literal(_SALT)}")
