"""A cohort and its consent as Ibis predicates over the member table.

Values become the codes and doubles that `node.layout` stores. A condition on a many-row table
is a subquery for members with a row that meets it, so it is true or false, never unknown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, reduce
from importlib import import_module
from itertools import pairwise
from operator import and_, or_
from typing import Any, assert_never

from models.cohort.expression import (
    And,
    Between,
    Compare,
    Everyone,
    Expression,
    Leaf,
    Missing,
    Not,
    OneOf,
    Op,
    Or,
    Value,
)
from node.consent import class_column
from node.layout import (
    MEMBERS,
    cell_column,
    has_stored_cells,
    is_coded,
    rows_table,
    sql_type,
)
from node.linked import LINKAGE, linked_column
from privacy.contract.dictionary import Column, ColumnRef, Table

Expr = Any  # an Ibis expression; the library has no types

_FEW_EDGES = 3  # below that, comparisons are as fast
_FEW_HOLES = 12  # above that, a list is as fast
# Wide enough for the codes, and known to every database.
_TYPES = {"UTINYINT": "int16", "USMALLINT": "int32", "DOUBLE": "float64", "DATE": "date"}


@cache
def ibis() -> Any:
    """The Ibis library. It loads with the first question, so that a node starts without it."""
    return import_module("ibis")


def number(value: float) -> Expr:
    """A double by its digits, so that no bit is lost on the way through SQL."""
    return ibis().literal(repr(float(value))).cast("float64")


def whole(value: int) -> Expr:
    return ibis().literal(value, "int64")


def listed(numbers: Sequence[int]) -> Expr:
    """Members' numbers, at least one, as a column that the database makes of one text.

    A list in the query is a literal each: twenty thousand take a quarter of a minute to write.
    """
    text = ibis().literal(",".join(str(int(each)) for each in numbers))
    rows = text.split(",").unnest().name("number").as_table()
    return rows.select(member_ix=rows.number.cast("int32")).member_ix


def members_table(columns: frozenset[ColumnRef], consent: str | None, linkage: str = "") -> Expr:
    """The member table with the columns a question reads, those of one-row tables."""
    schema = {"member_ix": "int32"} | _schema(ref for ref in columns if not ref.many)
    if consent is not None:
        schema[class_column(consent)] = "int32"
    if linkage:
        schema |= {class_column(LINKAGE): "int32", linked_column(linkage): "int32"}
    return ibis().table(schema, name=MEMBERS)


def many_table(table: Table, columns: frozenset[ColumnRef]) -> Expr:
    """A many-row table with the columns a question reads, within the declared rows per member."""
    schema = {"member_ix": "int32", "row_rank": "int32"}
    schema |= _schema(ref for ref in columns if ref.table.name == table.name)
    rows = ibis().table(schema, name=rows_table(table))
    return rows.filter(rows.row_rank < whole(table.max_rows_per_member))


def _schema(refs: Iterable[ColumnRef]) -> dict[str, str]:
    schema: dict[str, str] = {}
    for ref in sorted(refs, key=lambda ref: ref.name):
        schema[ref.name] = _TYPES.get(sql_type(ref.column), "string")
        if ref.column.bins and not ref.column.levels and has_stored_cells(ref):
            schema[cell_column(ref)] = "int32"
    return schema


def has_cell(rows: Expr, ref: ColumnRef) -> Expr:
    """Has a row a value in `ref`, and so a cell?"""
    return rows[cell_column(ref) if has_stored_cells(ref) else ref.name].notnull()


def cell_code(rows: Expr, ref: ColumnRef) -> Expr:
    """The code of the cell of a row that has one.

    Bins that are not those of the import are found here, by the same comparisons of doubles.
    """
    if has_stored_cells(ref):
        return rows[cell_column(ref)]
    stored, inner = rows[ref.name], ref.column.edges[1:-1]
    even = _even_bins(inner)
    return _bin_code(stored, inner, 0) if even is None else _even_bin_code(stored, even)


@dataclass(frozen=True)
class _EvenBins:
    """Bins of one width; `low` and `high` lie in the first and the last."""

    low: float
    high: float
    start: float
    width: float

    def code(self, value: float) -> int:
        return math.floor((min(max(value, self.low), self.high) - self.start) / self.width)


def _even_bins(inner: tuple[float, ...]) -> _EvenBins | None:
    """Bins whose code is one division, exact for every double; None if these are no such bins.

    Every operation of `code` is monotone in IEEE arithmetic, so it is right for all doubles if it
    is right at every inner edge and just below it. What it computes stays within half a bin of the
    edges: some databases raise an error where a result overflows or underflows.
    """
    if len(inner) < _FEW_EDGES:
        return None
    width = (inner[-1] - inner[0]) / (len(inner) - 1)
    bins = _EvenBins(inner[0] - width / 2, inner[-1] + width / 2, inner[0] - width, width)
    if not math.isfinite(bins.high - bins.start):
        return None
    places = ((bins.code(edge), bins.code(math.nextafter(edge, -math.inf))) for edge in inner)
    right = all(found == (at, at - 1) for at, found in enumerate(places, 1))
    return bins if right else None


def _even_bin_code(stored: Expr, bins: _EvenBins) -> Expr:
    near = ibis().least(ibis().greatest(stored, number(bins.low)), number(bins.high))
    return ((near - number(bins.start)) / number(bins.width)).floor()


def _bin_code(stored: Expr, inner: tuple[float, ...], first: int) -> Expr:
    """How many of the inner edges are at most the value, by halving."""
    if not inner:
        return whole(first)
    middle = len(inner) // 2
    low = _bin_code(stored, inner[:middle], first)
    high = _bin_code(stored, inner[middle + 1 :], first + middle + 1)
    return ibis().ifelse(stored < number(inner[middle]), low, high)


def consenting(members: Expr, key: str, classes: tuple[int, ...]) -> Expr:
    """Is the member's consent for the purpose's `key` of one of these classes (in order)?

    A range with a few holes is the cheapest thing to ask of a column; a list costs twice that.
    """
    stored = members[class_column(key)]
    if not classes:
        return ibis().literal(False)
    holes = [(a + 1, b - 1) for a, b in pairwise(classes) if b > a + 1]
    if len(holes) > _FEW_HOLES:
        return stored.isin(list(classes))
    within = (stored >= classes[0]) & (stored <= classes[-1])
    return reduce(and_, (_outside(stored, low, high) for low, high in holes), within)


def counted_here(members: Expr, linkage: str, classes: tuple[int, ...]) -> Expr:
    """Was the member linked in this session, to be counted here, and lets that still hold?"""
    return (members[linked_column(linkage)] == 1) & consenting(members, LINKAGE, classes)


def _outside(stored: Expr, low: int, high: int) -> Expr:
    return stored != low if low == high else (stored < low) | (stored > high)


def predicate(expression: Expression, members: Expr) -> Expr | None:
    """True exactly for the members in the cohort; None for everyone."""
    match expression:
        case Everyone():
            return None
        case Not(operand):
            return ~_inner(operand, members)
        case And(operands):
            return reduce(and_, (_inner(each, members) for each in operands))
        case Or(operands):
            return reduce(or_, (_inner(each, members) for each in operands))
        case Compare() | Between() | OneOf() | Missing():
            return _leaf(expression, members)
        case _:
            assert_never(expression)


def _inner(expression: Expression, members: Expr) -> Expr:
    found = predicate(expression, members)
    return ibis().literal(True) if found is None else found


def _leaf(leaf: Leaf, members: Expr) -> Expr:
    ref = leaf.column
    if not ref.many:
        return condition(leaf, members[ref.name])
    rows = many_table(ref.table, frozenset((ref,)))
    if isinstance(leaf, Missing):
        known = rows.filter(rows[ref.name].notnull())
        return members.member_ix.notin(known.member_ix)
    meeting = rows.filter(condition(leaf, rows[ref.name]))
    return members.member_ix.isin(meeting.member_ix)


_OPS: dict[Op, Callable[[Expr, Expr], Expr]] = {
    Op.EQ: lambda left, right: left == right,
    Op.NE: lambda left, right: left != right,
    Op.LT: lambda left, right: left < right,
    Op.LE: lambda left, right: left <= right,
    Op.GT: lambda left, right: left > right,
    Op.GE: lambda left, right: left >= right,
}


def condition(leaf: Leaf, stored: Expr) -> Expr:
    """One value against the leaf: SQL's NULL is the unknown of `models.cohort.expression`."""
    match leaf:
        case Compare(ref, op, value):
            return _OPS[op](stored, _constant(ref.column, value))
        case Between(ref, lower, upper):
            low, high = _constant(ref.column, lower), _constant(ref.column, upper)
            return (stored >= low) & (stored <= high)
        case OneOf(ref, values, negated):
            constants = [_constant(ref.column, value) for value in values]
            return stored.notin(constants) if negated else stored.isin(constants)
        case Missing():
            return stored.isnull()
        case _:
            assert_never(leaf)


def _constant(column: Column, value: Value) -> Expr:
    match value:
        case str() if is_coded(column):
            return ibis().literal(column.levels.index(value), _TYPES[sql_type(column)])
        case str() | date():
            return ibis().literal(value)
        case _:
            return number(value)
