"""A formula's text cut into words. Anything else is refused with its position."""

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
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True)
class Word:
    """`text` is the content, a string without its quotes; `plain` is false for `quoted names`."""

    kind: Kind
    text: str
    position: int  # of the first character, counted from 1
    plain: bool = True


_SPACE = re.compile(r"\s+")
_NUMBER = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.])")
_STRING = re.compile(r"""'((?:[^'\n]|'')*)'|"((?:[^"\n]|"")*)\"""")
_QUOTED_NAME = re.compile(r"`([^`\n]+)`")
_SIGN = re.compile(r"\*(?!\*)|[~+:()\[\],=-]")
_INSTEAD = {
    "**": "name every term",
    "^": "name every term",
    "/": "write a + a:b",
    "%": "write a + a:b",
    "|": "random effects are asked for by progression",
    "=": "write ~ between outcome and terms",
    "'": "close the quote",
    '"': "close the quote",
    "`": "close the backquote",
}


def refuse(what: str, position: int, instead: str) -> BadInput:
    """The error for a place in the text; to be raised by the caller."""
    return BadInput(what, where=f"formula, position {position}", instead=instead)


def words_of(text: str) -> Iterator[Word]:
    """All words, the last one END. Raises BadInput naming the position."""
    if len(text) > MAX_CHARACTERS:
        raise refuse(f"longer than {MAX_CHARACTERS} characters", 1, "write fewer terms")
    at = 0
    while at < len(text):
        space = _SPACE.match(text, at)
        if space is None:
            word, at = _word(text, at)
            yield word
        else:
            at = space.end()
    yield Word(Kind.END, "", len(text) + 1)


def _word(text: str, at: int) -> tuple[Word, int]:
    position = at + 1
    if found := _STRING.match(text, at):
        quote = found.group()[0]
        content = found.group()[1:-1].replace(quote * 2, quote)
        return Word(Kind.STRING, content, position), found.end()
    if found := _NUMBER.match(text, at):
        return Word(Kind.NUMBER, found.group(), position), found.end()
    if found := _SIGN.match(text, at):
        return Word(Kind.SIGN, found.group(), position), found.end()
    if found := _QUOTED_NAME.match(text, at):
        return Word(Kind.NAME, found.group(1), position, plain=False), found.end()
    if found := PLAIN_NAME.match(text, at):
        return Word(Kind.NAME, found.group(), position), found.end()
    shown = "**" if text.startswith("**", at) else text[at]
    instead = _INSTEAD.get(shown, "write outcome ~ term + term")
    raise refuse(f"{shown!r} is not part of the grammar", position, instead)
