"""What a node holds of others' histories: its peers' ledgers and the coordinator's log.

`held` is the newest checkpoint that a peer signed; storing it is not witnessing. `cosigned` is
the newest head of which the node checked that it extends the one before, with its own signature.
Both lie beside the ledger in its file and stay true to it: they are written durably before
anything that depends on them leaves.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from node.ledger_file import stopping
from privacy.checkpoint import Checkpoint, NoteSigner, note_text, open_checkpoint, origin_of
from privacy.contract.signing import PublicKey
from privacy.errors import VerificationFailed
from privacy.witness import Growth, Seen, compare

Key = PublicKey


def entries_of(note: str) -> int:
    """How many entries a checkpoint says that it covers, unverified."""
    return Checkpoint.parse(note_text(note)).size


@dataclass(frozen=True)
class Cosigned:
    """A head and this node's cosignature line on it; `said` is when its keeper said so."""

    checkpoint: str
    cosignature: str
    said: str = ""


@dataclass(frozen=True)
class WitnessBook:
    """Thread-safe; `transaction` and `lock` are those of the ledger whose file it shares."""

    db: sqlite3.Connection
    lock: threading.RLock
    transaction: Callable[[], AbstractContextManager[None]]
    signer: NoteSigner
    network: Callable[[], str]

    # what peers signed

    def keep(self, notes: Mapping[str, tuple[str, Key]]) -> None:
        """Keep peers' newest checkpoints, all in one transaction. Not a cosignature: see `cosign`.

        Raises VerificationFailed if a peer did not sign its own, or signed two histories;
        then none of them is kept.
        """
        with self.lock:
            newer = [(n, note) for n, (note, key) in notes.items() if self._is_newer(n, note, key)]
            if newer:
                with self.transaction():
                    self.db.executemany("INSERT OR REPLACE INTO held VALUES (?, ?)", newer)

    def _is_newer(self, node: str, note: str, key: Key) -> bool:
        new = self._open(node, note, key)
        old = self._opened(node, self.held(node), key)
        if old is not None and old.size == new.size and old.root != new.root:
            raise VerificationFailed(f"signed two ledgers of {new.size} entries", where=node)
        return old is None or old.size < new.size

    def held(self, node: str) -> str | None:
        """The newest checkpoint of a peer that this node holds."""
        with self.lock, stopping():
            query = "SELECT checkpoint FROM held WHERE node = ?"
            row = self.db.execute(query, (node,)).fetchone()
        return None if row is None else str(row[0])

    # what this node vouches for

    def look(self, of: str, growth: Growth, key: Key) -> tuple[Seen, Checkpoint]:
        """What the head that `of` shows is to this node. Raises VerificationFailed unless signed.

        A peer that signed two histories of one size has shown another, whichever of them
        this node holds.
        """
        new = self._open(of, growth.checkpoint, key)
        last = self.cosigned(of)
        seen = compare(self._opened(of, last.checkpoint if last else None, key), new, growth)
        stored = self._opened(of, self.held(of), key)
        if stored is not None and stored.size == new.size and stored.root != new.root:
            return Seen.OTHER, new
        return seen, new

    def cosign(
        self, of: str, growth: Growth, key: Key, at_seconds: int, said: str = ""
    ) -> Cosigned:
        """Cosign a head after checking that it extends the last one cosigned, durably.

        Raises VerificationFailed when it does not, or cannot be seen to; the same head again
        keeps its first cosignature.
        """
        with self.lock:
            seen, new = self.look(of, growth, key)
            last = self.cosigned(of)
            if seen is Seen.SAME and last is not None:
                return last
            if seen is not Seen.GROWN:
                raise VerificationFailed(f"is {seen.value}, and not a later head", where=of)
            line = self.signer.cosignature(new, at_seconds)
            made = Cosigned(growth.checkpoint, line, said)
            with self.transaction():
                self.db.execute(
                    "INSERT OR REPLACE INTO cosigned VALUES (?, ?, ?, ?)",
                    (of, made.checkpoint, made.cosignature, made.said),
                )
            return made

    def cosigned(self, of: str) -> Cosigned | None:
        """The newest head of somebody's log that this node cosigned."""
        with self.lock, stopping():
            query = "SELECT checkpoint, cosignature, said FROM cosigned WHERE node = ?"
            row = self.db.execute(query, (of,)).fetchone()
        return None if row is None else Cosigned(*map(str, row))

    def newest(self, of: str) -> str | None:
        """The larger of what is held and what is cosigned: how far this node knows a ledger."""
        cosigned = self.cosigned(of)
        notes = [self.held(of), cosigned.checkpoint if cosigned else None]
        return max((note for note in notes if note), key=entries_of, default=None)

    def forget(self, of: str) -> None:
        """Begin anew with what `of` shows next. For a steward who accepted a broken history."""
        with self.lock, self.transaction():
            self.db.execute("DELETE FROM held WHERE node = ?", (of,))
            self.db.execute("DELETE FROM cosigned WHERE node = ?", (of,))

    def _open(self, of: str, note: str, key: Key) -> Checkpoint:
        return open_checkpoint(note, key, origin_of(self.network(), of))

    def _opened(self, of: str, note: str | None, key: Key) -> Checkpoint | None:
        return None if not note else self._open(of, note, key)
