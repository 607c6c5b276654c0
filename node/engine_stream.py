"""Sums whose members' vectors are functions of their rows: the database hands the rows over.

Rows come in batches of whole members, in the order of the database's own scan or, of a many-row
table, ordered by member; memory holds one batch. Which members are asked was decided before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.figures.types import FigureColumn
from models.regression.batch import many_table as one_many_table
from models.regression.slopes import DAYS_PER_YEAR
from models.rows import Rows, TableRows
from models.streamed import Streamed
from node.engine_cohort import Expr, ibis, many_table, number, whole
from node.engines.protocol import Reading
from node.layout import is_coded, is_date
from privacy.contract.dictionary import ColumnRef, Dictionary, Table

BATCH = 65_536
DAY_SECONDS = 86_400
Arrays = Mapping[str, NDArray[Any]]
_MEMBER, _RANK = "member_ix", "row_rank"


def one_row(shape: Streamed) -> frozenset[ColumnRef]:
    """What is read of the member table."""
    return frozenset(ref for ref in shape.columns if not ref.many)


def streamed(reading: Reading, shape: Streamed, members: Expr, site: str = "") -> NDArray[np.int64]:
    """[shape.length]: the sum over `members`, a narrowed member table with the columns read."""
    refs = sorted(shape.columns, key=lambda ref: ref.name)
    total = np.zeros(shape.length, dtype=np.int64)
    for _, part in parts(reading, refs, one_many_table(refs), members):
        total += shape.fold(part, np.ones(part.members, dtype=bool), site)
    return total


def parts(
    reading: Reading, refs: list[ColumnRef], table: Table | None, members: Expr
) -> Iterator[tuple[NDArray[np.int64], Rows]]:
    """Whole members, so many at a time, by their `member_ix` and as rows in memory.

    `table` is the one many-row table among `refs`.
    """
    rows = _one_row_lines(members, refs) if table is None else _lines(members, refs, table)
    for arrays in _whole_members(reading.batches(rows, BATCH), table is not None):
        place = np.asarray(arrays[_MEMBER], dtype=np.int64)
        first = place if table is None else place[np.flatnonzero(np.diff(place, prepend=-1))]
        yield first, _rows(refs, arrays, table)


def _one_row_lines(members: Expr, refs: list[ColumnRef]) -> Expr:
    return members.select(_MEMBER, **{ref.name: _plain(members, ref) for ref in refs})


def _lines(members: Expr, refs: list[ColumnRef], table: Table) -> Expr:
    """Each row of the many-row table with the member's own columns, members together."""
    many = [ref for ref in refs if ref.many]
    rows = many_table(table, frozenset(many))
    chosen = rows.select(_MEMBER, _RANK, **{ref.name: _plain(rows, ref) for ref in many})
    joined = _one_row_lines(members, [ref for ref in refs if not ref.many]).join(chosen, _MEMBER)
    return joined.order_by([joined[_MEMBER], joined[_RANK]])


def _plain(rows: Expr, ref: ColumnRef) -> Expr:
    """Doubles as they are, dates in years; codes with -1 for what is missing."""
    if is_date(ref.column):
        seconds = rows[ref.name].cast("timestamp").epoch_seconds().cast("float64")
        return seconds / number(DAY_SECONDS * DAYS_PER_YEAR)
    if not is_coded(ref.column):
        return rows[ref.name].cast("float64")
    return ibis().coalesce(rows[ref.name].cast("int64"), whole(-1))


def _whole_members(batches: Iterator[Arrays], ordered: bool) -> Iterator[Arrays]:
    """The same rows, none of a member's in two parts: the last member waits for the next."""
    if not ordered:
        yield from batches
        return
    waiting: Arrays | None = None
    for batch in batches:
        joined = batch if waiting is None else _joined(waiting, batch)
        member = joined[_MEMBER]
        cut = int(np.searchsorted(member, member[-1])) if len(member) else 0
        waiting = {name: each[cut:] for name, each in joined.items()}
        if cut:
            yield {name: each[:cut] for name, each in joined.items()}
    if waiting is not None and len(waiting[_MEMBER]):
        yield waiting


def _joined(first: Arrays, second: Arrays) -> Arrays:
    return {name: np.concatenate([first[name], second[name]]) for name in first}


def _rows(refs: list[ColumnRef], arrays: Arrays, many: Table | None) -> Rows:
    """A batch as rows in memory; only the tables and columns that are read are filled."""
    lines = arrays[_MEMBER]
    edges = np.flatnonzero(np.diff(lines, prepend=-1)) if many else np.arange(len(lines))
    everyone = np.arange(len(edges), dtype=np.int64)
    tables: dict[str, TableRows] = {}
    for ref in refs:
        if many is not None and ref.many:
            member = np.cumsum(np.diff(lines, prepend=-1) != 0) - 1
            found = TableRows(member, arrays[_RANK].astype(np.int64), {})
            values = arrays[ref.name]
        else:
            found = TableRows(everyone, np.zeros_like(everyone), {})
            values = arrays[ref.name][edges] if many else arrays[ref.name]
        name = ref.name if isinstance(ref, FigureColumn) else ref.table.name
        known = tables.get(name, found)
        tables[name] = TableRows(known.member, known.rank, {**known.values, _key(ref): values})
    return Rows(Dictionary(tables=()), len(edges), tables)


def _key(ref: ColumnRef) -> str:
    return ref.name if isinstance(ref, FigureColumn) else ref.column.name
