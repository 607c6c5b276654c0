"""What a thread that appends to the ledger waits for, and what is kept beside an open plan."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from privacy.contract.canonical import canonical_bytes, parse_canonical, sha256_hex
from privacy.errors import BadInput, Code, Refused
from privacy.ledger.entry import Aborted, Body, Commit, Entry, Expired, Released, Reserve
from privacy.ledger.fold import instant_not_before
from privacy.ledger.history_entry import BudgetForfeited, LedgerRecovered
from privacy.ledger.state import LedgerState
from privacy.ledger.upkeep_entry import Restored

CLOCK_SLACK_SECONDS = 2
RESTORED = "restored"
BEGIN_AGAIN = (Restored, LedgerRecovered, BudgetForfeited)  # all that a restored ledger takes


@dataclass(frozen=True)
class Receipt:
    """Proof of one append: its number, leaf hash (hexadecimal) and the checkpoint covering it."""

    seq: int
    leaf: str
    checkpoint: str


@dataclass
class Wish:
    """An entry that a thread waits for, with what is kept beside it, and what became of it."""

    body: Body
    outbox: bytes | None
    cut: str | None
    taken_back: bool = False  # an entry that this ledger had before it was restored
    receipt: Receipt | None = None
    error: Refused | None = None

    @property
    def answered(self) -> bool:
        return self.receipt is not None or self.error is not None

    def answer(self) -> Receipt:
        if self.receipt is None:
            raise self.error or Refused(Code.LEDGER_STOPPED, what="storage")
        return self.receipt


Accepted = tuple[Wish, Entry]


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
