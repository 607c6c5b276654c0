"""The SQLite file of a ledger: its tables, its version, and how it is opened."""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from privacy.contract.signing import SigningKey
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.entry import Entry, Genesis
from privacy.ledger.upkeep_entry import NodeKeyChanged
from privacy.merkle import Frontier
from privacy.secure_sum.masks import derive

FORMAT = 5

_CHANGE = b'"kind":"node-key"'
_SEAL = 32  # bytes
SCHEMA = """
CREATE TABLE entries (seq INTEGER PRIMARY KEY, data BLOB NOT NULL, head BLOB);
CREATE TABLE outbox (
    plan TEXT PRIMARY KEY, round INTEGER NOT NULL, attempt INTEGER NOT NULL, payload BLOB NOT NULL
    ) WITHOUT ROWID;
CREATE TABLE cuts (plan TEXT PRIMARY KEY, cut TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE held (node TEXT PRIMARY KEY, checkpoint TEXT NOT NULL);
CREATE TABLE cosigned (
    node TEXT PRIMARY KEY, checkpoint TEXT NOT NULL, cosignature TEXT NOT NULL,
    said TEXT NOT NULL);
CREATE TABLE beside (what TEXT PRIMARY KEY, mark TEXT NOT NULL);
"""


@contextmanager
def stopping() -> Iterator[None]:
    """Whatever the database raises stops the ledger; its text stays in the building."""
    try:
        yield
    except sqlite3.Error as error:
        raise Refused(Code.LEDGER_STOPPED, what="storage") from error


class Transaction:
    """Durable at its end or not at all; what the database raises stops the ledger.

    A class, because entering a generator's context takes twice as long at every append.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as failed:
            raise Refused(Code.LEDGER_STOPPED, what="storage") from failed

    def __exit__(self, kind: object, error: BaseException | None, _trace: object) -> None:
        try:
            if error is None:
                self._db.execute("COMMIT")
        except sqlite3.Error as failed:
            raise Refused(Code.LEDGER_STOPPED, what="storage") from failed
        finally:
            with suppress(sqlite3.Error):
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise Refused(Code.LEDGER_STOPPED, what="storage") from error


def connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    return db


def genesis_of(db: sqlite3.Connection) -> Genesis:
    row = db.execute("SELECT data FROM entries WHERE seq = 0").fetchone()
    try:
        first = None if row is None else Entry.from_bytes(row[0]).body
    except BadInput:
        first = None
    if not isinstance(first, Genesis):
        raise VerificationFailed("does not begin a ledger", where="entry 0")
    return first


def had_key(db: sqlite3.Connection, key: str) -> bool:
    """Whether this was ever the key of the ledger."""
    if genesis_of(db).key == key:
        return True
    rows = db.execute("SELECT data FROM entries WHERE instr(data, ?) > 0", (_CHANGE,))
    bodies = [Entry.from_bytes(row[0]).body for row in rows]
    return any(isinstance(body, NodeKeyChanged) and body.new == key for body in bodies)


class Head:
    """The head in the file: the frontier, under a seal that only the node's key makes.

    It stands beside the newest entry and is lifted off it, in the same transaction, when another
    is written: where entries were cut from the end, the newest has none.

    Guarantee: `read` returns only what `sealed` made with this key for this origin.
    Source: HMAC-SHA256 (RFC 2104) under a key by HKDF (RFC 5869).
    """

    def __init__(self, db: sqlite3.Connection, key: SigningKey, origin: str) -> None:
        self._db = db
        self._key = derive(key.secret_bytes(), f"cairn ledger head\n{origin}".encode())

    def read(self) -> Frontier:
        """Raises VerificationFailed unless it stands there as it was written."""
        query = (
            "SELECT seq, CAST(head AS BLOB) FROM entries WHERE head IS NOT NULL"
            " ORDER BY seq DESC LIMIT 1"
        )
        row = self._db.execute(query).fetchone()
        if row is None:
            [size] = self._db.execute("SELECT ifnull(max(seq), -1) + 1 FROM entries").fetchone()
            raise VerificationFailed("missing: no head ends the ledger", where=f"entry {size}")
        seal, data = row[1][:_SEAL], row[1][_SEAL:]
        if not hmac.compare_digest(self._seal(data), seal):
            raise VerificationFailed("the head was not sealed with this key", where="head")
        frontier = Frontier.from_bytes(data)
        if frontier.size != row[0] + 1:
            raise VerificationFailed("the stored head is not the ledger's", where="head")
        return frontier

    def lift(self, size: int) -> None:
        """Off the newest of `size` entries; raises Refused(LEDGER_STOPPED) if it is not there.

        In a transaction that writes another, with what `sealed` returns.
        """
        if size == 0:
            return
        query = "UPDATE entries SET head = NULL WHERE seq = ? AND head IS NOT NULL"
        if self._db.execute(query, (size - 1,)).rowcount != 1:
            raise Refused(Code.LEDGER_STOPPED, what="another writer")

    def sealed(self, frontier: Frontier) -> bytes:
        """What stands beside the newest entry."""
        data = frontier.to_bytes()
        return self._seal(data) + data

    def _seal(self, frontier: bytes) -> bytes:
        return hmac.digest(self._key, frontier, "sha256")
