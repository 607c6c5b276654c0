"""What is refused and tells of a coordinator that is not the program it should be.

`attempted` sorts a refusal by the message and public facts alone; `Attempts` writes the first of
each sort on each day into the ledger, where an auditor finds it. So a node can be made to write at
most as many entries a day as there are sorts.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from node.ledger_store import LedgerStore
from privacy.contract.canonical import parse_canonical, sha256_hex
from privacy.contract.messages import Ask, Request
from privacy.contract.packet import Packet
from privacy.contract.plan import Plan
from privacy.contract.signing import Envelope, PublicKey
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code, ProtocolError, Refused, VerificationFailed
from privacy.ledger.attempt_entry import Attempted, AttemptRefused
from privacy.ledger.state import LedgerState
from privacy.secure_sum.opening import SecondList

_PLANS = {
    Code.BAD_SIGNATURE: Attempted.FORGED,
    Code.ROSTER_MISMATCH: Attempted.ROSTER,
    Code.PEERS_NOT_CONFIRMED: Attempted.ROSTER,
    Code.PLAN_MISMATCH: Attempted.PLAN,
    Code.OUTSIDE_STUDY: Attempted.PLAN,
    Code.BAD_REQUEST: Attempted.PLAN,
    Code.ANALYSIS_NOT_ALLOWED: Attempted.PLAN,
    Code.POLICY_FLOOR: Attempted.POLICY,
    Code.QUESTION_LIMIT: Attempted.POLICY,
    Code.NOT_AN_INVESTIGATOR: Attempted.KEY,
    Code.NOT_DELEGATED: Attempted.KEY,
    Code.KEY_REVOKED: Attempted.KEY,
}
_LINKAGES = frozenset(
    {
        Code.BAD_SIGNATURE,
        Code.ROSTER_MISMATCH,
        Code.PEERS_NOT_CONFIRMED,
        Code.UNKNOWN_COLUMN,
        Code.POLICY_FLOOR,
        Code.RATE_LIMITED,
    }
)
_FORGED = frozenset({Code.BAD_SIGNATURE})
_REFUSED: Mapping[Ask, tuple[Attempted, frozenset[Code]]] = {
    Ask.CONTRIBUTE: (
        Attempted.ATTEMPT,
        frozenset({Code.TOO_MANY_ATTEMPTS, Code.PLAN_MISMATCH}),
    ),
    Ask.FOLLOW_KEY: (Attempted.KEY_CHANGE, _FORGED),
    Ask.OFFER_SUCCESSORS: (Attempted.KEY_CHANGE, _FORGED),
    Ask.LINK_BEGIN: (Attempted.LINKAGE, _LINKAGES),
}
_BROKEN: Mapping[Ask, Attempted] = {
    Ask.OFFER_ROSTER: Attempted.FORGED,
    Ask.OFFER_STUDY: Attempted.FORGED,
    Ask.OFFER_REVOCATION: Attempted.FORGED,
    Ask.PREPARE_SHARES: Attempted.FORGED,
    Ask.SIGN_SURVIVORS: Attempted.CLAIMS,
    Ask.REVEAL: Attempted.OPENING,
    Ask.LINK_MEET: Attempted.LINKAGE,
    Ask.LINK_LIST: Attempted.LINKAGE,
    Ask.LINK_RAISE: Attempted.LINKAGE,
    Ask.LINK_VOUCH: Attempted.LINKAGE,
    Ask.LINK_LEARN: Attempted.LINKAGE,
    Ask.LINK_KEEP: Attempted.LINKAGE,
}


@dataclass(frozen=True)
class Noticed:
    """One refused message, to be entered: its sort, the code it got, and its digest."""

    what: Attempted
    code: Code
    evidence: str


def unread(packet: Packet, coordinator: PublicKey) -> Noticed:
    """Of a packet that is no request to this node."""
    try:
        Envelope.from_json(parse_canonical(packet.header)).open("request", coordinator)
        what = Attempted.MESSAGE
    except (VerificationFailed, BadInput):
        what = Attempted.UNSIGNED
    return Noticed(what, Code.BAD_SIGNATURE, sha256_hex(packet.header))


def attempted(
    request: Request, header: bytes, error: Exception, code: Code, state: LedgerState
) -> Noticed | None:
    """Which attempt a refused request was; None for what an honest coordinator comes to ask.

    `error` must not depend on records: what fails once they are read looks like a lost node.
    """
    if request.ask is Ask.RESERVE:
        return _planned(request, header, error, code, state)
    what = _what(request.ask, error)
    return None if what is None else Noticed(what, code, sha256_hex(header))


def _what(ask: Ask, error: Exception) -> Attempted | None:
    if isinstance(error, Refused):
        sort, codes = _REFUSED.get(ask, (None, _FORGED))
        return sort if error.code in codes else None
    if not isinstance(error, VerificationFailed | ProtocolError):
        return None
    if ask is Ask.SIGN_SURVIVORS and isinstance(error, SecondList):
        return Attempted.SURVIVORS
    return _BROKEN.get(ask)


def _planned(
    request: Request, header: bytes, error: Exception, code: Code, state: LedgerState
) -> Noticed | None:
    try:
        envelope = Envelope.from_json(request.payload.get("plan"))
        plan = Plan.from_json(parse_canonical(envelope.body))
    except BadInput:
        return Noticed(Attempted.MESSAGE, code, sha256_hex(header))
    what = _PLANS.get(code) if isinstance(error, Refused) else None
    if code is Code.NOT_APPROVED and state.decisions.get(plan.study_digest) not in _ONCE:
        what = Attempted.STUDY
    if code is Code.REPLAYED and not state.knows(envelope.digest):
        what = Attempted.REPLAY  # the same plan once more is a message that came twice
    return None if what is None else Noticed(what, code, envelope.digest)


_ONCE = ("approved", "withdrawn")


@dataclass
class Attempts:
    """The entries. Thread-safe; never raises, and changes no answer."""

    ledger: LedgerStore
    clock: Callable[[], datetime]
    ready: Callable[[], bool]  # whether this ledger may be written: its peers confirmed it
    _more: Counter[Attempted] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, attempt: Noticed) -> None:
        """Enter the first of its sort today, and count what follows."""
        with self._lock:
            today = instant_text(self.clock())[:10]
            if not self.ready() or self.ledger.state.noticed.get(attempt.what) == today:
                self._more[attempt.what] += 1
                return
            body = AttemptRefused(
                what=attempt.what,
                code=attempt.code.value,
                evidence=attempt.evidence,
                more=self._more[attempt.what],
            )
            try:
                self.ledger.append(body)
                self._more[attempt.what] = 0
            except Refused:
                self._more[attempt.what] += 1
