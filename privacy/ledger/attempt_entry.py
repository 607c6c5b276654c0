"""What a node's ledger says of messages that it refused and that no honest coordinator sends.

Body of a ledger entry, like those in `privacy.ledger.entry`. It depends on the message and on
public facts alone, never on a record.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from privacy.contract.facts import Fact
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


class AttemptRefused(Fact):
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
