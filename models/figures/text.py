"""The one text of a figure."""

from __future__ import annotations

from typing import assert_never

from models.cohort.expression import Everyone, Or
from models.cohort.text import canonical_text, name_text, table_text
from models.figures.clock import usual_clock
from models.figures.types import Count, Ever, Figure, Pick, RowsOf, Share, Slope, Summary, Window
from privacy.contract.dictionary import Column
from privacy.errors import BadInput


def figure_text(figure: Figure) -> str:
    """Write a figure; `models.figures.parse.parse_figure` of the result is the figure.

    Guarantee: equal figures have equal texts, and different figures different ones.
    Assumes: the figure is one that the parser makes.
    """
    match figure:
        case Ever(rows):
            return f"any({table_text(rows.table)}{_rows(rows, None)})"
        case Count(rows):
            return f"count({table_text(rows.table)}{_rows(rows, None)})"
        case Pick(which, column, rows):
            return f"{which.value}({name_text(column)}{_rows(rows, column.column)})"
        case Summary(how, column, rows, least):
            need = f" needing {least} rows" if least > 1 else ""
            return f"{how.value}({name_text(column)}{_rows(rows, column.column)}{need})"
        case Share(test, rows, least):
            need = f" needing {least} rows" if least > 1 else ""
            return f"share({canonical_text(test)}{_rows(rows, test.column.column)}{need})"
        case Slope(column, rows, least, days):
            need = f" needing {least} rows over {days} days"
            return f"slope({name_text(column)}{_rows(rows, column.column)}{need})"
        case _:
            assert_never(figure)


def _rows(rows: RowsOf, column: Column | None) -> str:
    """What follows the column or table: the clock where it is not the usual one, and so on."""
    clock = "" if rows.clock == usual_clock(rows.table, column) else _clock(rows)
    return clock + _where(rows) + "".join(f" {window_text(each)}" for each in rows.windows)


def _clock(rows: RowsOf) -> str:
    return "" if rows.clock is None else f" on {name_text(rows.clock)}"


def _where(rows: RowsOf) -> str:
    match rows.where:
        case Everyone():
            return ""
        case Or() if rows.windows:
            return f": ({canonical_text(rows.where)})"
        case _:
            return f": {canonical_text(rows.where)}"


def window_text(window: Window) -> str:
    """The window in words, each span of days in one way only."""
    index = name_text(window.index)
    match window.start, window.end:
        case None, -1:
            return f"before {index}"
        case None, 0:
            return f"until {index}"
        case 1, None:
            return f"after {index}"
        case 0, None:
            return f"since {index}"
        case None, int(end):
            return f"up to {_days(end)} {index}"
        case int(start), None:
            return f"from {_days(start)} {index}"
        case int(start), int(end):
            return f"within {_span(start, end)} {index}"
        case _:
            raise BadInput("a window without a first and a last day is no window")


def _days(days: int) -> str:
    return f"{abs(days)} days {'after' if days >= 0 else 'before'}"


def _span(start: int, end: int) -> str:
    if start == -end:
        return f"{end} days of"
    if (start == 1) or (end == -1):
        return f"{_days(end)}" if start == 1 else f"{_days(start)}"
    if start >= 0:
        return f"{start} to {end} days after"
    if end <= 0:
        return f"{-end} to {-start} days before"
    return f"{-start} days before to {end} days after"
