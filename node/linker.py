"""A node's part in linkages, message by message, around `privacy.linkage.party`.

    begin     decides, and adverts a session key and the declared length of its list
    meet      takes everybody's adverts; the first node deals a seed
    list      charges the ledger, and only then looks up members and raises its list
    raise     raises another organisation's list
    vouch     takes what is counted elsewhere, says so of the dummies, sealed
    learn     compares all dummies, keeps what was learnt for no question yet, signs the transcript
    keep      every node signed one transcript: the linkage is in force
    end       it came to nothing; what was charged stays charged

Secrets live in memory: a node that starts again in the middle has lost the session, and nothing
else. A message that comes twice gets the same bytes; another in its place is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from node import linkage_records
from node.gate import Facts
from node.ledger_store import LedgerStore
from node.link_gate import charge_of, decide_linkage, fields_of
from node.records import Records
from node.records_guard import RecordsGuard
from privacy.contract.canonical import canonical_bytes, sha256_hex
from privacy.contract.messages import Ask
from privacy.contract.parts import cut_parts, join_parts
from privacy.contract.policy import Linking
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code, ProtocolError, Refused
from privacy.ledger.link_entry import LinkBegun, Linked, LinkEnded
from privacy.ledger.linkage import link
from privacy.linkage.party import Party
from privacy.linkage.session import LinkSession
from privacy.linkage.transcript import open_learnt
from privacy.randomness import Entropy

Answer = tuple[dict[str, Any], bytes]

READS_MEMBERS = frozenset({Ask.LINK_LIST, Ask.LINK_VOUCH, Ask.LINK_LEARN, Ask.LINK_KEEP})


@dataclass
class _UnderWay:
    """One session in memory: the party, its members by what is hashed of them. Never prints."""

    envelope: Envelope
    session: LinkSession
    charge: LinkBegun
    party: Party
    members: dict[bytes, str] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)

    def __repr__(self) -> str:
        return "_UnderWay(…)"


@dataclass
class Linker:
    """At most one session at a time."""

    node: str
    key: SigningKey
    network: str
    ledger: LedgerStore
    records: Records
    guard: RecordsGuard
    entropy: Entropy
    clock: Callable[[], datetime]
    _now: _UnderWay | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __repr__(self) -> str:
        return f"Linker({self.node})"

    def settle(self) -> None:
        """After a start: count by the linkage that the ledger says is in force, or by none."""
        known = self.ledger.state.linkage
        counted = linkage_records.applied(self.records)
        if known is None and counted:
            linkage_records.forget(self.records)
        elif known is not None and counted != known.session:
            try:
                linkage_records.apply(self.records, known.session)
            except Refused:  # records of another time: linked questions are not answered
                return

    def answer(self, ask: Ask, payload: dict[str, Any], blob: bytes, facts: Facts) -> Answer:
        """What this node says to one message; the same again to the same."""
        mark = sha256_hex(canonical_bytes([ask.value, payload, sha256_hex(blob)]))
        with self._lock:
            if self._now is not None and mark in self._now.answers:
                return self._now.answers[mark]
            answer = self._step(ask, payload, blob, facts)
            if self._now is not None:
                self._now.answers[mark] = answer
            return answer

    def _step(self, ask: Ask, payload: dict[str, Any], blob: bytes, facts: Facts) -> Answer:
        match ask:
            case Ask.LINK_BEGIN:
                return self._begin(Envelope.from_json(payload["session"]), facts)
            case Ask.LINK_KEEP:
                return self._keep(payload, facts)
            case Ask.LINK_END:
                return self._end(payload)
            case Ask.LINK_MEET:
                return self._meet(self._of(payload), payload)
            case Ask.LINK_LIST:
                return self._list(self._of(payload), blob, facts)
            case Ask.LINK_RAISE:
                given = Envelope.from_json(payload["list"])
                raised, points = self._of(payload).party.hand_on(given, blob)
                return {"list": raised.to_json()}, points
            case Ask.LINK_VOUCH:
                lists = [Envelope.from_json(value) for value in payload["lists"]]
                return {}, self._of(payload).party.vouch(blob, lists)
            case Ask.LINK_LEARN:
                return self._learn(self._of(payload), payload, blob)
            case _:
                raise BadInput("no message of a linkage")

    def _of(self, payload: dict[str, Any]) -> _UnderWay:
        now = self._now
        if now is None or payload["session"] != now.session.digest:
            raise Refused(Code.NOT_LINKED, what="no such session is under way")
        if instant_text(self.clock()) >= now.session.expires:
            raise Refused(Code.EXPIRED, what="linkage")
        return now

    def _begin(self, envelope: Envelope, facts: Facts) -> Answer:
        session = decide_linkage(envelope, facts, self.network)
        agreed = _agreed(facts)
        charge = charge_of(session, agreed.room)
        link(self.ledger.state, charge, instant_text(self.clock()))  # refused now, not half-way
        party = Party(
            session,
            self.node,
            agreed.room,
            key=self.key,
            peers=facts.roster.keys,
            entropy=self.entropy,
        )
        self._now = _UnderWay(envelope, session, charge, party)
        return {"advert": party.advert().to_json()}, b""

    def _meet(self, now: _UnderWay, payload: dict[str, Any]) -> Answer:
        now.party.meet([Envelope.from_json(value) for value in payload["adverts"]])
        if self.node != now.party.dealer:
            return {"lengths": {}}, b""
        lengths, blob = join_parts(now.party.deal())
        return {"lengths": lengths}, blob

    def _list(self, now: _UnderWay, sealed: bytes, facts: Facts) -> Answer:
        """Charge durably, then read: who is looked up was paid for."""
        if self.node != now.party.dealer:
            now.party.receive(sealed)
        decide_linkage(now.envelope, facts, self.network)
        self.ledger.append(now.charge)
        fields = fields_of(now.session.fields, facts.dictionary)
        today = self.clock().astimezone(UTC).date()
        found = linkage_records.persons(self.records, fields, today)
        now.members = dict(list(found.items())[: now.charge.room])
        stated, points = now.party.own_list(list(now.members))
        return {"list": stated.to_json()}, points

    def _learn(self, now: _UnderWay, payload: dict[str, Any], blob: bytes) -> Answer:
        vouched = cut_parts(payload["lengths"], blob)
        elsewhere = now.party.learn(vouched)
        word, transcript = now.party.learnt(vouched)
        counted = {member: name not in elsewhere for name, member in now.members.items()}
        linkage_records.stage(self.records, now.session, transcript, counted)
        return {"learnt": word.to_json()}, b""

    def _keep(self, payload: dict[str, Any], facts: Facts) -> Answer:
        """In force, once every node of it says that it learnt by one transcript.

        What was learnt is on disk, so this can come after a restart, and again.
        """
        session = str(payload["session"])
        known = self.ledger.state.linkage
        if known is None or known.session != session:
            self._put_in_force(session, payload, facts)
        linkage_records.apply(self.records, session)
        self._now = None
        self.guard.changed()
        return {"linkage": session}, b""

    def _put_in_force(self, session: str, payload: dict[str, Any], facts: Facts) -> None:
        begun = self.ledger.state.linking
        if begun is None or begun.session != session:
            raise Refused(Code.NOT_LINKED, what="no such session is under way")
        statements = [Envelope.from_json(value) for value in payload["learnt"]]
        transcript = open_learnt(session, begun.nodes, statements, facts.roster.keys)
        if transcript != linkage_records.staged_transcript(self.records, session):
            raise ProtocolError("learnt by another transcript")
        self.ledger.append(Linked(session=session, transcript=transcript))

    def _end(self, payload: dict[str, Any]) -> Answer:
        session, code = str(payload["session"]), Code(payload["code"])
        if self._now is not None and self._now.session.digest == session:
            self._now = None
        begun = self.ledger.state.linking
        if begun is not None and begun.session == session:
            self.ledger.append(LinkEnded(session=session, why=code.value))
            linkage_records.forget(self.records, staged_only=True)
        return {}, b""

    def end(self, why: str, by: str) -> str:
        """A steward ends the linkage in force, or the one under way; returns its session."""
        state = self.ledger.state
        session = state.linkage.session if state.linkage else ""
        session = state.linking.session if state.linking else session
        if not session:
            raise BadInput("members are linked with nobody's", instead="nothing has to be ended")
        with self._lock:
            self.ledger.append(LinkEnded(session=session, why=why, by=by))
            self._now = None
            in_force = self.ledger.state.linkage is not None
            linkage_records.forget(self.records, staged_only=in_force)
            self.guard.changed()
        return session


def _agreed(facts: Facts) -> Linking:
    linking = facts.policy.rules.linking
    if linking is None:
        raise Refused(Code.POLICY_FLOOR, what="linkage")
    return linking
