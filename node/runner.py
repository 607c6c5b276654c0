"""The life of one question at a node, one short function per step, in this order:

    reserve      the gate decides; the ledger reserves, durably          (nothing read yet)

and then, for every round:

    compute      noise is drawn; the cohort's integer total is computed; masked
    commit       at a public slot: committed, durably; only then does the masked vector leave
    sign         the node signs the one list of survivors, holding every peer's checkpoint
    reveal       with enough signatures on that list: one kind of share per peer

and at the end:

    outcome      the ledger records what became of the run

A crash between any two steps may waste budget; it never overspends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.cohort.expression import Expression
from models.contribution import Contribution
from node.charges import Charge, agrees, commitment, reservation
from node.cut import Beginning, Cut
from node.gate import Asked, Facts, Permit, decide
from node.ledger_store import LedgerStore
from privacy.contract.canonical import sha256_hex
from privacy.contract.signing import Envelope, PublicKey
from privacy.contract.time import instant_text, parse_instant
from privacy.discrete_gaussian import noise_share
from privacy.errors import Code, ProtocolError, Refused
from privacy.ledger.entry import Aborted, Expired, Lost, Released
from privacy.ledger.upkeep_entry import Left
from privacy.randomness import Entropy
from privacy.secure_sum.attempt import Attempt
from privacy.secure_sum.masks import vector_bytes
from privacy.secure_sum.participant import KeySet, Opening, Session

Step = Callable[[str], None]
Vector = NDArray[np.uint64]

SESSIONS = 16
SESSIONS_OF_A_GROUP = 4  # in use, being prepared, and two that were begun in vain


class Engine(Protocol):
    """The node's records: the integer total of a contribution over the consenting cohort.

    Of a run that `began` earlier, members who joined since are left out. Where members are
    charged one by one, they are charged for this `charge` in the same step.
    """

    def __call__(
        self,
        contribution: Contribution,
        cohort: Expression,
        asks: Asked | None,
        today: date,
        began: Beginning,
        charge: Charge,
    ) -> NDArray[np.int64]: ...


@dataclass(frozen=True)
class _Prepared:
    """A key session and its place in the order of sessions and peers' restarts."""

    session: Session
    made: int


@dataclass(frozen=True)
class _Restart:
    """A peer's newest restart: the nonce it asked with, and when it asked first."""

    nonce: str = ""
    noticed: int = 0


@dataclass(frozen=True, repr=False)
class Masked:
    """A masked vector that is not committed yet, and so must not leave. Never prints."""

    permit: Permit
    keys_made: int
    attempt: Attempt
    opening: Opening
    data: bytes


@dataclass
class _Live:
    """One attempt that this node masked and has not finished. `keys_made` dates its session."""

    keys_made: int
    attempt: Attempt
    opening: Opening
    claim: Envelope
    masked: bytes


def _place(attempt: Attempt) -> tuple[str, int, int]:
    return attempt.plan, attempt.round, attempt.attempt


@dataclass
class Runner:
    """Holds what is under way. Everything durable is in the ledger."""

    node: str
    ledger: LedgerStore
    engine: Engine
    cut: Callable[[], Cut]  # the records as they are now
    entropy: Entropy
    clock: Callable[[], datetime]
    reached: Step = lambda _step: None
    _sessions: dict[str, _Prepared] = field(default_factory=dict)
    _plans: dict[str, Envelope] = field(default_factory=dict)
    _permits: dict[str, Permit] = field(default_factory=dict)
    _restarted: dict[str, _Restart] = field(default_factory=dict)
    _tick: int = 0
    _live: dict[tuple[str, int, int], _Live] = field(default_factory=dict)
    _reading: dict[tuple[str, int, int], Attempt] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # preparing keys, ahead of any question

    def prepare_keys(self, session: Session) -> Envelope:
        """Keep a session whose public keys are about to be advertised."""
        with self._lock:
            self._tick += 1
            self._sessions[session.id] = _Prepared(session, self._tick)
            for old in self._outdated(session):
                del self._sessions[old]
        return session.advert

    def peer_restarted(self, peer: str, nonce: str) -> None:
        """From now on sign no list that counts `peer` under keys made before.

        Call before telling `peer` which of its checkpoints this node holds. A restored backup
        is told of every commit that was opened; what was committed and not yet opened would be
        neither in its ledger nor held by a peer, and must therefore never be opened.
        """
        with self._lock:
            if self._restarted.get(peer, _Restart()).nonce != nonce:
                self._tick += 1
                self._restarted[peer] = _Restart(nonce, self._tick)

    def _outdated(self, newest: Session) -> list[str]:
        """Sessions that newer ones of the same group replace, and the oldest of too many."""
        kept = [prepared.session for prepared in self._sessions.values()]
        replaced = [old.id for old in kept if old.group == newest.group][:-SESSIONS_OF_A_GROUP]
        left = [old.id for old in kept if old.id not in replaced]
        return replaced + left[:-SESSIONS]

    def session(self, session_id: str) -> Session:
        """The session of that id; raises Refused(KEYS_NOT_READY) when it is gone."""
        return self._prepared(session_id).session

    def _prepared(self, session_id: str) -> _Prepared:
        prepared = self._sessions.get(session_id)
        if prepared is None:
            raise Refused(Code.KEYS_NOT_READY)
        return prepared

    # one question

    def reserve(self, envelope: Envelope, facts: Facts) -> Permit:
        """Decide, and set the whole cost of the run aside before anything is read.

        A plan that the ledger holds already goes on under its reservation, for instance after
        this program started again: nothing is set aside twice.
        """
        with self._lock:
            open_plan = self.ledger.state.plans.get(envelope.digest)
            permit = decide(envelope, facts, reserved=open_plan is not None)
            if open_plan is None:
                self.ledger.append(reservation(permit), cut=self.cut().text)
            elif not agrees(permit, open_plan):
                raise Refused(Code.PLAN_MISMATCH, what="reservation")
            self._permits[permit.plan_digest] = permit
            self._plans[permit.plan_digest] = envelope
        self.reached("reserved")
        return permit

    def compute(
        self, attempt: Attempt, state: bytes, sealed: Mapping[str, bytes], facts: Facts
    ) -> Masked | tuple[Envelope, bytes]:
        """Read and mask; or, for an attempt that was committed, its claim and bytes again.

        Decides again first: what was permitted when it was reserved may not be any more.
        `state` is what the coordinator tells everybody in this round: raises ProtocolError
        unless it is the one that the attempt names, BadInput if it is none of the analysis.
        Nothing shows outside how long it took: `commit` follows at a public slot. Once records
        are read the attempt is charged, by `commit` or `charge_loss`, whatever happens meanwhile;
        Refused is raised before that alone.
        """
        permit = self._permit(attempt)
        if sha256_hex(state) != attempt.state:
            raise ProtocolError("another state than the attempt names")
        key = _place(attempt)
        with self._lock:
            live = self._live.get(key)
            if live is not None:
                live = self._alive(attempt)
                return live.claim, live.masked
            decide(self._plans[attempt.plan], facts, reserved=True)
            began = self._beginning(attempt)
            keys, made = self._take_keys(attempt)
            self._reading[key] = attempt
        try:
            opening, data = self._mask(permit, attempt, state, began, keys, sealed)
        except Refused as refused:
            raise ProtocolError(f"refused in the middle: {refused.code}") from None
        return Masked(permit, made, attempt, opening, data)

    def commit(self, masked: Masked) -> tuple[Envelope, bytes]:
        """Charge it, durably; the claim and the bytes that may leave now."""
        attempt, opening, data = masked.attempt, masked.opening, masked.data
        sha = opening.masked_sha256
        body = commitment(masked.permit, attempt, sha, len(data))
        receipt = self.ledger.append(body, outbox=data)
        self._reading.pop(_place(attempt), None)
        self.reached("committed")
        claim = opening.claim(sha, self.ledger.checkpoint(), receipt.place)
        with self._lock:
            self._forget(attempt.plan)
            live = _Live(masked.keys_made, attempt, opening, claim, data)
            self._live[_place(attempt)] = live
        self.reached("replying")
        return claim, data

    def _permit(self, attempt: Attempt) -> Permit:
        permit = self._permits.get(attempt.plan)
        if permit is None:
            raise Refused(Code.ATTEMPT_LOST)
        plan = permit.plan
        agrees = (
            attempt.participants == plan.participants
            and attempt.roster == plan.roster
            and (attempt.t_drop, attempt.t_collude) == (plan.t_drop, plan.t_collude)
            and 0 <= attempt.round < len(plan.rounds)
            and attempt.length == plan.rounds[attempt.round].length
        )
        if not agrees:
            raise Refused(Code.PLAN_MISMATCH, what="attempt")
        if not 0 <= attempt.attempt < plan.max_attempts:
            raise Refused(Code.TOO_MANY_ATTEMPTS)
        if self.clock() >= parse_instant(plan.expires):
            raise Refused(Code.EXPIRED, what="plan")
        return permit

    def _take_keys(self, attempt: Attempt) -> tuple[KeySet, int]:
        mine = attempt.sessions[attempt.participants.index(self.node)]
        prepared = self._prepared(mine)
        return prepared.session.take(attempt.set_index), prepared.made

    def _beginning(self, attempt: Attempt) -> Beginning:
        """When the run began here.

        Refuses an opening that the run has passed, and a run from before the newest import.
        """
        open_plan = self.ledger.state.plans.get(attempt.plan)
        cut = self.ledger.cut(attempt.plan)
        if open_plan is None or cut is None:
            raise Refused(Code.ATTEMPT_LOST)
        began = Beginning(parse_instant(open_plan.reserved_at).date(), Cut.parse(cut))
        imported = self.cut().imported != began.cut.imported
        again = _place(attempt) in self._reading
        if imported or again or open_plan.has_passed((attempt.round, attempt.attempt)):
            raise Refused(Code.ATTEMPT_LOST)
        return began

    def _mask(
        self,
        permit: Permit,
        attempt: Attempt,
        state: bytes,
        began: Beginning,
        keys: KeySet,
        sealed: Mapping[str, bytes],
    ) -> tuple[Opening, bytes]:
        derivation = permit.derivation
        contribution = derivation.contribution_at(attempt.round, state)
        mechanism = derivation.rounds[attempt.round].mechanism
        noise = noise_share(self.entropy, mechanism.log2_sigma, attempt.length)
        self.reached("noise drawn")
        today = self.clock().astimezone(UTC).date()
        charge = Charge.of(permit, attempt)
        total = self.engine(contribution, derivation.cohort, permit.asks, today, began, charge)
        self.reached("total computed")
        vector = total.astype(np.uint64) + noise.astype(np.uint64)
        masked, opening = keys.mask(attempt, vector, sealed, overwrite=True)
        return opening, vector_bytes(masked)

    def charge_loss(self, attempt: Attempt) -> None:
        """What fails after reserving is charged, and looks like a lost node from outside."""
        self._reading.pop(_place(attempt), None)
        permit = self._permits.get(attempt.plan)
        open_plan = self.ledger.state.plans.get(attempt.plan)
        if permit is None or open_plan is None:
            return
        if open_plan.has_passed((attempt.round, attempt.attempt)):
            return
        self.ledger.append(commitment(permit, attempt, sha256_hex(b""), 0), outbox=b"")

    def sign(
        self, attempt: Attempt, claims: Mapping[str, Envelope], peers: Mapping[str, PublicKey]
    ) -> Envelope:
        """Sign the list of survivors, after keeping every peer's checkpoint durably."""
        live = self._alive(attempt)
        bodies = {node: claim.open("masked-input", peers[node]) for node, claim in claims.items()}
        self.ledger.book.keep(
            {node: (body["checkpoint"], peers[node]) for node, body in bodies.items()}
        )
        self._check_restarts(live, claims)
        signed = live.opening.sign_list(claims)
        self.reached("signed")
        return signed

    def _check_restarts(self, live: _Live, claims: Mapping[str, Envelope]) -> None:
        # After the peers' checkpoints are kept: whoever restarts from now on is told of them.
        restarts = (self._restarted.get(node, _Restart()) for node in claims)
        if any(restart.noticed > live.keys_made for restart in restarts):
            raise Refused(Code.ATTEMPT_LOST)

    def reveal(self, attempt: Attempt, lists: list[Envelope]) -> Envelope:
        """The shares that open this attempt's total, and no other."""
        shares = self._alive(attempt).opening.reveal(lists)
        self.reached("revealed")
        return shares

    def _alive(self, attempt: Attempt) -> _Live:
        live = self._live.get(_place(attempt))
        if live is None:
            raise Refused(Code.ATTEMPT_LOST)
        if live.attempt != attempt:
            raise ProtocolError("a different attempt under the same number")
        return live

    # what became of it

    def released(self, plan: str, release: str) -> None:
        """The total was opened; what was reserved beyond the commits is free again."""
        self._finish(plan, Released(plan=plan, release=release))

    def aborted(self, plan: str, code: str) -> None:
        """The run ended without a release; only what was never committed is refunded."""
        self._finish(plan, Aborted(plan=plan, code=code))

    def lost(self, plan: str, round_: int, attempt: int) -> None:
        """One attempt was declared lost; it stays charged."""
        self.ledger.append(Lost(plan=plan, round=round_, attempt=attempt))

    def _finish(self, plan: str, body: Released | Aborted | Expired) -> None:
        """End a plan here; what is being read for it at this moment is charged first."""
        with self._lock:
            for place in sorted(key for key in self._reading if key[0] == plan):
                with suppress(Refused):  # it was charged in this very moment
                    self.charge_loss(self._reading[place])
            if plan in self.ledger.state.plans:
                self.ledger.append(body)
            self._permits.pop(plan, None)
            self._plans.pop(plan, None)
            self._forget(plan)

    def _forget(self, plan: str) -> None:
        """Drop what earlier openings of the plan left in memory."""
        for key in [key for key in self._live if key[0] == plan]:
            del self._live[key]

    def drop_unapproved(self) -> None:
        """End every plan of a study version that this organisation approves no more."""
        state = self.ledger.state
        gone = [p for p, each in state.plans.items() if each.study_digest not in state.approvals]
        for plan in gone:
            self._finish(plan, Aborted(plan=plan, code=Code.NOT_APPROVED.value))

    def sweep(self) -> None:
        """Close reservations whose plan has expired."""
        for plan in self.ledger.state.due(instant_text(self.clock())):
            self._finish(plan, Expired(plan=plan))
        self.end_leaving()

    def end_leaving(self) -> None:
        """The last entry of an organisation that leaves, once nothing runs any more."""
        with self._lock:
            state = self.ledger.state
            if state.leaving == "leaving" and not state.plans:
                self.ledger.append(Left())
