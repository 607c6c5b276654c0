"""What organisations refused and no honest coordinator asks, as the ledgers of a bundle tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from privacy.ledger.attempt_entry import Attempted, AttemptRefused
from privacy.ledger.entry import Entry

WORDS = {
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
}


@dataclass(frozen=True)
class RefusedAttempt:
    """One entry: the first of its sort on its day. `more` came before it and were only counted."""

    seq: int
    at: str
    what: Attempted
    code: str
    evidence: str
    more: int

    @classmethod
    def of(cls, entry: Entry, body: AttemptRefused) -> RefusedAttempt:
        return cls(entry.seq, entry.at, body.what, body.code, body.evidence, body.more)

    @property
    def words(self) -> str:
        counted = f", after {self.more} more" if self.more else ""
        return f"refused {WORDS[self.what]} ({self.code}){counted}"

    def to_json(self) -> dict[str, Any]:
        named = ("seq", "at", "code", "evidence", "more", "words")
        return {"what": self.what.value} | {name: getattr(self, name) for name in named}
