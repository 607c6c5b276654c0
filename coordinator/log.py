"""The coordinator's log as a tree: its signed head, proofs, and what witnesses are shown.

Each process keeps a copy of the tree and reads only what is new. Two processes sign the same
head for the same size, since both read the same rows.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from coordinator.store.log import Log
from privacy.checkpoint import Checkpoint, log_origin, sign_checkpoint
from privacy.contract.signing import SigningKey
from privacy.log import Logged, LogProof
from privacy.merkle import Tree, leaf_hash


@dataclass
class CoordinatorLog:
    """Safe to use from many threads."""

    rows: Log
    key: SigningKey
    network: str
    _tree: Tree = field(default_factory=Tree)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def checkpoint(self) -> str:
        """The newest signed head."""
        with self._lock:
            return self._head(self._grown())

    def prove(self, kind: Logged, digest: str) -> LogProof:
        """That a statement stands in the log; raises Refused(NOT_FOUND)."""
        entry = self.rows.find(kind, digest)
        with self._lock:
            size = self._grown()
            path = self._tree.inclusion_proof(entry.seq, size)
            hashes = tuple(each.hex() for each in path)
            return LogProof(entry=entry, checkpoint=self._head(size), hashes=hashes)

    def consistency(self, old: int, size: int | None = None) -> tuple[str, tuple[str, ...]]:
        """The head of `size` lines, and what shows that the first `old` are its beginning."""
        with self._lock:
            newest = self._grown()
            size = newest if size is None else size
            path = self._tree.consistency_proof(old, size)
            return self._head(size), tuple(each.hex() for each in path)

    def size(self) -> int:
        with self._lock:
            return self._grown()

    def _grown(self) -> int:
        for data in self.rows.lines(self._tree.size):
            self._tree.append(leaf_hash(data))
        return self._tree.size

    def _head(self, size: int) -> str:
        head = Checkpoint(log_origin(self.network), size, self._tree.root(size))
        return sign_checkpoint(head, self.key)
