"""A cohort's text cut into words. Anything else is refused with its position and what to write."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from models.cohort.text import PLAIN_NAME
from privacy.errors import BadInput

MAX_CHARACTERS = 4000


class Kind(StrEnum):
    NAME = "name"
    NUMBER = "number"
    STRING = "string"
    WORD = "word"
    SIGN = "sign"
    END = "end"


WORDS = frozenset(("and", "or", "not", "in", "between", "is", "missing", "true", "false"))


@dataclass(frozen=True)
class Token:
    """`text` is the content: a string without its quotes, a word of the grammar in lower case."""

    kind: Kind
    text: str
    position: int  # of the first character, counted from 1


_SPACE = re.compile(r"\s+")
_NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.])")
_STRING = re.compile(r"""'((?:[^'\n]|'')*)'|"((?:[^"\n]|"")*)\"""")
_QUOTED_NAME = re.compile(r"`([^`\n]+)`")
_SIGN = re.compile(r"==|!=|<=|>=|<(?!>)|>|\(|\)|\[|\]|,|:")
_BARE_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_INSTEAD = {
    "=": "write ==",
    "<>": "write !=",
    "&": "write and",
    "|": "write or",
    "!": "write not",
    "~": "write not",
    "≤": "write <=",
    "≥": "write >=",
    "≠": "write !=",
    "'": "close the quote; a quote inside is doubled: 'O''Brien'",
    '"': "close the quote",
    "`": "close the backquote",
    "“": "write straight quotes: 'als'",
    "”": "write straight quotes: 'als'",
    "‘": "write straight quotes: 'als'",
    "’": "write straight quotes: 'als'",
}
_ELSE = "compare one column with one value: age >= 18 and condition == 'als'"


def refuse(what: str, position: int, instead: str) -> BadInput:
    """The error for a place in the text; to be raised by the caller."""
    return BadInput(what, where=f"cohort, position {position}", instead=instead)


def tokens_of(text: str) -> Iterator[Token]:
    """All tokens, the last one END. Raises BadInput naming the position."""
    if len(text) > MAX_CHARACTERS:
        raise refuse(
            f"longer than {MAX_CHARACTERS} characters", MAX_CHARACTERS + 1, "ask a shorter question"
        )
    at = 0
    while at < len(text):
        space = _SPACE.match(text, at)
        if space is None:
            token, at = _token(text, at)
            yield token
        else:
            at = space.end()
    yield Token(Kind.END, "", len(text) + 1)


def _token(text: str, at: int) -> tuple[Token, int]:
    position = at + 1
    bare_date = _BARE_DATE.match(text, at)
    if bare_date is not None:
        raise refuse("a date without quotes", position, f"write '{bare_date.group()}'")
    if found := _STRING.match(text, at):
        quote = found.group()[0]
        content = found.group()[1:-1].replace(quote * 2, quote)
        return Token(Kind.STRING, content, position), found.end()
    if found := _NUMBER.match(text, at):
        return Token(Kind.NUMBER, found.group(), position), found.end()
    if found := _SIGN.match(text, at):
        return Token(Kind.SIGN, found.group(), position), found.end()
    if found := _QUOTED_NAME.match(text, at):
        return Token(Kind.NAME, found.group(1), position), found.end()
    if found := PLAIN_NAME.match(text, at):
        return _word(found.group(), position), found.end()
    raise _unknown(text, at)


def _word(text: str, position: int) -> Token:
    lower = text.lower()
    return Token(Kind.WORD, lower, position) if lower in WORDS else Token(Kind.NAME, text, position)


def _unknown(text: str, at: int) -> BadInput:
    if text[at].isdigit() or (text[at] == "-" and text[at + 1 : at + 2].isdigit()):
        return refuse("a number runs into other letters", at + 1, "write it alone: age >= 18")
    shown = "<>" if text.startswith("<>", at) else text[at]
    return refuse(f"{shown!r} is not part of the grammar", at + 1, _INSTEAD.get(shown, _ELSE))
