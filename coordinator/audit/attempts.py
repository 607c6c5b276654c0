"""What organisations refused and no honest coordinator asks, as the ledgers of a bundle tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from privacy.ledger.attempt_entry import ATTEMPT_WORDS, Attempted, AttemptRefused
from privacy.ledger.entry import Entry


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
        return f"refused {ATTEMPT_WORDS[self.what]} ({self.code}){counted}"

    def to_json(self) -> dict[str, Any]:
        named = ("seq", "at", "code", "evidence", "more", "words")
        return {"what": self.what.value} | {name: getattr(self, name) for name in named}
