"""A cohort as a frozen tree: which members a question speaks of.

Meaning, in three-valued logic (true, false, unknown); a member is in the cohort if the tree
is true, and neither false nor unknown is in it:

- on a column of a one-row table a leaf compares the member's value; a missing value makes it
  unknown, save `Missing`, which is always known;
- on a column of a many-row table a leaf is true if ANY row of the member makes it true, else
  false, never unknown: each leaf looks for a row of its own. `Missing` is true if the member
  has no row with a known value;
- `Not`, `And`, `Or` are Kleene's.

Trees that the parser builds are normal: see `models.cohort.normal`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import assert_never

from privacy.contract.dictionary import ColumnRef

Value = str | float | date
"""A level (categorical and boolean columns), a finite number, or a date."""


class Op(StrEnum):
    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


@dataclass(frozen=True)
class Everyone:
    """All members."""


@dataclass(frozen=True)
class Compare:
    """`column op value`. On a level only EQ and NE."""

    column: ColumnRef
    op: Op
    value: Value


@dataclass(frozen=True)
class Between:
    """`lower <= column <= upper`, both in one row."""

    column: ColumnRef
    lower: Value
    upper: Value


@dataclass(frozen=True)
class OneOf:
    """`column in [values]`, or with `negated` `column not in [values]`.

    On a many-row table the negated form asks for a row whose known value is none of them;
    that no row has one of them is `Not(OneOf(...))`.
    """

    column: ColumnRef
    values: tuple[Value, ...]
    negated: bool = False


@dataclass(frozen=True)
class Missing:
    """The value is not known. `is not missing` is `Not(Missing(...))`."""

    column: ColumnRef


@dataclass(frozen=True)
class Not:
    operand: Expression


@dataclass(frozen=True)
class And:
    operands: tuple[Expression, ...]


@dataclass(frozen=True)
class Or:
    operands: tuple[Expression, ...]


Leaf = Compare | Between | OneOf | Missing
Expression = Everyone | Leaf | Not | And | Or


def columns_of(expression: Expression) -> Iterator[ColumnRef]:
    """Every column the tree reads, left to right, with repeats."""
    match expression:
        case Everyone():
            return
        case Compare(column) | Between(column) | OneOf(column) | Missing(column):
            yield column
        case Not(operand):
            yield from columns_of(operand)
        case And(operands) | Or(operands):
            for each in operands:
                yield from columns_of(each)
        case _:
            assert_never(expression)
