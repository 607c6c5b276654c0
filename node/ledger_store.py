"""The node's ledger on disk: one append is one durable transaction.

An append writes the entry, the new head under the node's seal and, for a commit, the bytes that
may leave, all together or not at all (SQLite, WAL, synchronous=FULL). Threads that append at the
same time share a transaction. A head is signed when it is first shown; Ed25519 gives the same
bytes for it every time. The rules are `privacy.ledger`'s; this module only keeps what they accept.

Whatever goes wrong with the disk, the clock or a second writer is Refused(LEDGER_STOPPED) and
nothing is half-written. A crash at any point leaves the ledger before or after the append.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Self

from node.ledger_file import (
    FORMAT,
    SCHEMA,
    Head,
    Transaction,
    connect,
    genesis_of,
    had_key,
    stopping,
)
from node.ledger_index import LedgerIndex
from node.ledger_wish import (
    BEGIN_AGAIN,
    RESTORED,
    Accepted,
    Queue,
    Receipt,
    Wish,
    check_outbox,
    entry_after,
    fail,
    keep_beside,
    restored_of,
)
from node.witness_book import WitnessBook
from privacy.checkpoint import Checkpoint, NoteSigner, node_origin
from privacy.contract.canonical import rational
from privacy.contract.signing import FormerKey, PublicKey, SigningKey
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.chain import Replay, entry_of, verify_entries
from privacy.ledger.entry import Body, Entry, Genesis
from privacy.ledger.fold import apply, step
from privacy.ledger.state import LedgerState
from privacy.ledger.upkeep_entry import NodeKeyChanged, Restored
from privacy.merkle import Frontier, Tree

_BATCH = 1_000
_INSERT = "INSERT INTO entries VALUES (?, ?, ?)"

Clock = Callable[[], datetime]
Step = Callable[[str], None]


def _nothing(_step: str) -> None:
    return None


class LedgerStore:
    """One node's ledger. Thread-safe; the only writer of its file.

    Make one with `create` or `open`. `reached` is told the named steps of every append, for
    tests that stop the process there.
    """

    def __init__(
        self, db: sqlite3.Connection, key: SigningKey, clock: Clock, reached: Step, origin: str
    ) -> None:
        self._db = db
        self._clock = clock
        self._reached = reached
        self._signer = NoteSigner(origin, key)
        self._head = Head(db, key, origin)
        self._lock = threading.RLock()
        self._waiting = Queue()
        self._state = LedgerState()
        self._tree = Tree()
        self._frontier = Frontier()
        self._shown = (-1, "")  # the newest head that was signed
        self._restored: Restored | None = None
        self.index = LedgerIndex(self.lines)
        self.book = WitnessBook(db, self._lock, self._transaction, self._signer, self._network)

    @classmethod
    def create(
        cls,
        path: Path,
        key: SigningKey,
        clock: Clock,
        *,
        node: str,
        network: str,
        delta: Fraction,
        steward: PublicKey,
        reached: Step = _nothing,
    ) -> Self:
        """A new ledger whose first entry says whose it is. Raises BadInput if `path` exists.

        `steward` is the key that opens periods until a steward joins with their own.
        """
        origin = node_origin(network, node)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            raise BadInput("there is a ledger already", where=str(path)) from None
        first = Genesis(
            node=node,
            key=key.public.text,
            steward=steward.text,
            network=network,
            delta=rational(delta),
        )
        with ExitStack() as undo, stopping():
            undo.callback(path.unlink)
            db = undo.enter_context(closing(connect(path)))
            db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
            store = cls(db, key, clock, reached, origin)
            store.append(first)
            undo.pop_all()
        return store

    @classmethod
    def open(cls, path: Path, key: SigningKey, clock: Clock, *, reached: Step = _nothing) -> Self:
        """Open a ledger after verifying all of it.

        Raises BadInput if there is none, VerificationFailed naming the first bad entry when the
        file is not what was signed, Refused(LEDGER_STOPPED) when it cannot be read.
        """
        if not path.is_file():
            raise BadInput("there is no ledger", where=str(path))
        with ExitStack() as undo, stopping():
            db = undo.enter_context(closing(connect(path)))
            if db.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
                raise VerificationFailed("not a ledger of this version", where=str(path))
            genesis = genesis_of(db)
            if not had_key(db, key.public.text):
                raise VerificationFailed("ledger belongs to another key", where="entry 0")
            store = cls(db, key, clock, reached, node_origin(genesis.network, genesis.node))
            store.verify()
            if store.state.key != key.public.text:
                raise VerificationFailed("ledger belongs to a newer key", where="head")
            undo.pop_all()
        return store

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # what it says

    @property
    def state(self) -> LedgerState:
        """The balances now. A value: it does not change under the caller."""
        return self._state

    @property
    def size(self) -> int:
        return self._state.size

    @property
    def origin(self) -> str:
        """The origin line of this ledger's checkpoints."""
        return self._signer.name

    def _network(self) -> str:
        genesis = self._state.genesis
        return genesis.network if genesis else ""

    @property
    def own_key(self) -> PublicKey:
        """The key that signs this ledger, with those that did before."""
        had = [FormerKey(PublicKey.from_text(k), until) for k, until in self._state.former_keys]
        return PublicKey(self._signer.key.raw, tuple(had))

    def change_key(self, body: NodeKeyChanged, key: SigningKey) -> None:
        """Enter a change of key; `key`, the new one, signs from this entry on. Then open again."""
        self.check_begun()
        with self._lock:
            before, wish = (self._signer, self._head), Wish(body, None, None)
            self._signer = NoteSigner(self.origin, key)
            self._head = Head(self._db, key, self.origin)
            self._write([wish])
            if wish.receipt is None:
                self._signer, self._head = before
            wish.answer()

    def checkpoint(self) -> str:
        """The newest checkpoint, signed."""
        size, note = self._shown
        if size == self._frontier.size:
            return note
        with self._lock:
            head = Checkpoint(self._signer.name, self._frontier.size, self._frontier.root)
            note = self._signer.checkpoint(head)
            self._shown = (head.size, note)
        return note

    def checkpoint_at(self, size: int) -> str:
        """The checkpoint of the first `size` entries, signed again; the same bytes as then."""
        with self._lock:
            head = Checkpoint(self._signer.name, size, self._tree.root(size))
        return self._signer.checkpoint(head)

    def root_at(self, size: int) -> bytes:
        """The root when the ledger had `size` entries; raises BadInput if it never had."""
        with self._lock:
            return self._tree.root(size)

    def consistency_proof(self, old: int, size: int) -> tuple[bytes, ...]:
        """Shows a witness that the first `old` entries are a prefix of the first `size`."""
        with self._lock:
            return self._tree.consistency_proof(old, size)

    def inclusion_proof(self, seq: int, size: int) -> tuple[bytes, ...]:
        """Shows that entry `seq` is covered by the checkpoint of `size` entries."""
        with self._lock:
            return self._tree.inclusion_proof(seq, size)

    def entries(self, start: int = 0, stop: int | None = None) -> list[bytes]:
        """Canonical lines, without newline, of entries start..stop-1."""
        return list(self.lines(start, stop))

    def lines(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The same one by one, in memory for a batch at a time."""
        end = self.size if stop is None else min(stop, self.size)
        for low in range(start, end, _BATCH):
            query = "SELECT data FROM entries WHERE seq >= ? AND seq < ? ORDER BY seq"
            with self._lock, stopping():
                rows = self._db.execute(query, (low, min(low + _BATCH, end))).fetchall()
            yield from (row[0] for row in rows)

    def outbox(self, plan: str, round_: int, attempt: int) -> bytes | None:
        """The bytes committed for the newest opening of an open plan, if this is it."""
        query = "SELECT payload FROM outbox WHERE plan = ? AND round = ? AND attempt = ?"
        with self._lock, stopping():
            row = self._db.execute(query, (plan, round_, attempt)).fetchone()
        return None if row is None else bytes(row[0])

    def cut(self, plan: str) -> str | None:
        """What the records were when an open plan was reserved, as `append` was told."""
        with self._lock, stopping():
            row = self._db.execute("SELECT cut FROM cuts WHERE plan = ?", (plan,)).fetchone()
        return None if row is None else str(row[0])

    def verify(self) -> None:
        """Read the whole file again; raises VerificationFailed naming the first bad entry."""
        with self._lock, stopping():
            frontier = self._head.read()
            head = Checkpoint(self._signer.name, frontier.size, frontier.root)
            with closing(self._db.execute("SELECT data FROM entries ORDER BY seq")) as rows:
                result: Replay = verify_entries((row[0] for row in rows), head)
            self._state, self._tree, self._frontier = result.state, result.tree, frontier
            self._restored = restored_of(self._db)

    # what it takes

    def append(self, body: Body, *, outbox: bytes | None = None, cut: str | None = None) -> Receipt:
        """Write one entry durably; for a commit, with the very bytes that may leave.

        `cut` is kept beside a reservation and stays in the building (see `node.cut`).
        Returns only after the transaction is on disk. Raises Refused with the code of the rule
        that forbids the entry (see `privacy.ledger.fold.step`), LEDGER_STOPPED when it cannot
        be written; BadInput when `outbox` is not what the commit describes.
        """
        check_outbox(body, outbox)
        if not isinstance(body, BEGIN_AGAIN):
            self.check_begun()
        wish = Wish(body, outbox, cut)
        if self._waiting.wait(wish):
            group: list[Wish] = []
            try:
                with self._lock:
                    group = self._waiting.take()
                    self._write(group)
            finally:
                self._waiting.hand_over(wish, group)
        return wish.answer()

    def _write(self, wishes: list[Wish]) -> None:
        """Write what the rules accept of `wishes` in one transaction, under one seal."""
        state, frontier, accepted = self._state, self._frontier, list[Accepted]()
        try:
            now = instant_text(self._clock())
            for wish in wishes:
                try:
                    entry = entry_after(state, wish.body, now)
                    state = step(state, entry)
                except Refused as refused:
                    wish.error = refused
                    continue
                frontier = frontier.append(entry.leaf)
                accepted.append((wish, entry))
            if accepted:
                self._keep(accepted, state, frontier)
        except Refused as stopped:
            fail(wishes, stopped)
        finally:
            fail(wishes, Refused(Code.LEDGER_STOPPED, what="storage"))

    def _keep(self, accepted: list[Accepted], state: LedgerState, frontier: Frontier) -> None:
        """Make accepted entries durable, then known, then answer those who wished for them."""
        with self._transaction():
            self._head.lift(self._frontier.size)
            for wish, entry in accepted:
                head = self._head.sealed(frontier) if entry.seq + 1 == frontier.size else None
                self._db.execute(_INSERT, (entry.seq, entry.data, head))
                keep_beside(self._db, wish)
                self._reached(f"{wish.body.kind} written")
        for _, entry in accepted:
            self._tree.append(entry.leaf)
        self._state, self._frontier = state, frontier
        for wish, entry in accepted:
            wish.receipt = Receipt(entry.seq, entry.leaf.hex())
            self._reached(f"{wish.body.kind} durable")
        if self._restored is not None:
            self._restored = restored_of(self._db)

    # what a restored one takes back

    @property
    def restored(self) -> Restored | None:
        """The entry that a restored ledger is to begin again with; until then it takes no other.

        Whatever it wrote before it has what it said since the backup would be a second history.
        """
        return self._restored

    def check_begun(self) -> None:
        """Raises Refused(LEDGER_STOPPED) for a restored ledger that has not begun again."""
        if self._restored is not None:
            raise Refused(Code.LEDGER_STOPPED, what=RESTORED)

    def _transaction(self) -> Transaction:
        return Transaction(self._db)

    def restore(self, lines: Sequence[bytes], heads: Iterable[Checkpoint]) -> None:
        """Append entries that this very ledger had and lost, from where it ends, durably.

        Raises VerificationFailed, and changes nothing, unless they are what every one of `heads`
        was signed over, and the largest covers exactly all of them.
        """
        with self._lock:
            roots = {head.size: head.root for head in heads}
            if any(size <= self.size and self._tree.root(size) != roots[size] for size in roots):
                raise VerificationFailed("is another history than was signed", where="head")
            state, frontier, entries = self._state, self._frontier, list[Entry]()
            for line in lines:
                entry = entry_of(line, state.size)
                state, frontier = apply(state, entry), frontier.append(entry.leaf)
                entries.append(entry)
                if roots.get(frontier.size, frontier.root) != frontier.root:
                    raise VerificationFailed("is not what was signed", where=f"entry {entry.seq}")
            if frontier.size != max(roots, default=-1):
                raise VerificationFailed("ends elsewhere", where=f"entry {frontier.size}")
            back = [(Wish(e.body, None, None, taken_back=True), e) for e in entries]
            self._keep(back, state, frontier)

    # what it remembers of the records beside it

    def records_mark(self) -> str | None:
        """The newest mark of the records beside this ledger; stays in the building."""
        with self._lock, stopping():
            row = self._db.execute("SELECT mark FROM beside WHERE what = 'records'").fetchone()
        return None if row is None else str(row[0])

    def note_records_mark(self, mark: str) -> None:
        """Remember it durably."""
        with self._lock, self._transaction():
            self._db.execute("INSERT OR REPLACE INTO beside VALUES ('records', ?)", (mark,))
