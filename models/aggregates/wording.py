"""Names of columns and lists of them, in words."""

from __future__ import annotations

from collections.abc import Sequence


def word(name: str) -> str:
    """A column's name as a word: without its table, spaces for underscores; a figure's text."""
    if "(" in name:
        return name
    return name.rsplit(".", 1)[-1].replace("_", " ")


def joined(items: Sequence[str], last: str) -> str:
    """a, b and c."""
    if len(items) == 1:
        return items[0]
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def words(names: Sequence[str]) -> str:
    """Several columns' names, joined by `and`."""
    return joined([word(name) for name in names], "and")
