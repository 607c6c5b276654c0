"""Text of others as a terminal may show it, and as a spreadsheet may open it."""

from __future__ import annotations

import json
import re

_FORMULA = "=+-@\t\r"  # what a spreadsheet takes for the beginning of one
_MARK = "'"
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def printable(text: str) -> str:
    r"""The text in one line, with an escape (\u001b) for every sign that is not to be seen.

    Guarantee: nothing in it moves the cursor, begins a line, or turns the order of what is read.
    Within JSON the value stays the same.
    """
    return "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in text)


def printable_lines(text: str) -> str:
    """The same of every line of a text of several."""
    return "\n".join(printable(line) for line in text.split("\n"))


def as_cell(text: str) -> str:
    """A text cell of a CSV file that no spreadsheet takes for a formula.

    What begins with one of `= + - @`, a tab or a carriage return gets an apostrophe before it, and
    so does what begins with an apostrophe. A number stays as it is. `of_cell` reads it back.
    """
    if not text.startswith((*_FORMULA, _MARK)) or _NUMBER.fullmatch(text):
        return text
    return _MARK + text


def of_cell(cell: str) -> str:
    """The text of a cell that `as_cell` wrote; any other cell as it is."""
    return cell[1:] if cell[:1] == _MARK and cell[1:2] in (*_FORMULA, _MARK) else cell
