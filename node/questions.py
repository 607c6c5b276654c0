"""One question, message by message: keys made ahead, the reservation, and what leaves for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from node.desk import Desk
from node.documents import Documents
from node.gate import Facts
from node.requests import noting, raising
from node.runner import Masked, Runner
from node.software import load_ahead
from privacy.contract.parts import cut_head, cut_parts, join_parts
from privacy.contract.roster import Roster
from privacy.contract.signing import Envelope, SigningKey
from privacy.errors import Code, Refused
from privacy.randomness import Entropy
from privacy.secure_sum.attempt import Attempt, threshold
from privacy.secure_sum.participant import Session

MAX_SETS = 256

_log = structlog.get_logger("cairn.node")
Answer = tuple[dict[str, Any], bytes]
Work = Callable[[], Answer]


class InForce(Protocol):
    """What is in force at the node when it is asked."""

    def roster(self) -> Roster: ...
    def facts(self) -> Facts: ...


@dataclass(frozen=True)
class Questions:
    """One node's answers."""

    key: SigningKey
    runner: Runner
    desk: Desk
    documents: Documents
    entropy: Entropy
    now: InForce

    # keys ahead of time

    def prepare_keys(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Begin a session of key sets, and advertise their public side."""
        group = tuple(payload["group"])
        roster = self.now.roster()
        if payload["roster"] != roster.digest or not set(group) <= set(roster.keys):
            raise Refused(Code.ROSTER_MISMATCH)
        if self.runner.node not in group or not 1 <= payload["sets"] <= MAX_SETS:
            raise Refused(Code.BAD_REQUEST)
        shares = threshold(len(group), payload["t_collude"])
        session = Session.begin(
            self.runner.node,
            self.key,
            group,
            roster=roster.digest,
            threshold=shares,
            sets=payload["sets"],
            entropy=self.entropy,
        )
        return {"advert": self.runner.prepare_keys(session).to_json()}

    def prepare_shares(self, payload: dict[str, Any]) -> Answer:
        """Shares of every set, sealed for each peer that advertised."""
        adverts = {n: Envelope.from_json(value) for n, value in payload["adverts"].items()}
        session = self.runner.session(str(payload["session"]))
        lengths, blob = join_parts(session.share(adverts, self.now.roster().keys))
        return {"lengths": lengths}, blob

    # one question

    def reserve(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Permit or refuse a plan, and set its whole cost aside."""
        envelope, facts = Envelope.from_json(payload["plan"]), self.now.facts()
        with noting(self.desk, envelope, facts, self.documents.study):
            permit = self.runner.reserve(envelope, facts)
        load_ahead(permit.derivation.analysis.needs)
        return {"plan": permit.plan_digest}

    def contribution(self, payload: dict[str, Any], blob: bytes) -> Work:
        """Read and mask now; the rest commits. Whatever fails here is told there."""
        try:
            attempt = Attempt.from_json(payload["attempt"])
            state, pieces = cut_head(payload["state"], blob)
            sealed = cut_parts(payload["lengths"], pieces)
        except Exception as error:  # noqa: BLE001 - told at the slot, by the job boundary
            return raising(error)
        try:
            computed = self.runner.compute(attempt, state, sealed, self.now.facts())
        except Refused as refused:
            return raising(refused)
        except Exception as error:  # noqa: BLE001 - what fails after reserving is charged
            _log.error("contribution failed", error=type(error).__name__)
            return lambda: self._lose(attempt)
        if not isinstance(computed, Masked):
            claim, masked = computed
            return lambda: ({"claim": claim.to_json()}, masked)
        return lambda: self._commit(computed)

    def _commit(self, computed: Masked) -> Answer:
        try:
            claim, masked = self.runner.commit(computed)
        except Refused:  # ended, paused or late in the meantime: nothing leaves, but it was read
            self.runner.charge_loss(computed.attempt)
            raise
        except Exception as error:  # noqa: BLE001 - what fails after reserving is charged
            _log.error("commit failed", error=type(error).__name__)
            return self._lose(computed.attempt)
        return {"claim": claim.to_json()}, masked

    def _lose(self, attempt: Attempt) -> Answer:
        self.runner.charge_loss(attempt)
        raise Refused(Code.ATTEMPT_LOST)

    def sign_survivors(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Sign the one list of who answered."""
        attempt = Attempt.from_json(payload["attempt"])
        claims = {n: Envelope.from_json(value) for n, value in payload["claims"].items()}
        return {"list": self.runner.sign(attempt, claims, self.now.roster().keys).to_json()}

    def reveal(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The shares that open this attempt's total, under a list that enough signed."""
        attempt = Attempt.from_json(payload["attempt"])
        lists = [Envelope.from_json(value) for value in payload["lists"]]
        return {"shares": self.runner.reveal(attempt, lists).to_json()}

    def outcome(self, payload: dict[str, Any]) -> dict[str, Any]:
        """What became of a plan."""
        plan = str(payload["plan"])
        match payload:
            case {"released": str(release)}:
                self.runner.released(plan, release)
            case {"aborted": str(code)}:
                self.runner.aborted(plan, Code(code).value)
            case {"lost": int(attempt), "round": int(round_)}:
                self.runner.lost(plan, round_, attempt)
            case _:
                raise Refused(Code.BAD_REQUEST)
        return {"size": self.runner.ledger.size, "checkpoint": self.runner.ledger.checkpoint()}
