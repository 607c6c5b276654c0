"""Everything that can be refused, drawn as one tree.

    CairnError
    ├── Refused            a decision made from public facts; carries a catalogue code
    ├── BadInput           what a person wrote is wrong; says what, where, and what to write instead
    ├── VerificationFailed a signature, chain or proof does not hold; names the entry
    └── ProtocolError      a peer broke the protocol; the attempt is over

Only `code` and `public_fields` of a `Refused` may cross the wire. The text of every
other error stays in the building where it was raised, because it can quote a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Code(StrEnum):
    """The closed catalogue of answers other than a result. Public facts only."""

    # the question
    BAD_REQUEST = "bad_request"
    UNKNOWN_STUDY = "unknown_study"
    UNKNOWN_COLUMN = "unknown_column"
    BAD_EXPRESSION = "bad_expression"
    TOO_MANY_CELLS = "too_many_cells"
    ANALYSIS_NOT_ALLOWED = "analysis_not_allowed"
    OTHER_ORGANISATIONS = "other_organisations"
    OUTSIDE_STUDY = "outside_study"
    BAD_EPSILON = "bad_epsilon"
    OUT_OF_REACH = "out_of_reach"
    NOT_COMBINABLE = "not_combinable"
    NOT_REUSABLE = "not_reusable"
    # who asks
    NOT_SIGNED_IN = "not_signed_in"
    NOT_PERMITTED = "not_permitted"
    BAD_SIGNATURE = "bad_signature"
    NOT_AN_INVESTIGATOR = "not_an_investigator"
    KEY_REVOKED = "key_revoked"
    PROVIDER_OFFLINE = "provider_offline"
    WEAK_PASSWORD = "weak_password"  # noqa: S105 - a code
    RATE_LIMITED = "rate_limited"
    TOO_LARGE = "too_large"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    # what a node answers
    NOT_APPROVED = "not_approved"
    NOT_IN_PERIOD = "not_in_period"
    EXPIRED = "expired"
    REPLAYED = "replayed"
    PAUSED = "paused"
    BUDGET_EXCEEDED = "budget_exceeded"
    STUDY_BUDGET_EXCEEDED = "study_budget_exceeded"
    RESEARCHER_BUDGET_EXCEEDED = "researcher_budget_exceeded"
    QUESTION_LIMIT = "question_limit"
    DELEGATION_EXCEEDED = "delegation_exceeded"
    NOT_DELEGATED = "not_delegated"
    DECLINED = "declined"
    DICTIONARY_MISMATCH = "dictionary_mismatch"
    ROSTER_MISMATCH = "roster_mismatch"
    PEERS_NOT_CONFIRMED = "peers_not_confirmed"
    POLICY_FLOOR = "policy_floor"
    PLAN_MISMATCH = "plan_mismatch"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    KEYS_NOT_READY = "keys_not_ready"
    NOT_WITNESSED = "not_witnessed"
    NOT_LINKED = "not_linked"
    LEDGER_STOPPED = "ledger_stopped"
    HISTORY_BROKEN = "history_broken"
    MISSING_SOFTWARE = "missing_software"
    # what becomes of an attempt
    NODE_OFFLINE = "node_offline"
    NOT_ENOUGH_NODES = "not_enough_nodes"
    ATTEMPT_LOST = "attempt_lost"
    COHORT_TOO_SMALL = "cohort_too_small"
    TOTAL_OUT_OF_RANGE = "total_out_of_range"
    CANCELLED = "cancelled"
    INTERNAL = "internal"


class CairnError(Exception):
    """Base of every error raised on purpose."""


class Refused(CairnError):
    """A refusal by catalogue code. Depends on public facts only, never on a member's data."""

    def __init__(self, code: Code, **public_fields: str | int | float) -> None:
        self.code = code
        self.public_fields: Mapping[str, str | int | float] = dict(public_fields)
        super().__init__(code, self.public_fields)

    def __str__(self) -> str:
        fields = ", ".join(f"{name}={value}" for name, value in sorted(self.public_fields.items()))
        return f"{self.code.value}" + (f" ({fields})" if fields else "")


class BadInput(CairnError):
    """Something a person wrote is wrong.

    `where` names the file, column or position; `instead` says what to write.
    """

    def __init__(self, what: str, *, where: str = "", instead: str = "") -> None:
        self.what = what
        self.where = where
        self.instead = instead
        super().__init__(what)

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{line} — {self.instead}" if self.instead else line


class VerificationFailed(CairnError):
    """A signature, chain, proof or recomputation does not hold."""

    def __init__(self, what: str, *, where: str = "") -> None:
        self.what = what
        self.where = where
        super().__init__(f"{where}: {what}" if where else what)


class ProtocolError(CairnError):
    """A party broke the protocol; the attempt ends and nothing more is revealed."""

    def __init__(self, what: str, *, sender: str = "") -> None:
        self.what = what
        self.sender = sender
        super().__init__(f"{sender}: {what}" if sender else what)
