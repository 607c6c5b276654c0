"""The SQLite file of a ledger: its tables, its version, and how it is opened."""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from privacy.contract.signing import SigningKey
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.entry import Entry, Genesis
from privacy.ledger.upkeep_entry import NodeKeyChanged
from privacy.merkle import Frontier
from privacy.secure_sum.masks import derive

FORMAT = 4

_CHANGE = b'"kind":"node-key"'
SCHEMA = """
CREATE TABLE entries (seq INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE head (
    id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL, frontier BLOB NOT NULL,
    seal BLOB NOT NULL);
INSERT INTO head VALUES (1, 0, x'', x'');
CREATE TABLE outbox (
    plan TEXT PRIMARY KEY, round INTEGER NOT NULL, attempt INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE cuts (plan TEXT PRIMARY KEY, cut TEXT NOT NULL);
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
    """The head in the file: size and frontier, under a seal that only the node's key makes.

    Guarantee: `read` returns only what `move` wrote with this key for this origin.
    Source: HMAC-SHA256 (RFC 2104) under a key by HKDF (RFC 5869).
    """

    def __init__(self, db: sqlite3.Connection, key: SigningKey, origin: str) -> None:
        self._db = db
        self._key = derive(key.secret_bytes(), f"cairn ledger head\n{origin}".encode())

    def read(self) -> Frontier:
        """Raises VerificationFailed unless it stands there as it was written."""
        row = self._db.execute("SELECT size, frontier, seal FROM head").fetchone()
        if row is None:
            raise VerificationFailed("the ledger has no head", where="head")
        size, data, seal = int(row[0]), bytes(row[1]), bytes(row[2])
        if not hmac.compare_digest(self._seal(data), seal):
            raise VerificationFailed("the head was not sealed with this key", where="head")
        frontier = Frontier.from_bytes(data)
        if frontier.size != size:
            raise VerificationFailed("the stored head is not the ledger's", where="head")
        return frontier

    def move(self, before: int, after: Frontier) -> None:
        """In a transaction; raises Refused(LEDGER_STOPPED) if somebody else moved it."""
        data = after.to_bytes()
        moved = self._db.execute(
            "UPDATE head SET size = ?, frontier = ?, seal = ? WHERE size = ?",
            (after.size, data, self._seal(data), before),
        )
        if moved.rowcount != 1:
            raise Refused(Code.LEDGER_STOPPED, what="another writer")

    def _seal(self, frontier: bytes) -> bytes:
        return hmac.digest(self._key, frontier, "sha256")
