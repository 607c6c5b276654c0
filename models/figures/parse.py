"""The grammar of figures, closed and checked against the dictionary.

In full (conditions as in `models.cohort.parse`, on columns of the table alone, written with or
without its name; they all hold in the same row):

    figure  := ("any" | "count") "(" table rows ")"
             | ("first" | "last" | "mean" | "min" | "max" | "sum") "(" column rows need ")"
             | "share" "(" column comparison rows need ")"
             | "slope" "(" column rows need ")"
    rows    := ["on" column] [":" or] window*
    window  := ("before" | "until" | "since" | "after") index
             | "within" N days ("before" | "after" | "of") index
             | "within" N "to" N days ("before" | "after") index
             | "within" N days "before" "to" N days "after" index
             | ("from" | "up" "to") N days ("before" | "after") index
    index   := a date of a one-row table | a figure that is a date
    days    := "days" | "weeks"
    need    := ["needing" N "rows" ["over" N days]]      mean and share: rows alone

`before` and `after` leave the day of the index out, `until` and `since` keep it; `within N days
after` is from day 1 to day N, and `within 0 to N days after` has day 0 too.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from models.cohort.conditions import Conditions
from models.cohort.cursor import Cursor
from models.cohort.expression import Everyone, Expression
from models.cohort.text import name_text, value_text
from models.cohort.tokens import Token, refuse
from models.figures.clock import is_time, usual_clock
from models.figures.column import figure_column
from models.figures.grid import slope_grid, sum_grid
from models.figures.scope import declared, many_table, of_many_rows, row_column
from models.figures.types import (
    Count,
    Ever,
    Figure,
    FigureColumn,
    How,
    Pick,
    RowsOf,
    Share,
    Slope,
    Summary,
    Which,
)
from models.figures.windows import MOST_DAYS, WindowParser, unit_of_days, whole_number
from privacy.contract.dictionary import Column, ColumnRef, ColumnType, Dictionary, Table
from privacy.errors import BadInput

MOST_NESTED = 4
KINDS = ("any", "count", "first", "last", "mean", "min", "max", "sum", "share", "slope")
_MEANT = {"ever": "any", "exists": "any", "has": "any", "number": "count", "avg": "mean"}
_NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER)


def parse_figure(text: str, dictionary: Dictionary) -> FigureColumn:
    """Read a figure, as the column it stands for (`.figure` is the figure itself).

    Guarantee: it is normal, names declared columns that are neither identifier nor free text,
    and `parse_figure(column.name)` is the column. Raises BadInput that names the position and
    what to write instead.
    """
    cursor = Cursor(text)
    named = cursor.advance()
    if not cursor.sees("("):
        raise refuse("no figure", named.position, f"write one of {', '.join(KINDS)} and brackets")
    found = FigureParser(cursor, dictionary).figure(named)
    if not cursor.at_end():
        raise refuse(
            f"{cursor.next.text!r} is not expected here", cursor.next.position, "end after the )"
        )
    return found


class FigureParser:
    """Reads figures at a cursor; a figure may be the index of another's window."""

    def __init__(self, cursor: Cursor, dictionary: Dictionary) -> None:
        self._cursor = cursor
        self._dictionary = dictionary
        self._windows = WindowParser(cursor, self.column)
        self._depth = 0

    def column(self, named: Token) -> ColumnRef:
        """A column, or a figure if a bracket follows the name."""
        if self._cursor.sees("("):
            return self.figure(named)
        return declared(self._dictionary, named)

    def figure(self, named: Token) -> FigureColumn:
        """The figure whose kind is `named`; the bracket is next."""
        if named.text.lower() not in KINDS:
            raise _no_figure(named)
        if self._depth == MOST_NESTED:
            raise refuse(
                f"figures nested deeper than {MOST_NESTED}", named.position, "use a nearer index"
            )
        opened = self._cursor.advance()
        self._depth += 1
        with self._cursor.nested(opened):
            figure = self._inside(named)
            instead = f"close the bracket opened at position {opened.position}"
            self._cursor.expect(")", instead)
        self._depth -= 1
        return figure_column(figure)

    def _inside(self, named: Token) -> Figure:
        kind = named.text.lower()
        head = self._cursor.advance()
        if kind in ("any", "count"):
            table = many_table(self._dictionary, head)
            rows = self._rows(table, None, timeless=True)
            return Ever(rows) if kind == "any" else Count(rows)
        column = of_many_rows(self._dictionary, head)
        match kind:
            case "first" | "last":
                return self._pick(Which(kind), column, head)
            case "share":
                test = Conditions(self._cursor, self.column).test(column)
                rows = self._rows(column.table, column.column, timeless=True)
                return Share(test, rows, self._least_rows())
            case "slope":
                return self._slope(column, head)
            case _:
                return self._summary(How(kind), column, head)

    def _pick(self, which: Which, column: ColumnRef, head: Token) -> Pick:
        rows = self._rows(column.table, column.column)
        if rows.clock is None and column.table.time is None:
            raise _no_clock(column.table, head.position, "first or last")
        return Pick(which, column, rows)

    def _summary(self, how: How, column: ColumnRef, head: Token) -> Figure:
        earliest = {How.MIN: Which.FIRST, How.MAX: Which.LAST}
        dated = column.column.type is ColumnType.DATE and how in earliest
        if not dated:
            _check_number(how.value, column, head)
        if how in (How.MEAN, How.SUM):
            _placed(lambda: sum_grid(column), head)
        rows = self._rows(column.table, column.column, timeless=True)
        if dated and rows.clock == column:
            return Pick(earliest[how], column, rows)
        return Summary(how, column, rows, self._least_rows() if how is How.MEAN else 1)

    def _slope(self, column: ColumnRef, head: Token) -> Slope:
        _check_number("slope", column, head)
        _placed(lambda: slope_grid(column), head)
        rows = self._rows(column.table, column.column)
        if rows.clock is None:
            raise _no_clock(column.table, head.position, "a slope")
        rows_and_days = self._needing()
        least, days = (2, 30) if rows_and_days is None else rows_and_days
        if least < 2 or days < 1:
            raise refuse(
                "a slope needs at least 2 rows over 1 day",
                head.position,
                "write needing 2 rows over 30 days",
            )
        return Slope(column, rows, least, days)

    def _least_rows(self) -> int:
        position = self._cursor.next.position
        needed = self._needing()
        if needed is None:
            return 1
        if needed[1]:
            raise refuse("only a slope needs days", position, f"write needing {needed[0]} rows")
        return max(needed[0], 1)

    def _needing(self) -> tuple[int, int] | None:
        """`needing N rows over N days`, as (rows, days)."""
        cursor = self._cursor
        if not cursor.take_name("needing"):
            return None
        rows, days = whole_number(cursor, "rows", MOST_DAYS), 0
        if not cursor.take_name("rows", "row"):
            raise refuse("rows is expected", cursor.next.position, "write needing 3 rows")
        if cursor.take_name("over"):
            days = whole_number(cursor, "days", MOST_DAYS) * unit_of_days(cursor)
        return rows, days

    def _rows(self, table: Table, column: Column | None, *, timeless: bool = False) -> RowsOf:
        """What follows the table or column; of `timeless` figures only windows ask for a time."""
        usual = usual_clock(table, column)
        clock = self._clock(table) or usual
        where = self._where(table)
        windows = self._windows.windows(lambda position: _known_clock(clock, table, position))
        if timeless and not windows:
            clock = usual
        return RowsOf(table, clock, where, windows)

    def _clock(self, table: Table) -> ColumnRef | None:
        if not self._cursor.take_name("on"):
            return None
        token = self._cursor.advance()
        named = row_column(table, token)
        if not is_time(named.column):
            raise refuse(
                f"{named.name} is no date",
                token.position,
                "name a date of the table, or a number with the unit days, weeks, months or years",
            )
        return ColumnRef(table, named.column)

    def _where(self, table: Table) -> Expression:
        """The condition of a row, all of it in the same row."""
        if not self._cursor.take(":"):
            return Everyone()
        return Conditions(self._cursor, lambda token: self._row_column(table, token)).any_of()

    def _row_column(self, table: Table, token: Token) -> ColumnRef:
        if self._cursor.sees("("):
            raise refuse(
                "a figure inside a row's condition",
                token.position,
                f"compare a column of {table.name}; join figures outside with and / or",
            )
        return row_column(table, token)


def _no_figure(named: Token) -> BadInput:
    word = named.text.lower()
    close = [_MEANT[word]] if word in _MEANT else get_close_matches(word, KINDS, n=1)
    meant = f"did you mean {close[0]}(…)?" if close else f"write one of {', '.join(KINDS)}"
    return refuse(
        f"{named.text!r} is no figure",
        named.position,
        f"{meant}, or compare a column with a value: age >= 18",
    )


def _known_clock(clock: ColumnRef | None, table: Table, position: int) -> ColumnRef:
    if clock is None:
        raise _no_clock(table, position, "a window")
    return clock


def _no_clock(table: Table, position: int, what: str) -> BadInput:
    dates = [each.name for each in table.columns if is_time(each)]
    if dates:
        instead = "write " + " or ".join(f"on {name_text(_of(table, name))}" for name in dates)
        return refuse(f"{table.name} has several times", position, instead)
    return refuse(
        f"{table.name} has no date, which {what} needs",
        position,
        "use a table with a date, or declare one in the dictionary",
    )


def _of(table: Table, name: str) -> ColumnRef:
    return next(ColumnRef(table, each) for each in table.columns if each.name == name)


def _check_number(kind: str, column: ColumnRef, head: Token) -> None:
    if column.column.type in _NUMERIC:
        return
    name = name_text(column)
    if column.column.levels:
        level = value_text(column, column.column.levels[-1])
        instead = f"write share({name} == {level}), first({name}) or last({name})"
    else:
        instead = f"write first({name}) or last({name})"
    raise refuse(f"{column.name} has no {kind}: it is no number", head.position, instead)


def _placed(check: Callable[[], object], head: Token) -> None:
    """Run a check on declared bounds, and give its refusal the place."""
    try:
        check()
    except BadInput as error:
        raise refuse(error.what, head.position, error.instead) from None
