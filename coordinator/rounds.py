"""The life of one question at the coordinator, one short function per step, in this order:

    reserve      every node decides and sets the cost aside; one refusal ends it at no cost

and then, for every round (`coordinator.course` takes them in turn):

    contribute   masked vectors come in; a node that stays silent is lost
    sign         the nodes sign the one list of survivors
    reveal       each node gives one kind of share per peer
    open         masks cancel: the noisy total, and a transcript that anyone can recompute

The coordinator holds masked vectors and the noisy total; it never holds one node's figures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.key_stock import KeyStock, Margin, PreparedSet
from coordinator.node_link import Answer, Body, Declined, NodeLink
from privacy.contract.canonical import parse_canonical, sha256_hex
from privacy.contract.messages import Ask
from privacy.contract.parts import join_parts
from privacy.contract.plan import Plan
from privacy.contract.roster import Roster
from privacy.contract.signing import Envelope, PublicKey
from privacy.errors import BadInput, Code, ProtocolError, Refused
from privacy.secure_sum.aggregator import open_total
from privacy.secure_sum.attempt import Attempt
from privacy.secure_sum.checks import check_claim
from privacy.secure_sum.transcript import Transcript

NO_STATE = sha256_hex(b"")

Proceed = Callable[[], None]


def _on() -> None:
    return None


@dataclass(frozen=True)
class Opened:
    """A noisy total with what proves it."""

    total: NDArray[np.int64]
    survivors: tuple[str, ...]
    receipts: dict[str, dict[str, Any]]
    transcript: Transcript


@dataclass(frozen=True)
class Rounds:
    """The messages of runs. Holds no state between them but the key stock.

    A node has `timeout_seconds` for a message, and a multiple of it to compute.
    """

    link: NodeLink
    stock: KeyStock
    roster: Callable[[], Roster]
    timeout_seconds: float = 10.0

    def reserve(self, envelope: Envelope, plan: Plan) -> None:
        """Have every node set the run's whole cost aside.

        Raises Refused with the code of a node that declines; the others are to be told.
        """
        answers = self._ask_to_reserve(envelope, plan.participants)
        declined = {n: a for n, a in answers.items() if isinstance(a, Declined)}
        if declined:
            first = next(iter(declined.values()))
            raise Refused(first.code, **{**first.fields, "nodes": str(len(declined))})

    def reserve_again(self, envelope: Envelope, nodes: Collection[str]) -> None:
        """Remind nodes of a plan they reserved: one that started again goes on under it."""
        if nodes:
            self._ask_to_reserve(envelope, tuple(nodes))

    def _ask_to_reserve(self, envelope: Envelope, nodes: tuple[str, ...]) -> dict[str, Answer]:
        payload = {"plan": envelope.to_json()}
        return self.link.ask_all(Ask.RESERVE, nodes, payload, self.timeout_seconds)

    def prepare(self, plan: Plan) -> None:
        """Have keys for all rounds of the plan: with a node lost, no more can be made."""
        self.stock.provide(plan.participants, margin_of(plan), len(plan.rounds))

    def attempt(
        self, plan_digest: str, plan: Plan, place: tuple[int, int], state: bytes
    ) -> tuple[Attempt, PreparedSet]:
        """One more attempt, `place` being its round and number, on keys never used before."""
        prepared = self.stock.take(plan.participants, margin_of(plan))
        return _attempt_of(plan_digest, plan, place, state, prepared), prepared

    def open(
        self,
        attempt: Attempt,
        prepared: PreparedSet,
        state: bytes,
        plan: Plan,
        proceed: Proceed = _on,
    ) -> Opened:
        """Contribute, sign, reveal, open. `proceed` may stop it, by raising, before each message.

        Taken again with the same attempt it asks for the same bytes, at no charge. Raises
        Refused or ProtocolError where it fails.
        """
        claims, masked = self._contribute(attempt, plan, prepared, state)
        proceed()
        lists = self._sign(attempt, claims)
        proceed()
        reveals = self._reveal(attempt, lists)
        keys = self.roster().keys
        total, transcript = open_total(
            attempt,
            masked,
            adverts=prepared.adverts,
            claims=claims,
            lists=list(lists.values()),
            reveals=reveals,
            keys=keys,
        )
        receipts = {node: _claimed(claims[node]) for node in transcript.survivors}
        return Opened(total, transcript.survivors, receipts, transcript)

    def _contribute(
        self, attempt: Attempt, plan: Plan, prepared: PreparedSet, state: bytes
    ) -> tuple[dict[str, Envelope], dict[str, NDArray[np.uint64]]]:
        bodies = {
            node: contribute_body(attempt, prepared, node, state) for node in plan.participants
        }
        answers = self.link.ask(Ask.CONTRIBUTE, bodies, self._patience(plan))
        self._note_losses(answers, plan)
        claims = self._claims(attempt, answers)
        if len(claims) < attempt.minimum_survivors:
            raise Refused(Code.ATTEMPT_LOST, survivors=len(claims))
        masked = {n: np.frombuffer(a.blob, dtype="<u8") for n, a in _bodies(answers) if n in claims}
        return claims, masked

    def _patience(self, plan: Plan) -> float:
        """Seconds for a contribution, the one message for which a node computes; where a run has
        many rounds, its analysis reads whole members, and some load much software at first."""
        return self.timeout_seconds * (6 if len(plan.rounds) > 1 else 3)

    def _claims(self, attempt: Attempt, answers: dict[str, Answer]) -> dict[str, Envelope]:
        """The claims that fit the attempt and the bytes beside them; any other node is lost."""
        keys = self.roster().keys
        found = {
            node: _claim_of(attempt, node, body, keys[node]) for node, body in _bodies(answers)
        }
        return {node: claim for node, claim in found.items() if claim is not None}

    def _note_losses(self, answers: dict[str, Answer], plan: Plan) -> None:
        if any(isinstance(a, Declined) and a.code is Code.KEYS_NOT_READY for a in answers.values()):
            self.stock.drop(plan.participants, margin_of(plan))

    def _sign(self, attempt: Attempt, claims: dict[str, Envelope]) -> dict[str, Envelope]:
        payload = {
            "attempt": attempt.to_json(),
            "claims": {node: claim.to_json() for node, claim in claims.items()},
        }
        answers = self.link.ask_all(
            Ask.SIGN_SURVIVORS, tuple(claims), payload, self.timeout_seconds
        )
        lists = _envelopes(answers, "list")
        if len(lists) < attempt.threshold:
            raise Refused(Code.ATTEMPT_LOST, signatures=len(lists))
        return lists

    def _reveal(self, attempt: Attempt, lists: dict[str, Envelope]) -> dict[str, Envelope]:
        payload = {
            "attempt": attempt.to_json(),
            "lists": [signed.to_json() for signed in lists.values()],
        }
        answers = self.link.ask_all(Ask.REVEAL, tuple(lists), payload, self.timeout_seconds)
        reveals = _envelopes(answers, "shares")
        if len(reveals) < attempt.threshold:
            raise Refused(Code.ATTEMPT_LOST, shares=len(reveals))
        return reveals

    def lost(self, plan: Plan, attempt: Attempt) -> None:
        """Tell the nodes that an attempt came to nothing; what it cost stays charged."""
        lost = {"plan": attempt.plan, "lost": attempt.attempt, "round": attempt.round}
        self._tell(plan, lost)

    def abort(self, envelope: Envelope, plan: Plan, code: Code) -> None:
        self._tell(plan, {"plan": envelope.digest, "aborted": code.value})

    def finish(self, plan: Plan, plan_digest: str, release: str) -> None:
        """Tell the nodes that the release exists; outside the researcher's waiting time."""
        self._tell(plan, {"plan": plan_digest, "released": release})

    def _tell(self, plan: Plan, payload: dict[str, Any]) -> None:
        self.link.ask_all(Ask.OUTCOME, plan.participants, payload, self.timeout_seconds)


def margin_of(plan: Plan) -> Margin:
    return Margin(plan.roster, plan.t_drop, plan.t_collude)


def _attempt_of(
    plan_digest: str, plan: Plan, place: tuple[int, int], state: bytes, prepared: PreparedSet
) -> Attempt:
    number, attempt = place
    return Attempt(
        plan=plan_digest,
        round=number,
        attempt=attempt,
        state=sha256_hex(state),
        participants=plan.participants,
        sessions=prepared.sessions,
        roster=plan.roster,
        set_index=prepared.index,
        t_drop=plan.t_drop,
        t_collude=plan.t_collude,
        length=plan.rounds[number].length,
    )


def contribute_body(attempt: Attempt, prepared: PreparedSet, node: str, state: bytes) -> Body:
    """What one node is asked: the state goes before its sealed shares in the binary part."""
    lengths, pieces = join_parts(prepared.sealed[node])
    payload = {"attempt": attempt.to_json(), "lengths": lengths, "state": len(state)}
    return Body(payload, state + pieces)


def _bodies(answers: dict[str, Answer]) -> list[tuple[str, Body]]:
    return [(node, answer) for node, answer in answers.items() if isinstance(answer, Body)]


def _claim_of(attempt: Attempt, node: str, body: Body, key: PublicKey) -> Envelope | None:
    try:
        envelope = Envelope.from_json(body.payload.get("claim"))
        claim = check_claim(attempt, envelope, key, node)
    except (BadInput, ProtocolError):
        return None
    fits = len(body.blob) == 8 * attempt.length and sha256_hex(body.blob) == claim.sha256
    named = isinstance(claim.receipt, dict) and set(claim.receipt) == {"seq", "leaf"}
    return envelope if fits and named else None


def _envelopes(answers: dict[str, Answer], field: str) -> dict[str, Envelope]:
    """What each node signed; a node that sent no envelope is left out."""
    found = {}
    for node, body in _bodies(answers):
        with suppress(BadInput):
            found[node] = Envelope.from_json(body.payload.get(field))
    return found


def _claimed(claim: Envelope) -> dict[str, Any]:
    body = parse_canonical(claim.body)
    return {"checkpoint": body["checkpoint"], **body["receipt"]}
