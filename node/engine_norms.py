"""The squared norm of each asked member's vector, as an expression: what a member is charged for.

Guarantee: of the very vector that `node.engine` adds up for this member, after every bound, and
never below its squared L2 norm; a member without a line adds the zero vector. Exact but for a
`Rollup` of several cells and for sums over rows (`Streamed`), which are charged by their bound.
"""

from __future__ import annotations

from typing import assert_never

from models.contribution import (
    BoundedValue,
    CellCounts,
    Contribution,
    Products,
    Rollup,
    Stack,
)
from models.streamed import Streamed
from node.engine_cohort import Expr, ibis, whole
from node.engine_members import Question, asked, celled, multiplied, valued
from node.engine_stream import one_row
from node.engine_values import floor_divide, monomial_value, square
from node.engines.protocol import Reading


def squared_norms(reading: Reading, shape: Contribution, question: Question) -> Expr:
    """(member_ix, squared), each member once, `squared` a whole number below 2^63."""
    match shape:
        case CellCounts():
            return _counted(reading, shape, question, shape.weight**2, 0)
        case Rollup():
            weight = shape.cells.weight
            return _counted(reading, shape.cells, question, weight**2, len(shape.groups))
        case BoundedValue():
            return _valued(reading, shape, question)
        case Products():
            return _multiplied(reading, shape, question)
        case Stack():
            return _stacked([squared_norms(reading, part, question) for part in shape.parts])
        case Streamed():
            members = asked(reading, question, one_row(shape))
            return members.select("member_ix", squared=whole(shape.norm_squared))
        case _:
            assert_never(shape)


def _counted(
    reading: Reading, shape: CellCounts, question: Question, each: int, views: int
) -> Expr:
    """`each` for every cell; in a coarser view n cells may be one, which adds n^2 times that."""
    lines = celled(reading, shape, question)
    if not any(dim.many for dim in shape.dims):
        return lines.select("member_ix", squared=whole(each * (1 + views)))
    counted = lines.group_by("member_ix").agg(n=lines.count())
    cells = counted.n.cast("int64")
    return counted.select("member_ix", squared=(cells + whole(views) * cells * cells) * whole(each))


def _valued(reading: Reading, shape: BoundedValue, question: Question) -> Expr:
    each = valued(reading, shape, question)
    squared = each.value * each.value + whole(shape.count_weight**2)
    if shape.with_square:
        centred = square(shape, each.value)
        squared = squared + centred * centred
    return each.select("member_ix", squared=_whole(squared))


def _multiplied(reading: Reading, shape: Products, question: Question) -> Expr:
    each = multiplied(reading, shape, question)
    found = {
        f"s{at}": monomial_value(monomial, each, shape.scale)
        for at, monomial in enumerate(shape.monomials)
    }
    lines = each.select("member_ix", **found)
    parts = [lines[name] * lines[name] for name in found]
    return lines.select("member_ix", squared=_whole(sum(parts, whole(shape.count_weight**2))))


def _stacked(parts: list[Expr]) -> Expr:
    each = ibis().union(*parts) if len(parts) > 1 else parts[0]
    return each.group_by("member_ix").agg(squared=_whole(each.squared.sum()))


def _whole(squared: Expr) -> Expr:
    """In 64 bits: some databases widen sums, and Ibis leaves out a cast that it takes for idle."""
    return floor_divide(squared, whole(1))
