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

from node.attempts import Attempts, Noticed, attempted, unread
from node.coordinator_keys import CoordinatorKeys
from node.decision_log import DecisionLog
from node.decisions import Offered, decide_by_policy
from node.desk import Desk
from node.documents import Documents
from node.gate import Facts
from node.ledger_store import LedgerStore
from node.linker import READS_MEMBERS, Linker
from node.questions import Answer, Questions, Work
from node.requests import told
from node.researcher_keys import follow_researchers
from node.runner import Runner
from node.slots import Slots
from node.watch import Watch
from node.witness_door import WitnessDoor
from node.witnessing import Witnessing
from privacy.contract.coordinator_key import parse_changes
from privacy.contract.dictionary import Dictionary
from privacy.contract.messages import Ask, Request, seal_refusal, seal_reply
from privacy.contract.packet import Packet
from privacy.contract.researcher_key import parse_changes as parse_successors
from privacy.contract.roster import Roster
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.contract.study_life import Signer
from privacy.errors import BadInput, Code, ProtocolError, Refused, VerificationFailed
from privacy.ledger.entry import KeysRevoked, PolicySet
from privacy.randomness import Entropy

VERSION = "0.1.0"
MAX_LEDGER_ENTRIES = 5_000

_log = structlog.get_logger("cairn.node")


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

    @cached_property
    def questions(self) -> Questions:
        """Its answers to questions."""
        return Questions(self.key, self.runner, self.desk, self.documents, self.entropy, self)

    @cached_property
    def attempts(self) -> Attempts:
        """What it refused and an honest coordinator does not ask."""
        return Attempts(self.ledger, self.clock, lambda: self.witnessing.done)

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
            unread_one = unread(packet, self.coordinator)
            return _Begun(None, lambda: self._entered(refusal, unread_one))
        self.last_contact = self.clock()
        if request.ask is Ask.CONTRIBUTE:
            work = self.questions.contribution(request.payload, packet.blob)
            return _Begun(
                request.ask, lambda: self._entered(*self._answer(request, packet.header, work))
            )
        reply, attempt = self._answer(
            request, packet.header, lambda: self._dispatch(request, packet.blob)
        )
        return _Begun(request.ask, lambda: self._entered(reply, attempt))

    def _entered(self, reply: Packet, attempt: Noticed | None) -> Packet:
        if attempt is not None:
            self.attempts.enter(attempt)
        return reply

    def _answer(self, request: Request, header: bytes, work: Work) -> tuple[Packet, Noticed | None]:
        state = self.ledger.state
        try:
            payload, data = work()
            return seal_reply(self.key, self.node, request.id, payload, data), None
        except Refused as refused:
            _log.info("refused", ask=request.ask.value, code=refused.code.value)
            attempt = attempted(request, header, refused, refused.code, state)
            return seal_refusal(self.key, self.node, request.id, told(refused)), attempt
        except (BadInput, VerificationFailed, ProtocolError, KeyError, TypeError) as error:
            _log.warning("malformed", ask=request.ask.value, error=type(error).__name__)
            attempt = attempted(request, header, error, Code.BAD_REQUEST, state)
            return self._failed(request, Code.BAD_REQUEST), attempt
        except Exception as error:  # noqa: BLE001 - the job boundary
            _log.error("failed", ask=request.ask.value, error=type(error).__name__)
            return self._failed(request, Code.INTERNAL), None

    def _failed(self, request: Request, code: Code) -> Packet:
        return seal_refusal(self.key, self.node, request.id, Refused(code))

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
                return self.questions.prepare_keys(payload), b""
            case Ask.PREPARE_SHARES:
                return self.questions.prepare_shares(payload)
            case Ask.RESERVE:
                return self.questions.reserve(payload), b""
            case Ask.CONTRIBUTE:
                raise Refused(Code.BAD_REQUEST)  # in two steps: see `Questions.contribution`
            case Ask.SIGN_SURVIVORS:
                return self.questions.sign_survivors(payload), b""
            case Ask.REVEAL:
                return self.questions.reveal(payload), b""
            case Ask.OUTCOME:
                return self.questions.outcome(payload), b""
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

    # what it keeps

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
