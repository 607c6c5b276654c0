"""Text of others as a terminal may show it."""

from __future__ import annotations

import json


def printable(text: str) -> str:
    r"""The text in one line, with an escape (\u001b) for every sign that is not to be seen.

    Guarantee: nothing in it moves the cursor, begins a line, or turns the order of what is read.
    Within JSON the value stays the same.
    """
    return "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in text)
