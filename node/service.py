"""The node as one object: what the coordinator may ask, and what the steward may do.

`handle` is the only door for messages. It is the node's job boundary: whatever goes wrong
inside leaves as a catalogue code, and a question is charged and answered at a public slot.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, assert_never

import structlog

from node.coordinator_keys import CoordinatorKeys
from node.decision_log import DecisionLog
from node.decisions import Offered, decide_by_policy
from node.desk import Desk
from node.documents import Documents
from node.gate import Facts
from node.ledger_store import LedgerStore
from node.linker import READS_MEMBERS, Linker
from node.requests import noting, raising, told
from node.researcher_keys import follow_researchers
from node.runner import Masked, Runner
from node.slots import Slots
from node.software import load_ahead
from node.watch import Watch
from node.witness_door import WitnessDoor
from node.witnessing import Witnessing
from privacy.contract.coordinator_key import parse_changes
from privacy.contract.dictionary import Dictionary
from privacy.contract.messages import Ask, Request, seal_refusal, seal_reply
from privacy.contract.packet import Packet
from privacy.contract.parts import cut_head, cut_parts, join_parts
from privacy.contract.researcher_key import parse_changes as parse_successors
from privacy.contract.roster import Roster
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.contract.study_life import Signer
from privacy.errors import BadInput, Code, ProtocolError, Refused, VerificationFailed
from privacy.ledger.entry import KeysRevoked, PolicySet
from privacy.randomness import Entropy
from privacy.secure_sum.attempt import Attempt, threshold
from privacy.secure_sum.participant import Session

VERSION = "0.1.0"
MAX_LEDGER_ENTRIES = 5_000
MAX_SETS = 256

_log = structlog.get_logger("cairn.node")
Answer = tuple[dict[str, Any], bytes]
Work = Callable[[], Answer]


@dataclass(frozen=True)
class _Begun:
    """A request whose records have been read, if it needed any; `finish` gives the reply."""

    ask: Ask | None
    finish: Callable[[], Packet]


@dataclass
class NodeService:
    """Everything a node does, with clock, randomness and storage handed in."""

    node: str
    key: SigningKey
    coordinators: CoordinatorKeys
    ledger: LedgerStore
    documents: Documents
    desk: Desk
    runner: Runner
    linker: Linker
    witnessing: Witnessing
    watch: Watch
    slots: Slots
    entropy: Entropy
    clock: Callable[[], datetime]
    boot: str
    records_fault: Callable[[str], Code | None]
    software: frozenset[str] = frozenset()
    last_contact: datetime | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def door(self) -> WitnessDoor:
        """Its answers as a witness, and to its own witnesses."""
        return WitnessDoor(self.key, self.runner, self.witnessing, self.watch, self)

    @cached_property
    def decisions(self) -> DecisionLog:
        """This organisation's decisions, signed for the studies' records."""
        return DecisionLog(self.node, self.key, self.ledger, self.documents)

    # what decisions depend on

    @property
    def coordinator(self) -> PublicKey:
        """The coordinator's key in force."""
        return self.coordinators.key

    def roster(self) -> Roster:
        """The roster a steward confirmed; raises Refused(ROSTER_MISMATCH) before that."""
        return self.documents.roster(self.ledger.state.roster or "none")

    def peers(self) -> Mapping[str, PublicKey]:
        """Identity keys of the confirmed nodes, this one included. Who signed two ledgers of one
        size is none of them until a steward has looked."""
        state = self.ledger.state
        if not state.roster:
            return {}
        keys = {n: key for n, key in self.roster().keys.items() if n not in state.faults}
        return {node: key for node, key in keys.items() if key.fingerprint in state.confirmed}

    def dictionary(self) -> Dictionary:
        """The dictionary in force; raises Refused(DICTIONARY_MISMATCH) before there is one."""
        return self.documents.dictionary(self.ledger.state.dictionary or "none")

    @property
    def policy(self) -> PolicySet:
        """The policy in force; raises Refused(LEDGER_STOPPED) for a ledger without one."""
        policy = self.ledger.state.policy
        if policy is None:
            raise Refused(Code.LEDGER_STOPPED, what="no policy")
        return policy

    def facts(self) -> Facts:
        state = self.ledger.state
        return Facts(
            node=self.node,
            coordinator=self.coordinator,
            roster=self.roster(),
            confirmed=frozenset(self.peers()),
            revoked=state.revoked,
            dictionary=self.dictionary(),
            studies={digest: self.documents.study(digest) for digest in state.approvals},
            policy=self.policy,
            looked=state.looked,
            linkage=state.linkage,
            delta=state.delta,
            paused=state.paused,
            witnessed=self.witnessing.done and self.watch.current,
            halted=state.halted,
            software=self.software,
            records_fault=self.records_fault(state.dictionary),
            now=self.clock(),
            successors=state.successors,
        )

    # the one door for messages

    def handle_all(self, packets: Sequence[Packet]) -> list[Packet]:
        """Answer a batch. What read data is charged and answered at the next public slot.

        The ledger must not grow before: a coordinator that asks for its size in the meantime
        would see to the millisecond how long the records took.
        """
        slot = self.slots.arrive()
        begun = [self._begin(packet) for packet in packets]
        if any(each.ask is Ask.CONTRIBUTE or each.ask in READS_MEMBERS for each in begun):
            slot.wait()
        return [each.finish() for each in begun]

    def handle(self, packet: Packet) -> tuple[Packet, Ask | None]:
        """Answer one packet at once. Never raises; never says more than a catalogue code."""
        begun = self._begin(packet)
        return begun.finish(), begun.ask

    def _begin(self, packet: Packet) -> _Begun:
        try:
            request = self.coordinators.open(packet, self.node)
        except (VerificationFailed, BadInput):
            refusal = seal_refusal(self.key, self.node, "", Refused(Code.BAD_SIGNATURE))
            return _Begun(None, lambda: refusal)
        self.last_contact = self.clock()
        if request.ask is Ask.CONTRIBUTE:
            work = self._contribution(request.payload, packet.blob)
            return _Begun(request.ask, lambda: self._answer(request, work))
        reply = self._answer(request, lambda: self._dispatch(request, packet.blob))
        return _Begun(request.ask, lambda: reply)

    def _answer(self, request: Request, work: Work) -> Packet:
        try:
            payload, data = work()
            return seal_reply(self.key, self.node, request.id, payload, data)
        except Refused as refused:
            _log.info("refused", ask=request.ask.value, code=refused.code.value)
            return seal_refusal(self.key, self.node, request.id, told(refused))
        except (BadInput, VerificationFailed, ProtocolError, KeyError, TypeError) as error:
            _log.warning("malformed", ask=request.ask.value, error=type(error).__name__)
            return seal_refusal(self.key, self.node, request.id, Refused(Code.BAD_REQUEST))
        except Exception as error:  # noqa: BLE001 - the job boundary
            _log.error("failed", ask=request.ask.value, error=type(error).__name__)
            return seal_refusal(self.key, self.node, request.id, Refused(Code.INTERNAL))

    def _dispatch(self, request: Request, blob: bytes) -> Answer:
        payload = request.payload
        match request.ask:
            case Ask.HELLO:
                return self._hello(payload, request.at), b""
            case Ask.FOLLOW_KEY:
                changes = parse_changes(payload["changes"])
                return self.coordinators.follow(changes, self.witnessing.done), b""
            case Ask.OFFER_ROSTER:
                return self._offer_roster(payload), b""
            case Ask.OFFER_STUDY:
                return self._offer_study(payload), b""
            case Ask.STUDY_STEPS:
                steps = self.decisions.since(int(payload["from"]))
                return {"steps": [each.to_json() for each in steps]}, b""
            case Ask.OFFER_REVOCATION:
                return self._offer_revocation(payload), b""
            case Ask.OFFER_SUCCESSORS:
                said = parse_successors(payload["changes"])
                with self._lock:
                    return follow_researchers(self.ledger, self.documents, said), b""
            case Ask.WITNESS:
                return self.door.statement(payload), b""
            case Ask.WITNESS_ANSWERS:
                return self.door.answers(payload, blob), b""
            case Ask.GROWTH:
                return self.door.growth(payload), b""
            case Ask.COSIGN:
                return self.door.cosign(payload), b""
            case Ask.PREPARE_KEYS:
                return self._prepare_keys(payload), b""
            case Ask.PREPARE_SHARES:
                return self._prepare_shares(payload)
            case Ask.RESERVE:
                return self._reserve(payload), b""
            case Ask.CONTRIBUTE:
                raise Refused(Code.BAD_REQUEST)  # in two steps: see `_contribution`
            case Ask.SIGN_SURVIVORS:
                return self._sign_survivors(payload), b""
            case Ask.REVEAL:
                return self._reveal(payload), b""
            case Ask.OUTCOME:
                return self._outcome(payload), b""
            case Ask.LEDGER:
                return self._ledger(payload)
            case (
                Ask.LINK_BEGIN
                | Ask.LINK_MEET
                | Ask.LINK_LIST
                | Ask.LINK_RAISE
                | Ask.LINK_VOUCH
                | Ask.LINK_LEARN
                | Ask.LINK_KEEP
                | Ask.LINK_END
            ):
                return self.linker.answer(request.ask, payload, blob, self.facts())
            case _:
                assert_never(request.ask)

    # getting to know each other

    def _hello(self, payload: dict[str, Any], said: str) -> dict[str, Any]:
        if self.witnessing.done:
            self.coordinators.settle()
        greeted = self.door.greet(payload, said)
        state = self.ledger.state
        return {
            "boot": self.boot,
            "version": VERSION,
            "paused": state.paused,
            "leaving": state.leaving,
            "roster": state.roster,
            "dictionary": state.dictionary,
            "approved": sorted(state.approvals),
            "steps": self.decisions.count,
            "revoked": len(state.revoked),
            "successors": len(state.successors),
            "linkage": state.linkage.session if state.linkage else "",
            "size": self.ledger.size,
            "checkpoint": self.ledger.checkpoint(),
            **greeted,
        }

    def _offer_roster(self, payload: dict[str, Any]) -> dict[str, Any]:
        roster = self.documents.keep_roster(Envelope.from_json(payload["roster"]))
        return {"in_force": roster.digest == self.ledger.state.roster}

    def _offer_study(self, payload: dict[str, Any]) -> dict[str, Any]:
        study = self.documents.keep_study(Envelope.from_json(payload["study"]))
        proposals = [Envelope.from_json(value) for value in payload["proposals"]]
        self.documents.keep_proposals(study, proposals)
        decide_by_policy(self.ledger, self.offered(study.digest), self.clock())
        return {"approved": study.digest in self.ledger.state.approvals}

    def offered(self, digest: str) -> Offered:
        """A study version with what is known of it here; raises Refused(UNKNOWN_STUDY)."""
        study = self.documents.study(digest)
        signers = [step.signer for step in self.documents.proposals(study)]
        reviewed = digest in self.ledger.state.reviewed
        return Offered(study, Signer.RESEARCHER in signers, reviewed)

    def _offer_revocation(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Keep a list of revoked keys, and write the new ones into the ledger.

        Keys that an earlier list named stay revoked, whatever a later one says.
        """
        listed = self.documents.keep_revocation(Envelope.from_json(payload["revocation"]))
        genesis = self.ledger.state.genesis
        if genesis is None or listed.network != genesis.network:
            raise Refused(Code.BAD_REQUEST, what="network")
        with self._lock:
            known = self.ledger.state.revoked
            keys = tuple(sorted(set(listed.keys) - known))
            ended = tuple(sorted(set(listed.delegations) - known))
            entry = KeysRevoked(revocation=listed.digest, keys=keys, delegations=ended)
            if keys or ended:
                self.ledger.append(entry)
        return {"revoked": len(self.ledger.state.revoked)}

    # keys ahead of time

    def _prepare_keys(self, payload: dict[str, Any]) -> dict[str, Any]:
        group = tuple(payload["group"])
        roster = self.roster()
        if payload["roster"] != roster.digest or not set(group) <= set(roster.keys):
            raise Refused(Code.ROSTER_MISMATCH)
        if self.node not in group or not 1 <= payload["sets"] <= MAX_SETS:
            raise Refused(Code.BAD_REQUEST)
        shares = threshold(len(group), payload["t_collude"])
        session = Session.begin(
            self.node,
            self.key,
            group,
            roster=roster.digest,
            threshold=shares,
            sets=payload["sets"],
            entropy=self.entropy,
        )
        return {"advert": self.runner.prepare_keys(session).to_json()}

    def _prepare_shares(self, payload: dict[str, Any]) -> Answer:
        adverts = {n: Envelope.from_json(value) for n, value in payload["adverts"].items()}
        session = self.runner.session(str(payload["session"]))
        lengths, blob = join_parts(session.share(adverts, self.roster().keys))
        return {"lengths": lengths}, blob

    # one question

    def _reserve(self, payload: dict[str, Any]) -> dict[str, Any]:
        envelope, facts = Envelope.from_json(payload["plan"]), self.facts()
        with noting(self.desk, envelope, facts, self.documents.study):
            permit = self.runner.reserve(envelope, facts)
        load_ahead(permit.derivation.analysis.needs)
        return {"plan": permit.plan_digest}

    def _contribution(self, payload: dict[str, Any], blob: bytes) -> Work:
        """Read and mask now; the rest commits. Whatever fails here is told there."""
        try:
            attempt = Attempt.from_json(payload["attempt"])
            state, pieces = cut_head(payload["state"], blob)
            sealed = cut_parts(payload["lengths"], pieces)
        except Exception as error:  # noqa: BLE001 - told at the slot, by the job boundary
            return raising(error)
        try:
            computed = self.runner.compute(attempt, state, sealed, self.facts())
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

    def _sign_survivors(self, payload: dict[str, Any]) -> dict[str, Any]:
        attempt = Attempt.from_json(payload["attempt"])
        claims = {n: Envelope.from_json(value) for n, value in payload["claims"].items()}
        return {"list": self.runner.sign(attempt, claims, self.roster().keys).to_json()}

    def _reveal(self, payload: dict[str, Any]) -> dict[str, Any]:
        attempt = Attempt.from_json(payload["attempt"])
        lists = [Envelope.from_json(value) for value in payload["lists"]]
        return {"shares": self.runner.reveal(attempt, lists).to_json()}

    def _outcome(self, payload: dict[str, Any]) -> dict[str, Any]:
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
        return {"size": self.ledger.size, "checkpoint": self.ledger.checkpoint()}

    def _ledger(self, payload: dict[str, Any]) -> Answer:
        start = int(payload["from"])
        entries = self.ledger.entries(start, start + MAX_LEDGER_ENTRIES)
        blob = b"".join(entry + b"\n" for entry in entries)
        return {
            "count": len(entries),
            "size": self.ledger.size,
            "checkpoint": self.ledger.checkpoint(),
            "witnessed": {peer: self.ledger.book.newest(peer) or "" for peer in self.peers()},
        }, blob
