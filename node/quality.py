"""How good the records are, column by column. Exact figures, for the organisation alone.

One scan of each table inside the database; no row is read out of it. What looks wrong is said
in words, so that whoever knows the data can look at it at the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from models.digits import many
from node.engines.embedded import columns_of
from node.layout import (
    MEMBERS,
    Cursor,
    double,
    is_coded,
    is_date,
    is_numeric,
    quote,
    rows_table,
    select,
)
from node.records import Records
from privacy.contract.dictionary import Column, ColumnRef, Dictionary, Rows, Table

OFTEN_MISSING = 0.2
AT_A_BOUND = 0.05


@dataclass(frozen=True)
class ColumnQuality:
    """One column: how many rows have a value, from where to where, and what looks wrong."""

    name: str
    rows: int
    known: int
    span: str
    concerns: tuple[str, ...]

    @property
    def missing(self) -> float:
        return 1 - self.known / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class TableQuality:
    """One table: its rows, the members who have any, and its columns."""

    name: str
    rows: int
    members: int
    columns: tuple[ColumnQuality, ...]
    concerns: tuple[str, ...]


def quality(records: Records, dictionary: Dictionary, today: date) -> tuple[TableQuality, ...]:
    """The report of every table of the dictionary that was imported; () before the first import."""
    with records.snapshot() as cursor:
        if not columns_of(cursor, MEMBERS):
            return ()
        everybody = _row(cursor, {"n": "count(*)"}, MEMBERS)[0]
        return tuple(
            _table(cursor, table, int(everybody), today)
            for table in dictionary.tables
            if table.rows is Rows.ONE or columns_of(cursor, rows_table(table))
        )


def _table(cursor: Cursor, table: Table, everybody: int, today: date) -> TableQuality:
    source = MEMBERS if table.rows is Rows.ONE else quote(rows_table(table))
    there = set(columns_of(cursor, source.strip('"')))
    refs = [r for c in table.columns if (r := ColumnRef(table, c)).name in there]
    asked = {"rows": "count(*)", "members": "count(DISTINCT member_ix)"}
    for at, ref in enumerate(refs):
        asked |= {f"{name}{at}": sql for name, sql in _figures(ref.column, quote(ref.name)).items()}
    found = dict(zip(asked, _row(cursor, asked, source), strict=True))
    rows, members = int(found["rows"]), int(found["members"])
    columns = tuple(
        _column(ref, rows, {name: found.get(f"{name}{at}") for name in _NAMES}, today)
        for at, ref in enumerate(refs)
    )
    return TableQuality(table.name, rows, members, columns, _of_table(table, members, everybody))


_NAMES = ("known", "low", "high", "lowest", "highest", "used")


def _figures(column: Column, name: str) -> dict[str, str]:
    """What is asked of one column."""
    asked = {"known": f"count({name})"}
    if is_coded(column):
        return asked | {"used": f"list_sort(list(DISTINCT {name}) FILTER ({name} IS NOT NULL))"}
    if is_numeric(column) or is_date(column):
        asked |= {"low": f"min({name})", "high": f"max({name})"}
    if is_numeric(column) and column.bounds is not None:
        low, high = column.bounds
        asked["lowest"] = f"count(*) FILTER ({name} <= {double(low)})"
        asked["highest"] = f"count(*) FILTER ({name} >= {double(high)})"
    return asked


def _column(ref: ColumnRef, rows: int, found: dict[str, Any], today: date) -> ColumnQuality:
    column, known = ref.column, int(found["known"])
    concerns = [*_missing(rows, known), *_at_bounds(column, known, found)]
    span = ""
    if is_coded(column):
        used = [column.levels[int(code)] for code in found["used"] or ()]
        span = ", ".join(used)
        unused = [level for level in column.levels if level not in used]
        if known and unused:
            concerns.append(f"never used: {', '.join(unused)}")
    elif found["low"] is not None:
        span = f"{_shown(found['low'])} to {_shown(found['high'])}"
    if is_date(column) and found["high"] is not None and _day(found["high"]) > today:
        concerns.append("some days lie in the future")
    if known and found["low"] is not None and found["low"] == found["high"]:
        concerns.append("one value only")
    return ColumnQuality(ref.column.name, rows, known, span, tuple(concerns))


def _missing(rows: int, known: int) -> list[str]:
    if rows and not known:
        return ["no row has a value: is the column mapped?"]
    if rows and known < (1 - OFTEN_MISSING) * rows:
        return [f"often missing: in {many(rows - known, 'row')} of {rows:,}"]
    return []


def _at_bounds(column: Column, known: int, found: dict[str, Any]) -> list[str]:
    """Values are clamped to the bounds, so many at one mean other units, or bounds too narrow."""
    said = []
    for name, bound in (("lowest", column.lower), ("highest", column.upper)):
        count = int(found[name] or 0)
        if known and count > AT_A_BOUND * known:
            said.append(f"{many(count, 'value')} at the bound {bound}: are the units right?")
    return said


def _of_table(table: Table, members: int, everybody: int) -> tuple[str, ...]:
    if table.rows is Rows.ONE or members == everybody:
        return ()
    return (f"{many(everybody - members, 'member')} have no row here",)


def _day(value: Any) -> date:
    return value.date() if hasattr(value, "date") else date.fromisoformat(str(value)[:10])


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)[:10]


def _row(cursor: Cursor, asked: dict[str, str], source: str) -> Sequence[Any]:
    found: Sequence[Any] = cursor.execute(select(asked, source)).fetchone()
    return found
