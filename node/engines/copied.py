"""What of the records is copied to another database: all that a question can read, and no more.

The organisation's own keys, identifiers and free text stay in the node's file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from node.consent import class_column
from node.layout import MEMBERS, quote, select
from node.linked import linked_columns

_WIDER = {"UTINYINT": "SMALLINT", "USMALLINT": "INTEGER"}  # others know no unsigned numbers
_LEFT_OUT = "VARCHAR"
_CLASS = class_column("")


@dataclass(frozen=True)
class CopiedTable:
    """A table with the names and SQL types of the columns that are copied."""

    name: str
    columns: Mapping[str, str]

    def sql(self, named: Callable[[str], str] = str) -> str:
        """The rows, with types that every database knows, and names as it keeps them."""
        casts = {
            named(name): f"CAST({quote(name)} AS {kind})" for name, kind in self.columns.items()
        }
        return select(casts, quote(self.name))


def copied_tables(records: Any) -> tuple[CopiedTable, ...]:
    """The tables of the layout in the node's file, the member table first."""
    rows = records.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE NOT internal AND (table_name = ? OR table_name LIKE 'rows:%') "
        "ORDER BY table_name <> ?, table_name, column_index",
        [MEMBERS, MEMBERS],
    ).fetchall()
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        columns = tables.setdefault(table, {})
        if kind != _LEFT_OUT and not _unread(column):
            columns[column] = _WIDER.get(kind, kind)
    return tuple(CopiedTable(name, columns) for name, columns in tables.items())


def _unread(column: str) -> bool:
    """Of consent, a question reads the classes alone."""
    return column.startswith("consent") and not column.startswith(_CLASS)


def consent_row(records: Any, member: str) -> dict[str, int | None]:
    """`member_ix`, the classes of consent and the place in a linkage of one member."""
    members = copied_tables(records)[0]
    said = [name for name in members.columns if name.startswith(_CLASS)]
    names = ["member_ix", *said, *linked_columns(members.columns)]
    source = f"{MEMBERS} WHERE member = ?"
    row = records.execute(select({n: quote(n) for n in names}, source), [member]).fetchone()
    return dict(zip(names, row, strict=True))
