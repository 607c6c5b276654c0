"""Long lists page by page, the newest first."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from pages.paging import Part, part_asked


def _part(query: str, all_: int, size: int) -> Part:
    scope = {"type": "http", "query_string": query.encode(), "headers": [], "path": "/"}
    return part_asked(Request(scope), all_, size)


@pytest.mark.parametrize(("all_", "size"), [(0, 5), (1, 5), (5, 5), (6, 5), (23, 5)])
def test_the_pages_hold_everything_once(all_: int, size: int) -> None:
    last = _part("", all_, size).around.last
    parts = [_part(f"page={number}", all_, size) for number in range(1, last + 1)]
    seen = [n for part in parts for n in reversed(range(part.start, part.stop))]
    assert seen == list(reversed(range(all_)))
    assert [part.around.newer == "" for part in parts] == [True] + [False] * (last - 1)
    assert [part.around.older == "" for part in parts] == [False] * (last - 1) + [True]


@pytest.mark.parametrize("query", ["", "page=0", "page=-1", "page=x", "page=٣", "page=12345678"])
def test_what_is_no_number_of_a_page_is_the_first(query: str) -> None:
    assert _part(query, 23, 5).around.number == 1


def test_a_number_beyond_the_end_is_the_last_page() -> None:
    assert _part("page=9999", 23, 5).around.number == 5
