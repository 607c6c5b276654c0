"""How far an import is, in steps and words, told to whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """`done` of `of` steps are behind; `words` says what is done now."""

    done: int
    of: int
    words: str


Told = Callable[[Progress], None]


def silent(_progress: Progress) -> None:
    """Tell nobody."""
