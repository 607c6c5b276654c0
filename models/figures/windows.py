"""Windows in time as written: spans of days around an index."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from models.cohort.cursor import Cursor
from models.cohort.text import name_text
from models.cohort.tokens import Kind, Token, refuse
from models.figures.clock import is_time, same_time
from models.figures.scope import WINDOW_WORDS
from models.figures.text import window_text
from models.figures.types import Window
from privacy.contract.dictionary import ColumnRef
from privacy.errors import BadInput

Span = tuple[int | None, int | None]

MOST_DAYS = 100_000
_DAYS = {"day": 1, "days": 1, "week": 7, "weeks": 7}
_LONGER = ("month", "months", "year", "years")
_OPEN: dict[str, Span] = {
    "before": (None, -1),
    "until": (None, 0),
    "since": (0, None),
    "after": (1, None),
}

_USAGE = "write within 90 days after …, within 30 to 365 days before …, or within 30 days of …"


class WindowParser:
    """`index` reads the index of a window, once its first token has been taken."""

    def __init__(self, cursor: Cursor, index: Callable[[Token], ColumnRef]) -> None:
        self._cursor = cursor
        self._index = index

    def windows(self, clock: Callable[[int], ColumnRef]) -> tuple[Window, ...]:
        """All windows that follow, those of one index merged; `clock` is asked if there are any."""
        found: dict[str, Window] = {}
        while self._cursor.sees_name(*WINDOW_WORDS):
            opened = self._cursor.next
            window = self._window(clock(opened.position))
            name = name_text(window.index)
            found[name] = _both(found[name], window, opened) if name in found else window
        return in_order(found.values())

    def _window(self, clock: ColumnRef) -> Window:
        word = self._cursor.advance()
        start, end = self._span(word)
        token = self._cursor.advance()
        if token.kind is not Kind.NAME:
            raise _no_index(token, clock)
        index = self._index(token)
        _check_index(index, clock, token)
        return Window(index, start, end)

    def _span(self, word: Token) -> Span:
        match word.text.lower():
            case "within":
                return self._within(word)
            case "from":
                return self._signed(), None
            case "up":
                self._name("to")
                return None, self._signed()
            case other:
                return _OPEN[other]

    def _within(self, word: Token) -> Span:
        first = self._number()
        last = self._number() if self._cursor.take_name("to") else None
        unit = self._unit()
        if last is not None:
            after = self._side() == "after"
            return _ordered(*((first, last) if after else (-last, -first)), unit, word)
        if self._cursor.take_name("of"):
            return -first * unit, first * unit
        if self._side() == "after":
            return _not_empty(1, first * unit, word)
        if not self._cursor.take_name("to"):
            return _not_empty(-first * unit, -1, word)
        beyond = self._number() * self._unit()
        self._name("after")
        return -first * unit, beyond

    def _signed(self) -> int:
        days = self._number() * self._unit()
        return days if self._side() == "after" else -days

    def _side(self) -> str:
        side = self._cursor.take_name("before", "after")
        if not side:
            raise refuse("before or after is expected", self._cursor.next.position, _USAGE)
        return side

    def _name(self, name: str) -> None:
        if not self._cursor.take_name(name):
            raise refuse(f"{name!r} is expected", self._cursor.next.position, _USAGE)

    def _number(self) -> int:
        return whole_number(self._cursor, "days", MOST_DAYS)

    def _unit(self) -> int:
        return unit_of_days(self._cursor)


def whole_number(cursor: Cursor, of_what: str, most: int) -> int:
    """A whole number from 0 to `most`; raises BadInput."""
    token = cursor.advance()
    plain = token.kind is Kind.NUMBER and token.text.isdigit()
    if not plain or len(token.text) > 9 or int(token.text) > most:
        raise refuse(
            f"{token.text or 'the end'} is no number of {of_what}",
            token.position,
            f"write a whole number from 0 to {most:,}",
        )
    return int(token.text)


def unit_of_days(cursor: Cursor) -> int:
    """How many days the word stands for; raises BadInput for months, which differ."""
    token = cursor.advance()
    days = _DAYS.get(token.text.lower()) if token.kind is Kind.NAME else None
    if days is None and token.text.lower() in _LONGER:
        raise refuse(
            f"{token.text} differ in length", token.position, "count in days: 91 for three months"
        )
    if days is None:
        raise refuse("days is expected", token.position, "write days after the number")
    return days


def _ordered(first: int, last: int, unit: int, word: Token) -> Span:
    if first > last:
        first, last = sorted((abs(first), abs(last)))
        raise refuse(
            "the window ends before it starts", word.position, f"write within {first} to {last} …"
        )
    return first * unit, last * unit


def _not_empty(first: int, last: int, word: Token) -> Span:
    if first > last:
        raise refuse("the window holds no day", word.position, "write within 0 to 90 days …")
    return first, last


def _both(one: Window, other: Window, opened: Token) -> Window:
    """The days that lie in both of two windows of one index."""
    starts = [each.start for each in (one, other) if each.start is not None]
    ends = [each.end for each in (one, other) if each.end is not None]
    start, end = max(starts, default=None), min(ends, default=None)
    if start is not None and end is not None and start > end:
        raise refuse(
            "the window ends before it starts",
            opened.position,
            f"it is {window_text(one)} and {window_text(other)}: no day is both",
        )
    return Window(one.index, start, end)


def in_order(windows: Iterable[Window]) -> tuple[Window, ...]:
    """The one order in which windows that all hold are written: those with a start come first."""
    return tuple(sorted(windows, key=lambda each: (each.start is None, window_text(each))))


def _no_index(token: Token, clock: ColumnRef) -> BadInput:
    if token.kind is Kind.STRING:
        instead = f"write it as a condition of the row: {clock.column.name} < {token.text!r}"
    else:
        instead = "write a date of one value per member, or first(table.date)"
    return refuse("a window is measured from a member's own date", token.position, instead)


def _check_index(index: ColumnRef, clock: ColumnRef, token: Token) -> None:
    name = name_text(index)
    if index.many:
        raise refuse(
            f"a member has many {name}",
            token.position,
            f"write which: first({name}) or last({name})",
        )
    if not is_time(index.column):
        raise refuse(
            f"{name} is no date", token.position, "write a date column, or first(table.date)"
        )
    if not same_time(index.column, clock.column):
        raise refuse(
            f"{name} and {clock.name} cannot be subtracted: one is a date, one is counted",
            token.position,
            "write an index of the same sort",
        )
