"""What an index of a ledger finds is what reading all of it finds, and it reads nothing twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from node.ledger_index import LedgerIndex
from privacy.ledger.entry import Approval, Commit, Entry, Reserve
from privacy.ledger.upkeep_entry import BackedUp
from tests.support.network import Network

NODE = "ms-league"


def _read_all(lines: list[bytes]) -> list[tuple[int, str, int]]:
    """Charges in order, with their plan and the reservation, by reading everything."""
    reserved: dict[str, int] = {}
    found = []
    for line in lines:
        entry = Entry.from_bytes(line)
        if isinstance(entry.body, Reserve):
            reserved[entry.body.plan] = entry.seq
        if isinstance(entry.body, Commit):
            found.append((entry.seq, entry.body.plan, reserved[entry.body.plan]))
    return found


def _indexed(index: LedgerIndex) -> list[tuple[int, str, str]]:
    return [(d.entry.seq, d.commit.plan, d.reserve.plan) for d in index.departures()]


def test_it_finds_what_reading_everything_finds(network: Network) -> None:
    ledger = network.nodes[NODE].service.ledger
    for by in ([], ["treatment"], ["condition"]):
        network.ask({"kind": "count", "by": by})
        assert ledger.index.departed() == len(_read_all(ledger.entries()))
    ledger.append(BackedUp(backup="a" * 64, by="ada"))
    expected = _read_all(ledger.entries())
    assert len(expected) == 3
    fresh = LedgerIndex(ledger.lines)
    for index in (ledger.index, fresh):
        assert _indexed(index) == [(seq, plan, plan) for seq, plan, _ in expected]
        assert [d.entry.seq for d in index.departures(1, 2)] == [expected[1][0]]
        assert list(index.departures(3)) == []
        assert [entry.seq for entry in index.backups()] == [ledger.size - 1]
        assert index.linkage() == []


def test_it_reads_nothing_twice(network: Network) -> None:
    ledger = network.nodes[NODE].service.ledger
    network.ask({"kind": "count"})
    read: list[int] = []

    def lines(start: int, stop: int | None) -> Iterator[bytes]:
        for seq, line in enumerate(ledger.lines(start, stop), start):
            read.append(seq)
            yield line

    index = LedgerIndex(lines)
    assert index.departed() == 1
    assert read == list(range(ledger.size))
    size = ledger.size
    ledger.append(BackedUp(backup="b" * 64, by="ada"))
    read.clear()
    assert index.departed() == 1
    assert read == [size]
    read.clear()
    assert len(list(index.departures())) == 1
    assert len(read) == 2, "the charge and its reservation"


@pytest.mark.parametrize("kind", ["commit", "backup"])
def test_words_that_look_like_a_kind_are_not_taken_for_one(kind: str) -> None:
    """A steward's own words stand in entries too; there a quotation mark is escaped."""
    words = f'"kind":"{kind}"'
    body = Approval(
        study="als", study_digest="0" * 64, rho="1/2", decision="refused", by="ada", reason=words
    )
    entry = Entry(seq=0, at="2026-03-01T12:00:00Z", prev="0" * 64, body=body)
    index = LedgerIndex(lambda start, stop: [entry.data][start:stop])
    assert (index.departed(), index.backups()) == (0, [])
