"""Which members were linked, as a column of the member table: 1 counted here, 0 elsewhere.

The column's name holds the linkage session's, so that a view of the records (a copy in another
database too) either is of that linkage or does not have the column. Beside it the table `linked`
keeps, by the organisation's own keys, what the column is made of again after an import.
"""

from __future__ import annotations

from collections.abc import Iterable

from node.engines.embedded import columns_of
from node.layout import MEMBERS, Cursor, quote

LINKAGE = "linkage"  # the purpose that members consent to
_HEAD = "linked:"
_LETTERS = 32


def linked_column(session: str) -> str:
    """The name of the member table's column for a linkage session."""
    return f"{_HEAD}{session[:_LETTERS]}"


def linked_columns(columns: Iterable[str]) -> list[str]:
    """The columns of linkages among these: one, or none."""
    return [name for name in columns if name.startswith(_HEAD)]


def unlink(cursor: Cursor, member: str) -> None:
    """Forget one member's place in a linkage: until the next one they are not linked."""
    cursor.execute("DELETE FROM linked WHERE member = ?", [member])
    for name in linked_columns(columns_of(cursor, MEMBERS)):
        changes = f"{quote(name)} = NULL"
        cursor.execute(f"UPDATE {MEMBERS} SET {changes} WHERE member = ?", [member])  # noqa: S608
