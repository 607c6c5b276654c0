"""What a node's ledger says of messages that it refused and that no honest coordinator sends.

Body of a ledger entry, like those in `privacy.ledger.entry`. It depends on the message and on
public facts alone, never on a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from privacy.contract.facts import Sorted
from privacy.ledger.fields import CodeText, Count, Digest


class Attempted(StrEnum):
    """What somebody with the coordinator's wires or key asked this node to do."""

    UNSIGNED = "unsigned"
    MESSAGE = "message"
    FORGED = "forged"
    STUDY = "study"
    ROSTER = "roster"
    PLAN = "plan"
    POLICY = "policy"
    KEY = "key"
    REPLAY = "replay"
    ATTEMPT = "attempt"
    CLAIMS = "claims"
    SURVIVORS = "survivors"
    OPENING = "opening"
    LINKAGE = "linkage"
    KEY_CHANGE = "key-change"


ATTEMPT_WORDS: Mapping[Attempted, str] = {
    Attempted.UNSIGNED: "a message that the coordinator's key did not sign",
    Attempted.MESSAGE: "a message that is none: code, an unknown kind, or parts of two",
    Attempted.FORGED: "a document, question or key whose signature does not hold",
    Attempted.STUDY: "a plan for a study that was never approved here",
    Attempted.ROSTER: "a plan with other organisations than were confirmed here",
    Attempted.PLAN: "a plan other than the researcher signed, or beyond the study's limits",
    Attempted.POLICY: "a plan beyond the policy in force",
    Attempted.KEY: "a question signed by a key that may not ask it",
    Attempted.REPLAY: "another plan for a question that was answered already",
    Attempted.ATTEMPT: "an attempt other than was set aside, or one more",
    Attempted.CLAIMS: "to sign for a total of different questions or attempts",
    Attempted.SURVIVORS: "a second list of survivors: who answered was to count as lost",
    Attempted.OPENING: "to open a total without the list that enough organisations signed",
    Attempted.LINKAGE: "a linkage that was not agreed to, or a step of one that is not its next",
    Attempted.KEY_CHANGE: "another key for somebody, which the former key did not sign",
}


class AttemptRefused(Sorted):
    """The first message of its sort on its day that was refused with `code`.

    `evidence` is the digest of the plan, or the SHA-256 of the message. What followed on the same
    day is only counted: `more` is how many there were since the entry before, as far as
    this node's program remembers.
    """

    kind: Literal["attempt-refused"] = "attempt-refused"
    what: Attempted
    code: CodeText
    evidence: Digest
    more: Count = 0
