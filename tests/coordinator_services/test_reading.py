"""The index of the mirrored ledgers: what is found is what stands there."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from coordinator.reading import UNREADABLE, LedgerIndex, Sought
from privacy.merkle import leaf_hash, root_of, verify_inclusion

DAYS = ("2026-01-01", "2026-01-02", "2026-02-01")


def _line(day: str, kind: str, **body: str) -> bytes:
    said = {"kind": kind, **body}
    return json.dumps({"at": f"{day}T00:00:00Z", "body": said}).encode()


LINES = (
    _line(DAYS[0], "genesis"),
    _line(DAYS[0], "reserve", plan="p", study="als", researcher="key", sentence="Counts"),
    _line(DAYS[1], "commit", plan="p"),
    _line(DAYS[1], "aborted", plan="p", code="budget_exceeded"),
    _line(DAYS[2], "approval", study="ms", decision="refused"),
    b"not an entry",
)


@pytest.fixture
def index() -> LedgerIndex:
    made = LedgerIndex()
    for line in LINES:
        made.add(line)
    return made


def _seqs(index: LedgerIndex, **sought: str) -> list[int]:
    return [place.seq for place in index.find(Sought(**sought))]


def test_entries_are_found_by_what_they_are_about(index: LedgerIndex) -> None:
    assert _seqs(index) == [5, 4, 3, 2, 1, 0]
    assert _seqs(index, kind="commit") == [2]
    assert _seqs(index, study="als") == [3, 2, 1]  # a charge is of its plan's study
    assert _seqs(index, researcher="key") == [3, 2, 1]
    assert _seqs(index, since=DAYS[1], until=DAYS[1]) == [3, 2]
    assert _seqs(index, since=DAYS[2]) == [4]
    assert _seqs(index, study="none") == []


def test_what_cannot_be_read_has_its_place(index: LedgerIndex) -> None:
    assert index.places[5].kind == UNREADABLE
    assert index.tree.root() == root_of(map(leaf_hash, LINES))


def test_refusals_are_counted(index: LedgerIndex) -> None:
    assert dict(index.refusals) == {"runs ended: budget exceeded": 1, "studies refused": 1}


@given(some.lists(some.binary(max_size=40), min_size=1, max_size=20), some.data())
def test_any_line_has_a_proof(lines: list[bytes], data: some.DataObject) -> None:
    made = LedgerIndex()
    for line in lines:
        made.add(line)
    size = data.draw(some.integers(1, len(lines)))
    seq = data.draw(some.integers(0, size - 1))
    proof = made.tree.inclusion_proof(seq, size)
    verify_inclusion(leaf_hash(lines[seq]), seq, size, proof, root_of(map(leaf_hash, lines[:size])))
