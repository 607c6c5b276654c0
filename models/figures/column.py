"""A figure in the place of a column: its type, levels and bounds follow from what is declared."""

from __future__ import annotations

from decimal import Decimal
from typing import assert_never

from models.changed import changed
from models.figures.grid import bounds
from models.figures.text import figure_text
from models.figures.types import (
    Count,
    Ever,
    Figure,
    FigureColumn,
    How,
    Pick,
    Share,
    Slope,
    Summary,
)
from privacy.contract.dictionary import Column, ColumnRef, ColumnType, Rows, Table

_MONTHS_PER_YEAR = 12


def figure_column(figure: Figure) -> FigureColumn:
    """`figure` as a one-row column. Its bounds are public facts: those of its column; for a count
    0 to the declared rows; for a sum that many times the bounds; for a share 0 to 1; and for a
    slope a loss or gain of the whole declared range within a year.
    """
    text = figure_text(figure)
    table = Table(name=text, key="", rows=Rows.ONE, columns=())
    return FigureColumn(table, _column(figure, text), figure, text)


def _column(figure: Figure, text: str) -> Column:
    match figure:
        case Ever():
            return Column(name=text, type=ColumnType.BOOLEAN, levels=("false", "true"))
        case Count(rows):
            rows_at_most = str(rows.table.max_rows_per_member)
            return _number(text, "0", rows_at_most, type_=ColumnType.INTEGER)
        case Pick(_, column):
            return changed(column.column, name=text, label="")
        case Summary(how, column):
            return _summary(how, column, text)
        case Share():
            return _number(text, "0", "1")
        case Slope(column):
            lower, upper = bounds(column)
            most = Decimal(repr(upper - lower)) / _MONTHS_PER_YEAR
            unit = f"{column.column.unit} per month".strip()
            return _number(text, _decimal(-most), _decimal(most), unit)
        case _:
            assert_never(figure)


def _summary(how: How, ref: ColumnRef, text: str) -> Column:
    column = ref.column
    if how is not How.SUM:
        kept = column.type if how in (How.MIN, How.MAX) else ColumnType.NUMBER
        return changed(column, name=text, type=kept, label="")
    low, high = (Decimal(repr(bound)) for bound in bounds(ref))
    most = ref.table.max_rows_per_member
    low, high = min(low, low * most), max(high, high * most)
    return _number(text, _decimal(low), _decimal(high), column.unit)


def _number(
    text: str, low: str, high: str, unit: str = "", type_: ColumnType = ColumnType.NUMBER
) -> Column:
    return Column(name=text, type=type_, lower=low, upper=high, unit=unit)


def _decimal(value: Decimal) -> str:
    """Plain decimal text, without an exponent."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
