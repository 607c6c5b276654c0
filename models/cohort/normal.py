"""Normal trees: questions that ask the same in another order or wording get one tree.

Rules, each an identity of Kleene's logic: and/or are flattened, sorted by text and without
repeats; `not` is pushed down to the leaves and melts into a one-row comparison (`not age < 18` is
`age >= 18`); `between` on a one-row column is the two comparisons it stands for; a list
of one is a comparison. On a many-row column `not` stays, because "no row" is not "any other row".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import assert_never

from models.cohort.expression import (
    And,
    Between,
    Compare,
    Everyone,
    Expression,
    Missing,
    Not,
    OneOf,
    Op,
    Or,
    Value,
)
from models.cohort.text import canonical_text
from models.figures.types import Ever, FigureColumn
from privacy.contract.dictionary import ColumnRef

_OPPOSITE = {
    Op.EQ: Op.NE,
    Op.NE: Op.EQ,
    Op.LT: Op.GE,
    Op.GE: Op.LT,
    Op.GT: Op.LE,
    Op.LE: Op.GT,
}


def conjunction(operands: Iterable[Expression]) -> Expression:
    """All of `operands`; at least one."""
    return _joined(operands, And)


def disjunction(operands: Iterable[Expression]) -> Expression:
    """Any of `operands`; at least one."""
    return _joined(operands, Or)


def between(column: ColumnRef, lower: Value, upper: Value) -> Expression:
    if column.many:
        return Between(column, lower, upper)
    return conjunction((Compare(column, Op.GE, lower), Compare(column, Op.LE, upper)))


def compare(column: ColumnRef, op: Op, value: Value) -> Compare:
    """A comparison; of what is true or false by its nature, always with true."""
    if isinstance(column, FigureColumn) and isinstance(column.figure, Ever) and value == "false":
        return Compare(column, _OPPOSITE[op], "true")
    return Compare(column, op, value)


def one_of(column: ColumnRef, values: Iterable[Value], *, negated: bool = False) -> Compare | OneOf:
    distinct = tuple(sorted(set(values), key=_order))
    if len(distinct) == 1:
        return compare(column, Op.NE if negated else Op.EQ, distinct[0])
    return OneOf(column, distinct, negated)


def negation(expression: Expression) -> Expression:
    """True where `expression` is false, false where it is true, unknown where it is unknown."""
    match expression:
        case Not(operand):
            return operand
        case And(operands):
            return disjunction(map(negation, operands))
        case Or(operands):
            return conjunction(map(negation, operands))
        case Compare(column, op, value) if not column.many:
            return Compare(column, _OPPOSITE[op], value)
        case OneOf(column, values, negated) if not column.many:
            return OneOf(column, values, not negated)
        case Everyone() | Compare() | OneOf() | Between() | Missing():
            return Not(expression)
        case _:
            assert_never(expression)


def _joined(operands: Iterable[Expression], kind: Callable[..., And | Or]) -> Expression:
    flat = {canonical_text(each): each for each in _flattened(operands, kind)}
    ordered = tuple(flat[text] for text in sorted(flat))
    return ordered[0] if len(ordered) == 1 else kind(ordered)


def _flattened(
    operands: Iterable[Expression], kind: Callable[..., And | Or]
) -> Iterator[Expression]:
    for each in operands:
        match each:
            case And(inner) | Or(inner) if type(each) is kind:
                yield from inner
            case _:
                yield each


def _order(value: Value) -> tuple[float, str]:
    return (value, "") if isinstance(value, float) else (0.0, str(value))
