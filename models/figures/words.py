"""Cohorts and figures in plain words, from their canonical text alone.

A ledger holds the text and no dictionary is at hand, so this reads the text's own grammar;
what it cannot put in words it quotes as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from models.cohort.tokens import Kind, Token, tokens_of
from models.figures.scope import AFTER_ROWS
from privacy.errors import BadInput

_NUMBER_OPS = {"==": "", "!=": "other than ", ">=": "at least ", "<=": "at most "}
_NUMBER_OPS |= {">": "above ", "<": "below "}
_DATE_OPS = {"==": "on ", "!=": "not on ", ">=": "on or after ", "<=": "on or before "}
_DATE_OPS |= {">": "after ", "<": "before "}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HEADS = {
    "first": "first {column} of {rows}",
    "last": "last {column} of {rows}",
    "mean": "mean {column} of {rows}",
    "min": "lowest {column} of {rows}",
    "max": "highest {column} of {rows}",
    "sum": "total {column} of {rows}",
    "slope": "monthly change of {column} over {rows}",
}


def plain_word(name: str) -> str:
    """A column's name as a word: without its table, spaces for underscores."""
    return name.rsplit(".", 1)[-1].replace("_", " ")


def joined(items: Sequence[str], last: str) -> str:
    """a, b and c."""
    if len(items) == 1:
        return items[0]
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def conditions_in_words(text: str) -> list[str] | None:
    """The conditions of a cohort joined by `and`, or None where it is more than that."""
    try:
        reader = _Reader(text)
        found = _conditions(reader)
    except (BadInput, _NotPlainError):
        return None
    return found if reader.next.kind is Kind.END else None


def figure_in_words(text: str) -> str:
    """A figure in words; any other text as it is."""
    try:
        reader = _Reader(text)
        found = _figure(reader, reader.take().text)
    except (BadInput, _NotPlainError):
        return text
    return found if reader.next.kind is Kind.END else text


class _NotPlainError(Exception):
    """The text is not of the simple form that has words."""


class _Reader:
    """All tokens of a text, and a place among them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = list(tokens_of(text))
        self.at = 0

    @property
    def next(self) -> Token:
        return self._tokens[self.at]

    def take(self) -> Token:
        token = self.next
        self.at = min(self.at + 1, len(self._tokens) - 1)
        return token

    def takes(self, *texts: str) -> bool:
        found = self.next.kind is not Kind.STRING and self.next.text in texts
        if found:
            self.take()
        return found

    def need(self, text: str) -> None:
        if not self.takes(text):
            raise _NotPlainError

    def name(self) -> str:
        if self.next.kind is not Kind.NAME:
            raise _NotPlainError
        return self.take().text

    def value(self) -> str:
        token = self.take()
        if token.kind is Kind.WORD and token.text in ("true", "false"):
            return token.text
        if token.kind not in (Kind.STRING, Kind.NUMBER):
            raise _NotPlainError
        return token.text

    def since(self, start: int) -> str:
        """The text from the token at `start` to the place."""
        return self.text[self._tokens[start].position - 1 : self.next.position - 1].strip()


def _conditions(reader: _Reader) -> list[str]:
    found = [_condition(reader)]
    while reader.takes("and"):
        found.append(_condition(reader))
    return found


def _condition(reader: _Reader) -> str:
    negated = reader.takes("not")
    name = reader.name()
    if reader.next.text != "(":
        if negated:
            raise _NotPlainError
        return _compared(reader, plain_word(name))
    words = _figure(reader, name)
    if name == "any" and reader.next.text in ("and", ")", ""):
        return f"no {words}" if negated else f"any {words}"
    if negated:
        raise _NotPlainError
    return _compared(reader, words)


def _compared(reader: _Reader, subject: str) -> str:
    """The subject with what it is compared with."""
    if reader.takes("is"):
        known = "a known" if reader.takes("not") else "no known"
        reader.need("missing")
        return f"{known} {subject}"
    if reader.takes("between"):
        low = reader.value()
        reader.need("and")
        return f"{subject} from {low} to {reader.value()}"
    negated = reader.takes("not")
    if reader.takes("in"):
        return f"{subject} {'other than ' if negated else ''}{joined(_listed(reader), 'or')}"
    sign = reader.take().text
    if negated or sign not in _NUMBER_OPS:
        raise _NotPlainError
    value = reader.value()
    ops = _DATE_OPS if _DATE.fullmatch(value) else _NUMBER_OPS
    return f"{subject} {ops[sign]}{value}"


def _listed(reader: _Reader) -> list[str]:
    reader.need("[")
    values = [reader.value()]
    while reader.takes(","):
        values.append(reader.value())
    reader.need("]")
    return values


def _figure(reader: _Reader, kind: str) -> str:
    """The words of a figure, from its bracket on."""
    reader.need("(")
    table, dot, column = reader.name().rpartition(".")
    if kind in ("any", "count"):
        rows, need = _rows(reader, column if not dot else f"{table}.{column}")
        return rows if kind == "any" else f"number of {rows}"
    if kind == "share":
        test = _compared(reader, plain_word(column))
        rows, need = _rows(reader, table)
        return f"share with {test} among {rows}{need}"
    if kind not in _HEADS:
        raise _NotPlainError
    rows, need = _rows(reader, table)
    return _HEADS[kind].format(column=plain_word(column), rows=rows) + need


def _rows(reader: _Reader, table: str) -> tuple[str, str]:
    """The rows up to the closing bracket, and what the figure needs of them."""
    words = [plain_word(table)]
    if reader.takes("on"):
        words.append(f"by {plain_word(reader.name())}")
    if reader.takes(":"):
        words.append(f"({_row_conditions(reader)})")
    while reader.next.text in AFTER_ROWS and reader.next.text != "needing":
        words.append(_window(reader))
    need = ""
    if reader.takes("needing"):
        start = reader.at
        while reader.next.text not in (")", ""):
            reader.take()
        need = f" (needing {reader.since(start)})"
    reader.need(")")
    return " ".join(words), need


def _row_conditions(reader: _Reader) -> str:
    start = reader.at
    try:
        found = joined(_conditions(reader), "and")
    except _NotPlainError:
        found = ""
    if found and reader.next.text in (")", *AFTER_ROWS):
        return found
    reader.at = start
    depth = 0
    while depth or reader.next.text not in (")", *AFTER_ROWS, ""):
        depth += {"(": 1, ")": -1}.get(reader.take().text, 0)
    return reader.since(start).removeprefix("(").removesuffix(")")


def _window(reader: _Reader) -> str:
    """A window's own words, and those of its index."""
    start = reader.at
    while True:
        token = reader.take()
        index = token.text not in (*AFTER_ROWS, "to", "days", "of")
        if token.kind is Kind.END:
            raise _NotPlainError
        if index and token.kind is Kind.NAME:
            reader.at -= 1
            words = reader.since(start)
            return f"{words} {_index(reader)}"


def _index(reader: _Reader) -> str:
    name = reader.name()
    return f"the {_figure(reader, name)}" if reader.next.text == "(" else plain_word(name)
