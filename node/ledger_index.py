"""Where entries of a few kinds stand in a node's ledger: found once, then only in what is new.

What shows the newest hundred of them, or all of a kind that is rare, so reads no more of the
ledger than that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from privacy.ledger.entry import Aborted, Commit, Entry, Expired, Released, Reserve
from privacy.ledger.link_entry import LinkBegun, Linked, LinkEnded
from privacy.ledger.upkeep_entry import BackedUp

Lines = Callable[[int, int | None], Iterable[bytes]]

_OPENING = (Reserve, Commit, Released, Aborted, Expired)
_LINKAGE = (LinkBegun, Linked, LinkEnded)
_MARKS = tuple(
    f'"kind":"{each.model_fields["kind"].default}"'.encode()
    for each in (*_OPENING, *_LINKAGE, BackedUp)
)


@dataclass(frozen=True)
class Departure:
    """One byte string that left: an entry's charge, and the reservation it belongs to."""

    entry: Entry
    commit: Commit
    reserve: Reserve


@dataclass
class LedgerIndex:
    """Of the ledger whose `lines(start, stop)` these are. Thread-safe; a ledger only grows."""

    lines: Lines
    _read: int = 0
    _left: list[tuple[int, int]] = field(default_factory=list)  # of a commit and its reservation
    _open: dict[str, int] = field(default_factory=dict)  # reservations, by plan
    _linkage: list[int] = field(default_factory=list)
    _backups: list[int] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def departed(self) -> int:
        """How many byte strings left."""
        with self._lock:
            self._catch_up()
            return len(self._left)

    def departures(self, start: int = 0, stop: int | None = None) -> Iterator[Departure]:
        """Charges start..stop-1 in order; each describes all that left for it."""
        with self._lock:
            self._catch_up()
            wanted = self._left[start:stop]
        for charged, reserved in wanted:
            entry, reserve = self._entry(charged), self._entry(reserved).body
            if isinstance(entry.body, Commit) and isinstance(reserve, Reserve):
                yield Departure(entry, entry.body, reserve)

    def backups(self) -> list[Entry]:
        """Every backup that was begun, oldest first."""
        with self._lock:
            self._catch_up()
            return [self._entry(seq) for seq in self._backups]

    def linkage(self) -> list[Entry]:
        """Everything that happened with linkages, oldest first."""
        with self._lock:
            self._catch_up()
            return [self._entry(seq) for seq in self._linkage]

    def _entry(self, seq: int) -> Entry:
        (line,) = self.lines(seq, seq + 1)
        return Entry.from_bytes(line)

    def _catch_up(self) -> None:
        for line in self.lines(self._read, None):
            if any(mark in line for mark in _MARKS):
                self._take(Entry.from_bytes(line))
            self._read += 1

    def _take(self, entry: Entry) -> None:
        match entry.body:
            case Reserve(plan=plan):
                self._open[plan] = entry.seq
            case Commit(plan=plan):
                self._left.append((entry.seq, self._open[plan]))
            case Released(plan=plan) | Aborted(plan=plan) | Expired(plan=plan):
                self._open.pop(plan, None)
            case LinkBegun() | Linked() | LinkEnded():
                self._linkage.append(entry.seq)
            case BackedUp():
                self._backups.append(entry.seq)
            case _:
                pass
