"""Names of columns and lists of them, in words."""

from __future__ import annotations

from collections.abc import Sequence

from models.figures.words import figure_in_words, joined, plain_word

__all__ = ["joined", "word", "words"]


def word(name: str) -> str:
    """A column's name as a word: without its table, spaces for underscores. A figure in words."""
    found = figure_in_words(name) if "(" in name else name
    return plain_word(name) if found == name else found


def words(names: Sequence[str]) -> str:
    """Several columns' names, joined by `and`."""
    return joined([word(name) for name in names], "and")
