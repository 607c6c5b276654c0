"""Long lists page by page, the newest first: which part is shown, and where the others are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import Request

MOST_PAGES = 1_000_000
_DIGITS = 7


@dataclass(frozen=True)
class Around:
    """The addresses of the pages before and after page `number` of `last`; "" for none."""

    number: int
    last: int
    newer: str
    older: str

    @classmethod
    def of(cls, number: int, last: int, sought: Mapping[str, str]) -> Around:
        """With what is `sought` in the address."""
        kept = {name: text for name, text in sought.items() if text}
        newer = "?" + urlencode({**kept, "page": number - 1}) if number > 1 else ""
        older = "?" + urlencode({**kept, "page": number + 1}) if number < last else ""
        return cls(number, last, newer, older)


@dataclass(frozen=True)
class Part:
    """Entries start..stop-1 of a list, counted from the oldest; they are shown newest first."""

    start: int
    stop: int
    around: Around


def page_asked(request: Request) -> int:
    """The number of the page in the address; the first for none."""
    text = request.query_params.get("page", "1")
    whole = text.isascii() and text.isdecimal() and len(text) <= _DIGITS
    return min(max(int(text), 1), MOST_PAGES) if whole else 1


def part_asked(request: Request, all_: int, size: int) -> Part:
    """The page that is asked for of a list of so many entries, `size` on each; the last one for
    a number beyond it."""
    last = max(1, -(-all_ // size))
    number = min(page_asked(request), last)
    stop = all_ - (number - 1) * size
    return Part(max(0, stop - size), stop, Around.of(number, last, {}))
