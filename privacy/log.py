"""The coordinator's own log: everything it ever signed, in order, in one Merkle tree.

An entry names a statement by its digest. The tree's head is signed as a checkpoint like a node's
ledger, nodes and auditors witness it, and whoever got a release can prove that it stands there.

Guarantee: against one checkpoint that anybody else holds, the coordinator can take back, change
or reorder nothing that it covers; a proof that verifies shows that the statement is covered.
Assumes: the coordinator's key is pinned; whoever witnesses compares with what it held before.
Source: RFC 6962 (the tree), C2SP tlog-checkpoint (the head).
"""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import Annotated, Self

from pydantic import Field

from privacy.checkpoint import Checkpoint, log_origin, open_checkpoint
from privacy.contract.canonical import canonical_bytes, parse_canonical
from privacy.contract.facts import Fact
from privacy.contract.signing import PublicKey
from privacy.errors import BadInput, VerificationFailed
from privacy.ledger.fields import Count, Digest, Words
from privacy.merkle import leaf_hash, verify_inclusion

MAX_LOG_LINE = 8192


class Logged(StrEnum):
    """The kinds of statements that stand in the log."""

    KEY = "key"  # the coordinator's own, changed
    RESEARCHER_KEY = "researcher-key"  # changed
    ROSTER = "roster"
    DICTIONARY = "dictionary"
    REVOCATION = "revocation"
    STUDY = "study"
    STEP = "step"  # of a study: proposed, approved, closed …
    PLAN = "plan"
    RELEASE = "release"
    PEOPLE = "people"
    LINKAGE = "linkage"


class LogEntry(Fact):
    """One line: what kind of statement, its digest, and whom or what it is about."""

    seq: Count
    kind: Logged
    statement: Digest
    subject: Words

    @cached_property
    def data(self) -> bytes:
        return canonical_bytes(self.to_json())

    @cached_property
    def leaf(self) -> bytes:
        return leaf_hash(self.data)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read one line; raises BadInput unless it is the canonical form of an entry."""
        if len(data) > MAX_LOG_LINE:
            raise BadInput(f"larger than {MAX_LOG_LINE} bytes")
        entry = cls.from_json(parse_canonical(data))
        if entry.data != data:
            raise BadInput("not in canonical form")
        return entry


class LogProof(Fact):
    """Shows that `entry` is covered by `checkpoint`; hashes are hexadecimal."""

    entry: LogEntry
    checkpoint: str
    hashes: Annotated[tuple[Digest, ...], Field(max_length=64)]

    def check(self, key: PublicKey, network: str) -> Checkpoint:
        """The head that covers the entry; raises VerificationFailed if nothing shows it."""
        head = open_checkpoint(self.checkpoint, key, log_origin(network))
        path = [bytes.fromhex(each) for each in self.hashes]
        verify_inclusion(self.entry.leaf, self.entry.seq, head.size, path, head.root)
        return head

    def check_of(self, kind: Logged, digest: str, key: PublicKey, network: str) -> Checkpoint:
        """The same for one statement; raises VerificationFailed if it proves another."""
        if (self.entry.kind, self.entry.statement) != (kind, digest):
            raise VerificationFailed("the proof is of another statement")
        return self.check(key, network)
