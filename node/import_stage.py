"""One file read into a temporary table and checked against the dictionary, before anything changes.

A staged table has a row per row of the file, numbered from 1 in the file's order (`row_no`), with
the member's key, the values (`v0`, `v1`, …), what could not be read (`e0`, `e1`, …), the time that
orders rows (`time`) and the words of its consent columns (`consent:…`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import duckdb

from node.consent import ALL, CONSENT, purpose_key
from node.import_source import Source, find_file, open_source
from node.import_values import known_text, plain_text, reading, rule_broken
from node.layout import Cursor, double, is_numeric, quote, select
from privacy.contract.dictionary import Column, Rows, Table
from privacy.errors import BadInput

_EPOCH = "DATE '1970-01-01'"


@dataclass(frozen=True)
class Staged:
    """A table's file, read and checked. `consent` maps a purpose's key to its column there."""

    table: Table
    source: Source
    consent: Mapping[str, str]

    @property
    def sql(self) -> str:
        """The temporary table's name in SQL."""
        return stage_name(self.table.name)


def stage_name(name: str) -> str:
    return quote(f"stage:{name}")


def table_file(folder: Path, table: Table) -> Path:
    """The file of a declared table; raises BadInput if there is none, naming the nearest."""
    path = find_file(folder, table.name)
    if path is not None:
        return path
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    close = get_close_matches(f"{table.name}.csv", names, n=1)
    hint = f"is {close[0]!r} meant?" if close else "add it, even with a header line alone"
    raise BadInput(
        f"table {table.name} has no file {table.name}.csv or {table.name}.parquet",
        where=str(folder),
        instead=hint,
    )


def stage_table(cursor: Cursor, table: Table, path: Path) -> Staged:
    """Read a table's file and check it. Raises BadInput naming file, column, row and rule."""
    staged = read_table(cursor, table, path)
    _check_values(cursor, staged)
    if table.rows is Rows.ONE:
        _check_one_row(cursor, staged)
    return staged


def read_table(cursor: Cursor, table: Table, path: Path) -> Staged:
    """Read a table's file, whatever its fields hold; raises BadInput for what is no such file."""
    source = open_source(cursor, path)
    staged = Staged(table, source, _consent_columns(table, source))
    statement = _statement(staged)
    try:
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE {staged.sql} AS {statement}")
    except duckdb.Error as error:
        raise source.unreadable(error) from None
    return staged


def _consent_columns(table: Table, source: Source) -> dict[str, str]:
    """Columns of a one-row table that record consent, by the purpose's key."""
    found: dict[str, str] = {}
    if table.rows is Rows.MANY:
        return found
    for name in source.columns:
        if name.lower() != CONSENT and not name.lower().startswith(f"{CONSENT}_"):
            continue
        key = purpose_key(name[len(CONSENT) :]) or ALL
        if key in found:
            raise BadInput(
                f"{found[key]!r} and {name!r} record the same consent",
                where=source.file,
                instead="keep one",
            )
        found[key] = name
    return found


def _statement(staged: Staged) -> str:
    """SQL in three layers: known, value, and what is neither (see node.import_values)."""
    table, source = staged.table, staged.source
    member = f"nullif({plain_text(source.column(table.key))}, '')"
    known = {"row_no": "row_number() OVER ()", "member": member}
    value = {"row_no": "row_no", "member": "member"}
    shown = dict(value)
    for i, column in enumerate(table.columns):
        read = reading(column, source.column(column.name))
        known[f"k{i}"] = read.known
        value |= {f"k{i}": f"k{i}", f"v{i}": read.value(f"k{i}")}
        bad = f"CASE WHEN v{i} IS NULL THEN CAST(k{i} AS VARCHAR) END"
        shown |= {f"v{i}": f"v{i}", f"e{i}": bad}
    known |= (texts := _extra(staged))
    extra = {name: quote(name) for name in texts}
    middle = select(value | extra, f"({select(known, source.relation)})")
    return select(shown | extra, f"({middle})")


def _extra(staged: Staged) -> dict[str, str]:
    """Columns taken as text: consent words, and a time that is not declared as a column."""
    default: tuple[str, ...] = Column.model_fields["missing"].default
    names = {f"{CONSENT}:{key}": name for key, name in staged.consent.items()}
    if undeclared_time(staged.table):
        names["time"] = str(staged.table.time)
    return {key: known_text(staged.source.column(name), default) for key, name in names.items()}


def undeclared_time(table: Table) -> bool:
    """Does the table's `time` name a column of the file that is not imported?"""
    declared = any(column.name == table.time for column in table.columns)
    return table.rows is Rows.MANY and table.time is not None and not declared


def _check_values(cursor: Cursor, staged: Staged) -> None:
    """Raise BadInput for the first row that breaks a rule, and its first column."""
    columns = staged.table.columns
    firsts = {"key": "min(row_no) FILTER (WHERE member IS NULL)"} | {
        f"e{i}": f"min(row_no) FILTER (WHERE e{i} IS NOT NULL)" for i in range(len(columns))
    }
    rows = cursor.execute(select(firsts, staged.sql)).fetchone()
    broken = [(row, place) for place, row in enumerate(rows) if row is not None]
    if not broken:
        return
    row, place = min(broken)
    name = staged.table.key if place == 0 else columns[place - 1].name
    where = f"{staged.source.file}, column {name}, row {row}"
    if place == 0:
        raise BadInput("the member's key is empty", where=where, instead="fill it in")
    bad = select({"bad": f"e{place - 1}"}, f"{staged.sql} WHERE row_no = {row}")
    raise rule_broken(columns[place - 1], cursor.execute(bad).fetchone()[0], where)


def _check_one_row(cursor: Cursor, staged: Staged) -> None:
    """Raise BadInput if a member stands twice in a table of one row per member."""
    counts = {"rows": "count(*)", "members": "count(DISTINCT member)"}
    rows, members = cursor.execute(select(counts, staged.sql)).fetchone()
    if rows == members:
        return
    order = "row_number() OVER (PARTITION BY member ORDER BY row_no)"
    ranked = select({"row": "row_no", "member": "member", "rank": order}, staged.sql)
    second = select({"row": "row", "member": "member"}, f"({ranked}) WHERE rank = 2 ORDER BY row")
    row, member = cursor.execute(second).fetchone()
    raise BadInput(
        f"member {member!r} has a second row in a table with one row per member",
        where=f"{staged.source.file}, column {staged.table.key}, row {row}",
        instead='keep one row, or declare rows = "many"',
    )


def stored(column: Column, value: str) -> str:
    """SQL of the value as it is kept: clamped to the declared bounds."""
    if column.bounds is None or column.identifier:
        return value
    low, high = (bound_sql(column, bound) for bound in column.bounds)
    return (
        f"CASE WHEN {value} < {low} THEN {low} WHEN {value} > {high} THEN {high} ELSE {value} END"
    )


def outside(column: Column, value: str) -> str:
    """SQL: is the value out of its column's bounds?"""
    if column.bounds is None or column.identifier:
        return "false"
    low, high = (bound_sql(column, bound) for bound in column.bounds)
    return f"({value} < {low} OR {value} > {high})"


def bound_sql(column: Column, bound: float) -> str:
    return double(bound) if is_numeric(column) else f"({_EPOCH} + CAST({bound:.0f} AS INTEGER))"
