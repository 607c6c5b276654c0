"""Rows of whole members, as numpy columns: what a streamed sum is computed from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.figures.reference import values_of
from models.figures.types import FigureColumn
from models.rows import Codes, Rows, TableRows, Values
from privacy.contract.dictionary import ColumnRef, Table
from privacy.errors import BadInput

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, repr=False, eq=False)
class Batch:
    """One line per row, members' lines together; values by full column name.

    `member` numbers the members 0, 1, 2, … of this batch in order, each with at least one row;
    codes are -1 and numbers NaN where missing. `site` is the organisation's place in the list of
    organisations, -1 where no analysis asks for it. What is held here does not print.
    """

    member: Codes
    members: int
    values: Mapping[str, Values]
    site: int = -1

    def of(self, ref: ColumnRef) -> Values:
        return self.values[ref.name]

    @property
    def rows(self) -> int:
        return len(self.member)


def many_table(refs: Iterable[ColumnRef]) -> Table | None:
    """The one many-row table among `refs`. Raises BadInput for two."""
    tables = {ref.table.name: ref.table for ref in refs if ref.many}
    if len(tables) > 1:
        raise BadInput(
            "columns of two many-row tables: " + " and ".join(sorted(tables)),
            instead="use columns of one of them",
        )
    return next(iter(tables.values()), None)


def batch_of(rows: Rows, refs: Iterable[ColumnRef], mask: Mask, site: int = -1) -> Batch:
    """The members of `mask` with all their rows, as the node's engine would hand them over.

    A member without a row in the many-row table has none here either.
    """
    wanted = sorted(set(refs), key=lambda ref: ref.name)
    many = many_table(wanted)
    if many is None:
        home = found = np.flatnonzero(mask)
        member, order = np.arange(len(found)), None
    else:
        table = rows.tables[many.name].first(many.max_rows_per_member)
        order = np.lexsort((table.rank, table.member))
        order = order[mask[table.member[order]]]
        home = table.member[order]
        found, member = np.unique(home, return_inverse=True)
    values = {ref.name: _column(rows, ref, home, order) for ref in wanted}
    return Batch(member.astype(np.int64), len(found), values, site)


def _column(rows: Rows, ref: ColumnRef, home: Codes, order: Any) -> Values:
    table, values = _found(rows, ref)
    if ref.many:
        return np.asarray(values[order])
    if len(home) == rows.members and np.array_equal(table.member, home):
        return np.asarray(values)  # everyone has a row, in order
    spread = np.full(rows.members, -1 if values.dtype == np.int64 else np.nan, dtype=values.dtype)
    spread[table.member] = values
    return spread[home]


def _found(rows: Rows, ref: ColumnRef) -> tuple[TableRows, Values]:
    """A column's rows; of a figure, as a node handed them over or computed here."""
    if isinstance(ref, FigureColumn) and ref.name in rows.tables:
        table = rows.tables[ref.name]
        return table, table.values[ref.name]
    return values_of(rows, ref)


def slices(batch: Batch, members: int, rows: int) -> Iterator[Batch]:
    """The same rows, at most `members` whole members at a time and at most `rows` rows, unless one
    member alone has more."""
    starts = np.searchsorted(batch.member, np.arange(batch.members + 1), side="left")
    begin = 0
    while begin < batch.members:
        fit = int(np.searchsorted(starts, starts[begin] + rows, side="right")) - 1
        end = max(min(begin + members, fit), begin + 1)
        part = slice(int(starts[begin]), int(starts[end]))
        values = {name: array[part] for name, array in batch.values.items()}
        yield Batch(batch.member[part] - begin, end - begin, values, batch.site)
        begin = end
