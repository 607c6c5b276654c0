"""Witnessing a log: is the head it shows now a later one of the log that was seen before?

A log is a node's ledger or the coordinator's own. Its keeper shows a witness its newest signed
head, with a proof that what the witness saw is its beginning. Only then does the witness cosign.

Guarantee: of two heads that one witness cosigned, the smaller tree is the larger one's beginning.
Assumes: the witness keeps the last head durably before its cosignature leaves.
Source: RFC 6962 section 2.1.2 (consistency); C2SP tlog-cosignature.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from privacy.checkpoint import Checkpoint
from privacy.contract.facts import Fact
from privacy.errors import VerificationFailed
from privacy.ledger.fields import Count, Digest
from privacy.ledger.history_entry import NoteText
from privacy.merkle import verify_consistency


class Growth(Fact):
    """A log's newest signed head, and what shows that its first `since` entries are still there."""

    checkpoint: NoteText
    since: Count = 0
    hashes: Annotated[tuple[Digest, ...], Field(max_length=128)] = ()


class Seen(StrEnum):
    """What a head is to somebody who holds an older one."""

    GROWN = "grown"  # a later head of the same log, or the first that is seen
    SAME = "same"
    STALE = "stale"  # the proof begins elsewhere: say what is held and ask again
    UNPROVEN = "unproven"  # larger, and the proof from what is held does not hold
    SMALLER = "smaller"
    OTHER = "other"  # of the same size, with another root


def compare(held: Checkpoint | None, new: Checkpoint, growth: Growth) -> Seen:
    """What `new`, the verified head of `growth`, is to the holder of `held`."""
    if held is None:
        return Seen.GROWN
    if new.size < held.size:
        return Seen.SMALLER
    if new.size == held.size:
        return Seen.SAME if new.root == held.root else Seen.OTHER
    if growth.since != held.size:
        return Seen.STALE
    proof = [bytes.fromhex(each) for each in growth.hashes]
    try:
        verify_consistency(held.size, held.root, new.size, new.root, proof)
    except VerificationFailed:
        return Seen.UNPROVEN
    return Seen.GROWN
