"""What a tree with figures in it holds: how many conditions, and which stored columns it reads."""

from __future__ import annotations

from collections.abc import Iterator
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
    Or,
    columns_of,
)
from models.figures.types import (
    Count,
    Ever,
    Figure,
    FigureColumn,
    Pick,
    RowColumn,
    Share,
    Slope,
    Summary,
)
from privacy.contract.dictionary import ColumnRef


def size_of(tree: Expression) -> int:
    """Nodes of the tree, those of conditions and windows inside its figures included."""
    match tree:
        case Everyone():
            return 1
        case Compare(column) | Between(column) | OneOf(column) | Missing(column):
            return 1 + _size_inside(column)
        case Not(operand):
            return 1 + size_of(operand)
        case And(operands) | Or(operands):
            return 1 + sum(map(size_of, operands))
        case _:
            assert_never(tree)


def _size_inside(column: ColumnRef) -> int:
    if not isinstance(column, FigureColumn):
        return 0
    rows = column.figure.rows
    inner = 0 if isinstance(rows.where, Everyone) else size_of(rows.where)
    return inner + sum(1 + _size_inside(window.index) for window in rows.windows)


def stored_columns(column: ColumnRef) -> Iterator[ColumnRef]:
    """The declared columns that `column` reads: itself, or all that its figure does."""
    match column:
        case FigureColumn(figure=figure):
            yield from row_columns(figure)
            for window in figure.rows.windows:
                yield from stored_columns(window.index)
        case RowColumn(table, named):
            yield ColumnRef(table, named)
        case _:
            yield column


def row_columns(figure: Figure) -> Iterator[ColumnRef]:
    """The columns of its table that a figure reads of each row, with repeats."""
    match figure:
        case Ever() | Count():
            pass
        case Pick(_, column) | Summary(_, column) | Slope(column):
            yield column
        case Share(test):
            yield test.column
        case _:
            assert_never(figure)
    for each in columns_of(figure.rows.where):
        yield from stored_columns(each)
    if figure.rows.clock is not None:
        yield figure.rows.clock
