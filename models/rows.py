"""Members' rows in memory, as numpy columns: for mock data, tests and the reference.

Missing values are -1 among level codes, NaN among numbers and NaT among dates; free text is
not kept. What is held here does not print.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from privacy.contract.dictionary import Column, ColumnRef, ColumnType, Dictionary, Table
from privacy.errors import BadInput

Codes = NDArray[np.int64]
Values = NDArray[Any]  # int64 codes, float64 numbers or datetime64[D] dates


class Columns(Protocol):
    """A pandas DataFrame, or a mapping from column name to values."""

    def __contains__(self, name: Any, /) -> bool: ...
    def __getitem__(self, name: Any, /) -> Any: ...


@dataclass(frozen=True, repr=False, eq=False)
class TableRows:
    """Rows of one table. `member` holds positions in the list of members, `rank` counts the
    rows of each member from 0 in the order given; `values` has one array per column."""

    member: Codes
    rank: Codes
    values: Mapping[str, Values]

    def first(self, most: int) -> TableRows:
        """Only rows of a rank below `most`: what one member may bring."""
        keep = self.rank < most
        if keep.all():
            return self
        values = {name: array[keep] for name, array in self.values.items()}
        return TableRows(self.member[keep], self.rank[keep], values)


@dataclass(frozen=True, repr=False, eq=False)
class Rows:
    """All tables of one organisation. `members` is their number; they are known by position."""

    dictionary: Dictionary
    members: int
    tables: Mapping[str, TableRows]

    def of(self, ref: ColumnRef) -> tuple[TableRows, Values]:
        """The table's rows within the declared number per member, and the column's values."""
        rows = self.tables[ref.table.name].first(ref.table.max_rows_per_member)
        return rows, rows.values[ref.column.name]

    def select(self, keep: NDArray[np.bool_]) -> Rows:
        """The rows of the members where `keep` (shape [members]) is true."""
        place = np.cumsum(keep) - 1
        tables = {}
        for name, rows in self.tables.items():
            mine = keep[rows.member]
            values = {column: array[mine] for column, array in rows.values.items()}
            tables[name] = TableRows(place[rows.member[mine]], rows.rank[mine], values)
        return Rows(self.dictionary, int(keep.sum()), tables)


def is_known(values: Values) -> NDArray[np.bool_]:
    """True where a value is not missing."""
    if values.dtype == np.int64:
        return np.asarray(values >= 0)
    return ~np.asarray(np.isnat(values) if values.dtype.kind == "M" else np.isnan(values))


def cell_codes(column: Column, values: Values) -> Codes:
    """The position of each value among the column's levels or bins; -1 where missing."""
    if column.levels:
        return values
    inner = np.array(column.edges[1:-1], dtype=np.float64)
    codes = np.searchsorted(inner, values, side="right")
    return np.where(is_known(values), codes, -1).astype(np.int64)


def from_tables(
    dictionary: Dictionary, tables: Mapping[str, Columns], members: Iterable[Any] | None = None
) -> Rows:
    """Rows from frames or dicts of lists, one per table, each with its key column.

    A table or column that is absent is missing throughout. Members are `members` and those of
    all tables, in order of appearance. As at an import, numbers and dates are clamped to their
    bounds, and rows rank by the table's time, then in the order given. Raises BadInput for an
    undeclared table, an unknown level, and a value that does not parse.
    """
    unknown = [name for name in tables if name not in {table.name for table in dictionary.tables}]
    if unknown:
        raise BadInput(f"no table {unknown[0]!r} is declared")
    keys = {
        table.name: list(tables[table.name][table.key]) if table.name in tables else []
        for table in dictionary.tables
    }
    every = [key for each in keys.values() for key in each]
    names = [] if members is None else list(members)
    place = {key: index for index, key in enumerate(dict.fromkeys([*names, *every]))}
    found = {}
    for table in dictionary.tables:
        member = np.array([place[key] for key in keys[table.name]], dtype=np.int64)
        found[table.name] = _table(table, tables.get(table.name, {}), member)
    return Rows(dictionary, len(place), found)


def _table(table: Table, data: Columns, member: Codes) -> TableRows:
    values = {}
    for column in table.columns:
        if column.type is ColumnType.TEXT:
            continue
        given = list(data[column.name]) if column.name in data else [None] * len(member)
        values[column.name] = _values(column, given)
    rank = ranks(member, _time_order(table, data, values, len(member)))
    kept = {c.name: _clamped(c, values[c.name]) for c in table.columns if c.name in values}
    return TableRows(member, rank, kept)


def _time_order(
    table: Table, data: Columns, values: Mapping[str, Values], rows: int
) -> Codes | None:
    """Row numbers by time as written, unknown ones last; None where the order given stays."""
    if table.time is None or table.time not in data:
        return None
    if table.time in values:
        times = values[table.time]
        keys: list[Any] = list(zip(~is_known(times), times.tolist(), strict=True))
    else:
        keys = [_time_key(value) for value in data[table.time]]
    return np.array(sorted(range(rows), key=lambda row: keys[row]), dtype=np.int64)


def _time_key(value: Any) -> tuple[bool, float, str]:
    """Numbers before texts before nothing."""
    if value is None:
        return True, math.inf, ""
    try:
        return False, float(value), ""
    except ValueError:
        return False, math.inf, str(value)


def ranks(member: Codes, order: Codes | None = None) -> Codes:
    """0, 1, 2, … within each member, in the order of the rows or of `order`."""
    start = np.arange(len(member)) if order is None else order
    order = start[np.argsort(member[start], kind="stable")]
    ordered = member[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    counts = np.diff(np.append(starts, len(ordered)))
    rank = np.empty(len(member), dtype=np.int64)
    rank[order] = np.arange(len(member)) - np.repeat(starts, counts)
    return rank


def _values(column: Column, given: list[Any]) -> Values:
    known = [None if _missing(column, value) else value for value in given]
    match column.type:
        case ColumnType.INTEGER | ColumnType.NUMBER:
            numbers = [math.nan if value is None else _number(column, value) for value in known]
            return np.array(numbers, dtype=np.float64)
        case ColumnType.DATE:
            dates = ["NaT" if value is None else str(value)[:10] for value in known]
            return np.array(dates, dtype="datetime64[D]")
        case _:
            place = {level: code for code, level in enumerate(column.levels)}
            codes = [-1 if value is None else _level(column, place, value) for value in known]
            return np.array(codes, dtype=np.int64)


def _clamped(column: Column, values: Values) -> Values:
    """Within the declared bounds, as an import keeps them; bounds of dates count days."""
    if column.bounds is None or column.levels:
        return values
    if values.dtype == np.float64:
        return np.clip(values, *column.bounds)
    low, high = (np.datetime64(round(day), "D") for day in column.bounds)
    return np.clip(values, low, high)


def _missing(column: Column, value: Any) -> bool:
    if value is None or (isinstance(value, str) and value in column.missing):
        return True
    return type(value).__name__ in ("NAType", "NaTType") or (
        isinstance(value, float) and math.isnan(value)
    )


def _number(column: Column, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise BadInput("a value is not a number", where=column.name) from None
    if not math.isfinite(number):
        raise BadInput("a value is not finite", where=column.name)
    return number


def _level(column: Column, place: Mapping[str, int], value: Any) -> int:
    whole = isinstance(value, float) and value.is_integer()
    text = str(value).lower() if isinstance(value, bool | np.bool_) else str(value)
    code = place.get(text, place.get(str(int(value))) if whole else None)
    if code is None:
        raise BadInput("a value is no declared level", where=column.name)
    return code
