"""A word of a closed set, as people write it."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from privacy.errors import BadInput

Word = TypeVar("Word", bound=StrEnum)


def one_of(words: type[Word], text: str, what: str, where: str = "") -> Word:
    """The word; raises BadInput that lists them all."""
    try:
        return words(text)
    except ValueError:
        listed = ", ".join(words)
        raise BadInput(
            f"no {what} {text!r}", where=where, instead=f"write one of {listed}"
        ) from None
