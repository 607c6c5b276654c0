"""How records lie in the database: the names and types of its tables and columns.

One wide table `members` holds a row per member with every column of the one-row tables, so
that a question on them is a scan of one table. Each many-row table is a table of its own.

    members        member_ix (0, 1, 2, …), member (the organisation's own key),
                   "table.column" …, "bin:table.column" …, "consent:purpose" … (node.consent)
    rows:TABLE     member_ix, row_rank (0 = first by time, then by file order), the columns

Levels are stored as codes (their place in the dictionary), numbers as doubles, dates as dates;
a column with declared bins also has the bin's code. Identifiers and free text stay text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from privacy.contract.dictionary import Column, ColumnRef, ColumnType, Table

Cursor = Any  # duckdb.DuckDBPyConnection: a connection of its own to the same database

MEMBERS = "members"
_TINY = 255


def rows_table(table: Table) -> str:
    """The name of the database table that holds a many-row table."""
    return f"rows:{table.name}"


def bin_column(ref: ColumnRef) -> str:
    """The name of the column with the code of the value's bin."""
    return f"bin:{ref.name}"


def cell_column(ref: ColumnRef) -> str:
    """The name of the column with the code of the cell: the level's or the bin's."""
    return ref.name if ref.column.levels else bin_column(ref)


def has_stored_cells(ref: ColumnRef) -> bool:
    """Are the cells of `ref` those of the dictionary, whose codes the import wrote?

    A question may give a column other bins than its table declares, and figures are not stored.
    """
    if ref.column.levels:
        return True
    declared = (each for each in ref.table.columns if each.name == ref.column.name)
    return any(each.bins == ref.column.bins for each in declared)


def is_coded(column: Column) -> bool:
    """Is the column stored as level codes?"""
    return bool(column.levels) and not column.identifier


def is_numeric(column: Column) -> bool:
    numeric = column.type in (ColumnType.INTEGER, ColumnType.NUMBER)
    return numeric and not column.identifier


def is_date(column: Column) -> bool:
    return column.type is ColumnType.DATE and not column.identifier


def code_type(cells: int) -> str:
    """The smallest unsigned SQL type for codes 0 … cells - 1."""
    return "UTINYINT" if cells <= _TINY else "USMALLINT"


def sql_type(column: Column) -> str:
    """The SQL type a column is stored in."""
    if is_coded(column):
        return code_type(len(column.levels))
    if is_numeric(column):
        return "DOUBLE"
    return "DATE" if is_date(column) else "VARCHAR"


def quote(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def double(value: float) -> str:
    """A double as SQL that reads back as the same bits (a bare literal would be a decimal)."""
    return f"CAST('{value!r}' AS DOUBLE)"


def select(columns: Mapping[str, str], source: str) -> str:
    """`SELECT … FROM source`, with each column's SQL under its name.

    The only place where a statement is put together from parts: names come quoted from here
    (`quote`), texts from `literal`.
    """
    listed = ", ".join(f"{sql} AS {quote(name)}" for name, sql in columns.items())
    return f"SELECT {listed} FROM {source}"  # noqa: S608


def offer(cursor: Cursor, name: str, table: Any) -> None:
    """Let SQL read an Arrow table under a name."""
    cursor.execute("SELECT 1").fetchall()  # nothing may be left to fetch
    cursor.register(name, table)
