"""The one text of a cohort, in which a plan carries it and an analysis is identified."""

from __future__ import annotations

import re
from datetime import date
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
from models.figures.types import Ever, FigureColumn, RowColumn
from privacy.contract.dictionary import ColumnRef, ColumnType, Table

PLAIN_NAME = re.compile(r"[^\W\d]\w*(?:\.\w+)*")


def canonical_text(expression: Expression) -> str:
    """Write a normal tree; `parse_cohort` of the result gives the same tree.

    Guarantee: equal trees have equal texts, and different trees different ones.
    Assumes: the tree is normal (`models.cohort.normal`), as `parse_cohort` builds it.
    """
    match expression:
        case Everyone():
            return ""
        case Compare(FigureColumn(figure=Ever()) as column, Op.EQ | Op.NE as op, "true"):
            return column.name if op is Op.EQ else f"not {column.name}"
        case Compare(column, op, value):
            return f"{name_text(column)} {op.value} {value_text(column, value)}"
        case Between(column, lower, upper):
            low, high = value_text(column, lower), value_text(column, upper)
            return f"{name_text(column)} between {low} and {high}"
        case OneOf(column, values, negated):
            listed = ", ".join(value_text(column, value) for value in values)
            return f"{name_text(column)} {'not in' if negated else 'in'} [{listed}]"
        case Missing(column):
            return f"{name_text(column)} is missing"
        case Not(Missing(column)):
            return f"{name_text(column)} is not missing"
        case Not(operand):
            return f"not {_in_brackets(operand, And, Or)}"
        case And(operands):
            return " and ".join(_in_brackets(each, Or) for each in operands)
        case Or(operands):
            return " or ".join(canonical_text(each) for each in operands)
        case _:
            assert_never(expression)


def _in_brackets(expression: Expression, *kinds: type[And | Or]) -> str:
    text = canonical_text(expression)
    return f"({text})" if isinstance(expression, kinds) else text


def name_text(column: ColumnRef) -> str:
    """`table.column`, in backquotes where the name is not made of plain words.

    Of the row that a condition looks at, `column`; of a figure, its text.
    """
    if isinstance(column, FigureColumn):
        return column.name
    name = column.column.name if isinstance(column, RowColumn) else column.name
    return name if PLAIN_NAME.fullmatch(name) else f"`{name}`"


def table_text(table: Table) -> str:
    """A table's name, in backquotes where it is no plain word."""
    return table.name if PLAIN_NAME.fullmatch(table.name) else f"`{table.name}`"


def value_text(column: ColumnRef, value: Value) -> str:
    match value:
        case str() if column.column.type is ColumnType.BOOLEAN:
            return value
        case str():
            return quoted(value)
        case date():
            return quoted(value.isoformat())
        case float() | int():
            return number_text(value)
        case _:
            assert_never(value)


def quoted(text: str) -> str:
    """Single quotes, doubled inside."""
    return "'" + text.replace("'", "''") + "'"


def number_text(value: float) -> str:
    """The shortest text that reads back as the same double; whole numbers without a point."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
