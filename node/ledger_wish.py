"""What a thread that appends to the ledger waits for, and what is kept beside an open plan."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from privacy.contract.canonical import canonical_bytes, parse_canonical, sha256_hex
from privacy.errors import BadInput, Code, Refused
from privacy.ledger.entry import Aborted, Body, Commit, Entry, Expired, Released, Reserve
from privacy.ledger.fold import instant_not_before
from privacy.ledger.history_entry import BudgetForfeited, LedgerRecovered
from privacy.ledger.state import LedgerState
from privacy.ledger.upkeep_entry import Restored

CLOCK_SLACK_SECONDS = 2
GROUP = 64  # entries of one transaction at most
RESTORED = "restored"
BEGIN_AGAIN = (Restored, LedgerRecovered, BudgetForfeited)  # all that a restored ledger takes


@dataclass(frozen=True)
class Receipt:
    """What an append wrote: its number and leaf hash (hexadecimal)."""

    seq: int
    leaf: str

    @property
    def place(self) -> dict[str, int | str]:
        """Where it stands, for whoever asks for a proof."""
        return {"seq": self.seq, "leaf": self.leaf}


def _taken() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(eq=False)
class Wish:
    """An entry that a thread waits for, with what is kept beside it, and what became of it."""

    body: Body
    outbox: bytes | None
    cut: str | None
    taken_back: bool = False  # an entry that this ledger had before it was restored
    receipt: Receipt | None = None
    error: Refused | None = None
    leads: bool = False  # whether its thread writes for all that wait
    turn: threading.Lock = field(default_factory=_taken)

    @property
    def answered(self) -> bool:
        return self.receipt is not None or self.error is not None

    def answer(self) -> Receipt:
        if self.receipt is None:
            raise self.error or Refused(Code.LEDGER_STOPPED, what="storage")
        return self.receipt


Accepted = tuple[Wish, Entry]


class Queue:
    """Threads that append at the same time: the first writes for all that wait, then hands over.

    Who has an answer goes on at once, without waiting for those who write next.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._wishes: deque[Wish] = deque()
        self._led = False

    def __len__(self) -> int:
        return len(self._wishes)

    def wait(self, wish: Wish) -> bool:
        """Join; whether this thread is to write. If not, its wish has been answered."""
        with self._mutex:
            self._wishes.append(wish)
            wish.leads, self._led = not self._led, True
        if not wish.leads:
            wish.turn.acquire()
        return wish.leads

    def take(self) -> list[Wish]:
        """What is to be written now."""
        with self._mutex:
            return [self._wishes.popleft() for _ in range(min(len(self._wishes), GROUP))]

    def hand_over(self, own: Wish, written: Iterable[Wish]) -> None:
        """Let those go on who were answered, and the next write."""
        for wish in written:
            if wish is not own:
                wish.turn.release()
        with self._mutex:
            if own in self._wishes:  # interrupted before it was taken
                self._wishes.remove(own)
            self._led = bool(self._wishes)
            if self._led:
                self._wishes[0].leads = True
                self._wishes[0].turn.release()


def entry_after(state: LedgerState, body: Body, now: str) -> Entry:
    at = instant_not_before(now, state.at, CLOCK_SLACK_SECONDS)
    return Entry(seq=state.size, prev=state.head, at=at, body=body)


def fail(wishes: Iterable[Wish], error: Refused) -> None:
    """Nobody waits for ever: who has no answer yet is refused."""
    for wish in wishes:
        if not wish.answered:
            wish.error = error


def check_outbox(body: Body, outbox: bytes | None) -> None:
    if not isinstance(body, Commit):
        if outbox is not None:
            raise BadInput("only a commit has bytes that leave")
        return
    if outbox is None or (len(outbox), sha256_hex(outbox)) != (body.bytes, body.masked_sha256):
        raise BadInput("the bytes that leave are not those of the commit")


def keep_beside(db: sqlite3.Connection, wish: Wish) -> None:
    """What goes with an open plan: its cut, and the bytes of its newest opening."""
    match wish.body:
        case Reserve() as body if wish.cut is not None:
            db.execute("INSERT INTO cuts VALUES (?, ?)", (body.plan, wish.cut))
        case Commit() as body if wish.outbox is not None:
            db.execute(
                "INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?)",
                (body.plan, body.round, body.attempt, wish.outbox),
            )
        case Released() | Aborted() | Expired() as body:
            db.execute("DELETE FROM outbox WHERE plan = ?", (body.plan,))
            db.execute("DELETE FROM cuts WHERE plan = ?", (body.plan,))
        case Restored() | LedgerRecovered() | BudgetForfeited() if not wish.taken_back:
            db.execute("DELETE FROM beside WHERE what = ?", (RESTORED,))
        case _:
            pass


def restored_of(db: sqlite3.Connection) -> Restored | None:
    """What `note_restored` left in a ledger's file."""
    row = db.execute("SELECT mark FROM beside WHERE what = ?", (RESTORED,)).fetchone()
    return None if row is None else Restored.from_json(parse_canonical(row[0].encode()))


def note_restored(db: sqlite3.Connection, body: Restored) -> None:
    """From now on this ledger takes back what it lost, and nothing else; and the records beside it
    count as set back until a steward has imported again."""
    text = canonical_bytes(body.to_json()).decode()
    db.executemany(
        "INSERT OR REPLACE INTO beside VALUES (?, ?)",
        [(RESTORED, text), ("records", f"{RESTORED} {body.backup}")],
    )
