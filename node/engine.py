"""Sums computed where the records are: the integer total of what consenting members contribute.

Expressions are built with Ibis, compiled to one SQL statement and run on a snapshot. The shape
of the result, and whether there is one, depends on the question alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from math import prod
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from models.cohort.expression import Expression, columns_of
from models.contribution import BoundedValue, CellCounts, Contribution, Summary
from node.consent import key_in_force
from node.engine_cohort import (
    Expr,
    consenting,
    ibis,
    many_table,
    members_table,
    number,
    predicate,
    whole,
)
from node.layout import MEMBERS, cell_column
from node.records import Cursor, Records
from node.records import columns_of as database_columns
from privacy.contract.dictionary import ColumnRef, Table
from privacy.errors import CairnError

Total = NDArray[np.int64]
LARGEST_TOTAL = 2**62


class TotalTooLargeError(CairnError):
    """A total beyond 2^62: the declared number of members was too small. Never a wrong number."""


@dataclass(frozen=True)
class _Question:
    """Who is asked: a cohort, and the purpose they must have consented to, if any."""

    cohort: Expression
    purpose: str | None
    today: date


def total(
    records: Records,
    contribution: Contribution,
    cohort: Expression,
    *,
    purpose: str | None,
    today: date,
) -> Total:
    """Shape [contribution.length], in grid units: the sum over members of the cohort who consent.

    Equal, bit for bit, to `models.reference.total` on the same records. With `purpose` None no
    consent is asked for. Raises TotalTooLargeError instead of wrapping around.
    """
    question = _Question(cohort, purpose, today)
    with records.snapshot() as cursor:
        if not database_columns(cursor, MEMBERS):
            return np.zeros(contribution.length, dtype=np.int64)
        match contribution:
            case CellCounts():
                return _cells(cursor, contribution, question)
            case BoundedValue():
                return _values(cursor, contribution, question)
            case _:
                assert_never(contribution)


def prepare() -> None:
    """Load the libraries that the first question would otherwise wait for."""
    ibis().to_sql(ibis().table({"member_ix": "int32"}, name=MEMBERS), dialect="duckdb")


def _asked(cursor: Cursor, question: _Question, columns: frozenset[ColumnRef]) -> Expr:
    """The member table, narrowed to the members who are asked."""
    key = None
    if question.purpose is not None:
        key = key_in_force(database_columns(cursor, MEMBERS), question.purpose)
    members = members_table(columns | frozenset(columns_of(question.cohort)), key)
    wanted = [] if key is None else [consenting(members, key, question.today)]
    inside = predicate(question.cohort, members)
    wanted += [] if inside is None else [inside]
    return members.filter(wanted) if wanted else members


def _run(cursor: Cursor, expression: Expr) -> Cursor:
    return cursor.execute(str(ibis().to_sql(expression, dialect="duckdb")))


def _checked(values: list[int]) -> Total:
    if any(abs(value) >= LARGEST_TOTAL for value in values):
        raise TotalTooLargeError("a total exceeds 2^62")
    return np.array(values, dtype=np.int64)


# Counts of cells


def _cells(cursor: Cursor, shape: CellCounts, question: _Question) -> Total:
    """Group the asked members by the codes of the dimensions, and count."""
    asked = _asked(cursor, question, frozenset(dim for dim in shape.dims if not dim.many))
    if not shape.dims:
        count = _run(cursor, asked.agg(n=asked.count())).fetchone()[0]
        return _checked([int(count) * shape.weight])
    names = [cell_column(dim) for dim in shape.dims]
    placed = _placed(asked, shape, names)
    counted = placed.group_by([placed[name] for name in names]).agg(n=placed.count())
    return _filled(shape, names, _run(cursor, counted).fetchnumpy())


def _placed(asked: Expr, shape: CellCounts, names: list[str]) -> Expr:
    """One row per member and cell, with the cell's codes under `names`."""
    one = [cell_column(dim) for dim in shape.dims if not dim.many]
    if one:
        asked = asked.filter([asked[name].notnull() for name in one])
    tables = list({dim.table.name: dim.table for dim in shape.dims if dim.many}.values())
    if not tables:
        return asked
    placed = asked.select("member_ix", *one)
    for table in tables:
        placed = placed.join(_distinct(table, shape), "member_ix")
    if _most_cells(shape, tables) <= shape.max_cells:
        return placed
    return _first_cells(placed, shape, names)


def _distinct(table: Table, shape: CellCounts) -> Expr:
    """The distinct combinations of codes in which each member has a row."""
    dims = [dim for dim in shape.dims if dim.table.name == table.name]
    rows = many_table(table, frozenset(dims))
    names = [cell_column(dim) for dim in dims]
    known = rows.filter([rows[name].notnull() for name in names])
    return known.select("member_ix", *names).distinct()


def _most_cells(shape: CellCounts, tables: list[Table]) -> int:
    """How many cells a member can be in, by what is declared."""
    return prod(
        min(
            table.max_rows_per_member,
            prod(len(d.column.cell_labels) for d in shape.dims if d.table.name == table.name),
        )
        for table in tables
    )


def _first_cells(placed: Expr, shape: CellCounts, names: list[str]) -> Expr:
    """At most `max_cells` per member: those that come first in the order of cells."""
    parts = [
        placed[name].cast("int64") * whole(stride)
        for name, stride in zip(names, _strides(shape), strict=True)
    ]
    placed = placed.mutate(cell=sum(parts[1:], parts[0]))
    window = ibis().window(group_by=placed.member_ix, order_by=placed.cell)
    ranked = placed.mutate(cell_rank=ibis().row_number().over(window))
    return ranked.filter(ranked.cell_rank < whole(shape.max_cells))


def _strides(shape: CellCounts) -> list[int]:
    """How far apart neighbours along each dimension lie; the last varies fastest."""
    sizes = [len(dim.column.cell_labels) for dim in shape.dims]
    return [prod(sizes[i + 1 :]) for i in range(len(sizes))]


def _filled(shape: CellCounts, names: list[str], found: dict[str, Any]) -> Total:
    """Counts in row-major order, zero where no member is."""
    cells = np.zeros(len(found["n"]), dtype=np.int64)
    for name, stride in zip(names, _strides(shape), strict=True):
        cells += np.asarray(found[name]).astype(np.int64) * stride
    counts = np.asarray(found["n"]).astype(np.int64)
    _checked([int(counts.max(initial=0)) * shape.weight])
    filled = np.zeros(shape.length, dtype=np.int64)
    filled[cells] = counts * shape.weight
    return filled


# Sums of a bounded value


def _values(cursor: Cursor, shape: BoundedValue, question: _Question) -> Total:
    """Add up (count, value, square) over the asked members with a known value."""
    ref = shape.column
    if ref.many:
        asked = _asked(cursor, question, frozenset())
        each = asked.select("member_ix").join(_per_member(shape), "member_ix")
    else:
        asked = _asked(cursor, question, frozenset((ref,)))
        known = asked.filter(asked[ref.name].notnull())
        each = known.select(value=_quantised(shape, known[ref.name]))
    sums = {"value": each.value.sum()}
    if shape.count_weight > 0:
        sums = {"count": each.count() * whole(shape.count_weight)} | sums
    if shape.with_square:
        square = _floor_divide(each.value * each.value, whole(shape.scale))
        sums["square"] = (square - whole(shape.scale // 2)).sum()
    row = _run(cursor, each.agg(**sums)).fetchone()
    return _checked([int(part or 0) for part in row])


def _quantised(shape: BoundedValue, stored: Expr) -> Expr:
    """q of one value, in the order of operations that BoundedValue fixes."""
    scaled = (stored - number(shape.centre)) / number(shape.half_width) * number(shape.scale)
    q = (scaled + number(0.5)).floor()
    low, high = number(-shape.scale), number(shape.scale)
    return ibis().least(ibis().greatest(q, low), high).cast("int64")


def _per_member(shape: BoundedValue) -> Expr:
    """One value per member from many rows."""
    ref = shape.column
    rows = many_table(ref.table, frozenset((ref,)))
    known = rows.filter(rows[ref.name].notnull())
    each = known.select("member_ix", q=_quantised(shape, known[ref.name]))
    sums = each.group_by("member_ix").agg(n=each.count(), s=each.q.sum().cast("int64"))
    match shape.summary:
        case Summary.VALUE:
            return sums.select("member_ix", value=sums.s)
        case Summary.SUM:
            step = shape.rows_per_step
            return sums.select("member_ix", value=_rounded(sums.s, step, shape.scale))
        case Summary.MEAN:
            return sums.select("member_ix", value=_rounded(sums.s, sums.n, shape.scale))
        case _:
            assert_never(shape.summary)


def _rounded(summed: Expr, rows: Expr | int, scale: int) -> Expr:
    """summed / rows to the nearest integer, halves upwards, for |summed| <= rows * scale.

    The offset makes the numerator positive, where division rounds down. Where `rows` is a
    number, all that comes of it is computed here: DuckDB would multiply two literals in 32 bits.
    """
    double, offset = 2 * rows, (1 + 2 * scale) * rows
    if isinstance(rows, int):
        double, offset = whole(double), whole(offset)
    numerator = whole(2) * summed + offset
    return _floor_divide(numerator, double) - whole(scale)


@cache
def _division() -> Any:
    def divide(top: int, bottom: int) -> int: ...  # type: ignore[empty-body]

    return ibis().udf.scalar.builtin(divide, signature=(("int64", "int64"), "int64"))


def _floor_divide(top: Expr, bottom: Expr) -> Expr:
    """Integer division, exact for non-negative `top` (Ibis' own goes through doubles)."""
    return _division()(top, bottom)
