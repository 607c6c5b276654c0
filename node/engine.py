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
from models.contribution import (
    BoundedValue,
    CellCounts,
    Contribution,
    Monomial,
    Products,
    Rollup,
    Stack,
    Summary,
)
from node.consent import key_in_force
from node.cut import Beginning, check_import, has_joined
from node.engine_cohort import (
    Expr,
    cell_code,
    consenting,
    ibis,
    joined_since,
    many_table,
    members_table,
    number,
    predicate,
    whole,
)
from node.layout import MEMBERS
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
    began: Beginning | None


def total(
    records: Records,
    contribution: Contribution,
    cohort: Expression,
    *,
    purpose: str | None,
    today: date,
    began: Beginning | None = None,
) -> Total:
    """Shape [contribution.length], in grid units: the sum over members of the cohort who consent.

    Equal, bit for bit, to `models.reference.total` on the same records. With `purpose` None no
    consent is asked for. Of a run that `began` earlier, members who joined since are left out.
    Raises TotalTooLargeError instead of wrapping around, RecordsChangedError after an import.
    """
    question = _Question(cohort, purpose, today, began)
    with records.snapshot() as cursor:
        if began is not None:
            check_import(cursor, began)
        if not database_columns(cursor, MEMBERS):
            return np.zeros(contribution.length, dtype=np.int64)
        return _part(cursor, contribution, question)


def _part(cursor: Cursor, contribution: Contribution, question: _Question) -> Total:
    match contribution:
        case CellCounts():
            return _cells(cursor, contribution, question)
        case BoundedValue():
            return _values(cursor, contribution, question)
        case Products():
            return _products(cursor, contribution, question)
        case Rollup():
            return _rolled(contribution, _cells(cursor, contribution.cells, question))
        case Stack():
            return np.concatenate([_part(cursor, part, question) for part in contribution.parts])
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
    wanted = [] if key is None else _consent(cursor, members, key, question)
    inside = predicate(question.cohort, members)
    wanted += [] if inside is None else [inside]
    return members.filter(wanted) if wanted else members


def _consent(cursor: Cursor, members: Expr, key: str, question: _Question) -> list[Expr]:
    """Consent that holds today, and held when the run began if it began earlier."""
    began = question.began
    since = question.today if began is None else began.day
    wanted = [consenting(members, key, question.today, since)]
    if began is not None and has_joined(cursor, began):
        wanted.append(~joined_since(members, began.cut.consent))
    return wanted


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
    names = [_code_name(dim) for dim in shape.dims]
    placed = _placed(asked, shape, names)
    counted = placed.group_by([placed[name] for name in names]).agg(n=placed.count())
    return _filled(shape, names, _run(cursor, counted).fetchnumpy())


def _placed(asked: Expr, shape: CellCounts, names: list[str]) -> Expr:
    """One row per member and cell, with the cell's codes under `names`."""
    one = [_code_name(dim) for dim in shape.dims if not dim.many]
    if one:
        asked = asked.mutate(_codes(asked, [dim for dim in shape.dims if not dim.many]))
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
    coded = rows.select("member_ix", **_codes(rows, dims))
    return coded.filter([coded[_code_name(dim)].notnull() for dim in dims]).distinct()


def _codes(rows: Expr, dims: list[ColumnRef]) -> dict[str, Expr]:
    return {_code_name(dim): cell_code(rows, dim) for dim in dims}


def _code_name(dim: ColumnRef) -> str:
    return f"cell:{dim.name}"


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


def _found_cells(
    shape: CellCounts | Products, names: list[str], found: dict[str, Any], rows: int
) -> Total:
    """The place of every row that was found among the cells, in row-major order."""
    cells = np.zeros(rows, dtype=np.int64)
    for name, stride in zip(names, _strides(shape), strict=True):
        cells += np.asarray(found[name]).astype(np.int64) * stride
    return cells


def _rolled(shape: Rollup, cells: Total) -> Total:
    """The cells' totals, and after them those of the groups; sums of them, so exact."""
    coarse = []
    for group, size in zip(shape.groups, shape.sizes, strict=True):
        summed = [0] * size
        for cell, amount in zip(group, cells.tolist(), strict=True):
            summed[cell] += amount
        coarse.append(_checked(summed))
    return np.concatenate([cells, *coarse])


def _strides(shape: CellCounts | Products) -> list[int]:
    """How far apart neighbours along each dimension lie; the last varies fastest."""
    sizes = [len(dim.column.cell_labels) for dim in shape.dims]
    return [prod(sizes[i + 1 :]) for i in range(len(sizes))]


def _filled(shape: CellCounts, names: list[str], found: dict[str, Any]) -> Total:
    """Counts in row-major order, zero where no member is."""
    cells = _found_cells(shape, names, found, len(found["n"]))
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


# Products of numbers


def _products(cursor: Cursor, shape: Products, question: _Question) -> Total:
    """Add up counts and products by cell, over the asked members with every number known."""
    numbered = {f"q{at}": variable for at, variable in enumerate(shape.variables)}
    one = {name: each for name, each in numbered.items() if not each.column.many}
    columns = frozenset(shape.dims) | frozenset(each.column for each in one.values())
    asked = _asked(cursor, question, columns)
    coded = asked.mutate(_codes(asked, list(shape.dims)))
    names = [_code_name(dim) for dim in shape.dims]
    known = [coded[name].notnull() for name in [*names, *(v.column.name for v in one.values())]]
    coded = coded.filter(known) if known else coded
    values = {name: _quantised(each, coded[each.column.name]) for name, each in one.items()}
    each = coded.select("member_ix", *names, **values)
    for name, variable in numbered.items():
        if variable.column.many:
            own = _per_member(variable)
            each = each.join(own.select("member_ix", **{name: own.value}), "member_ix")
    return _summed(cursor, shape, each, names)


def _summed(cursor: Cursor, shape: Products, each: Expr, names: list[str]) -> Total:
    sums = {
        f"s{at}": _monomial(monomial, each, shape.scale).sum()
        for at, monomial in enumerate(shape.monomials)
    }
    if shape.count_weight > 0:
        count = (each.count() * whole(shape.count_weight)).cast("decimal(38, 0)")
        sums = {"count": count} | sums
    grouped = (
        each.group_by([each[name] for name in names]).agg(**sums) if names else each.agg(**sums)
    )
    rows = _run(cursor, grouped.select(*names, *sums)).fetchall()
    found = {name: np.array([row[at] for row in rows]) for at, name in enumerate(names)}
    cells = _found_cells(shape, names, found, len(rows))
    filled = np.zeros((shape.cells, shape.width), dtype=np.int64)
    for cell, row in zip(cells, rows, strict=True):
        filled[cell] = _checked([int(part or 0) for part in row[len(names) :]])
    return filled.ravel()


def _monomial(monomial: Monomial, each: Expr, scale: int) -> Expr:
    """One member's integer, as Monomial fixes it."""
    product = each[f"q{monomial.factors[0]}"]
    for factor in monomial.factors[1:]:
        product = _rounded(product * each[f"q{factor}"], scale, scale)
    divided = _rounded(product, monomial.divisor, scale)
    return divided - whole(monomial.centre(scale))
