"""The page that tells where each promise is tested, and the attacks of the threat model: every row
names a test; every promise what shows that its test can fail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEST = re.compile(r"`(tests/(?:[a-z_]+/)+test_[a-z_0-9]+\.py)` `(test_\w+)`")
FIRST, LAST = 1, 39  # of the attacks
NOWHERE = {5}  # no attack has this number


def rows(page: str) -> Iterator[list[str]]:
    """The cells of every row of a page's tables, headings left out."""
    for line in (DOCS / page).read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and not set(line) <= set("| -"):
            yield cells


PROMISES = list(rows("tested.md"))[1:]
ATTACKS = {cells[0]: cells[2] for cells in rows("threat-model.md") if re.match(r"A\d", cells[0])}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda cells: cells[0])
def test_a_promise_names_its_tests_and_what_shows_that_they_can_fail(promise: list[str]) -> None:
    words, held, fails = promise
    assert words
    assert TEST.search(held)
    assert TEST.search(fails)


def test_the_promises_are_read() -> None:
    assert len(PROMISES) >= 20


def test_every_attack_names_a_test() -> None:
    numbers = {int(name[1:]) for name, held in ATTACKS.items() if TEST.search(held)}
    assert numbers == set(range(FIRST, LAST + 1)) - NOWHERE
