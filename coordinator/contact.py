"""Keeping in touch with the nodes: who is there, who needs witnesses, what is new.

One pass asks every connected node how it is, hands out rosters and studies it lacks, carries
witness statements between peers after a restart, and copies new ledger entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeGuard

import structlog

from coordinator.key_stock import KeyStock, Margin
from coordinator.linking import all_learnt
from coordinator.mirror import Mirror
from coordinator.node_link import Answer, Body, NodeLink
from coordinator.own_key import said_now
from coordinator.store.facts import NodeState, StudyFacts
from coordinator.store.network import revoked_in
from coordinator.store.steps import Signers
from coordinator.store.store import Store
from coordinator.witnesses import Witnesses
from privacy.checkpoint import LOG
from privacy.contract.canonical import parse_canonical
from privacy.contract.facts import Fact
from privacy.contract.messages import Ask
from privacy.contract.roster import Roster
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.contract.study_life import StudyStep
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code, Refused, VerificationFailed

TIMEOUT_SECONDS = 5.0
MOST_LOST = 5_000  # entries that a restored node is offered again; more go by a file

_log = structlog.get_logger("cairn.bridge")


class Greeting(Fact):
    """How a node says it is."""

    boot: str
    version: str
    paused: bool
    leaving: str  # or "left"
    nonce: str  # empty once its peers have confirmed its ledger
    roster: str
    dictionary: str
    approved: tuple[str, ...]
    steps: int  # how many steps in the lives of studies it took
    revoked: int
    successors: int  # how many researchers' keys it knows that another one took the place of
    linkage: str  # the session it counts linked members by; empty for none
    size: int
    checkpoint: str
    log: int  # how many lines of the coordinator's log it vouches for
    cosigned: str  # its cosignature on what it was shown, empty if it gave none
    broken: tuple[str, ...]  # whose histories it saw break


@dataclass
class Contact:
    """What is known of each node since this process started."""

    store: Store
    link: NodeLink
    stock: KeyStock
    mirror: Mirror
    roster: Callable[[], Roster]
    connected: Callable[[], frozenset[str]]
    clock: Callable[[], datetime]
    coordinator: PublicKey
    witnesses: Witnesses
    _boots: dict[str, str] = field(default_factory=dict)
    _heard: dict[str, int] = field(default_factory=dict)
    _offered: set[tuple[str, str, str]] = field(default_factory=set)
    _states: dict[str, NodeState] = field(default_factory=dict)

    def pass_once(self) -> bool:
        """One round of greetings; True while some node still needs attention."""
        nodes = sorted(self.connected() & set(self.roster().keys))
        greetings, again = self._greet(nodes)
        greetings |= self._greet(again)[0]
        for node, said in greetings.items():
            self._notice_restart(node, said)
            self._offer(node, said)
            self._fetch_steps(node, said)
        self._carry_witnesses(greetings)
        ready = [node for node, said in greetings.items() if said.pop("ready", False)]
        greetings |= self._greet(ready)[0]
        behind = [n for n, said in greetings.items() if said["size"] > self.mirrored(n)]
        self.mirror.sync(tuple(behind))
        sizes = {node: said["size"] for node, said in greetings.items()}
        self.witnesses.carry(sizes, (n for n, said in greetings.items() if not said["nonce"]))
        self._note_states(greetings)
        self._refill(greetings)
        return self._unsettled(greetings)

    def _greet(self, nodes: Iterable[str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """What nodes say of themselves, shown the log; and who needs another proof of it."""
        shown = {node: self.witnesses.shown_log(node) for node in nodes}
        bodies = {node: Body({"log": growth.to_json()}) for node, growth in shown.items()}
        answers = self.link.ask(Ask.HELLO, bodies, TIMEOUT_SECONDS) if bodies else {}
        said = {n: dict(a.payload) for n, a in answers.items() if _is_greeting(a)}
        again = [n for n in said if self.witnesses.note_log(n, shown[n], said[n])]
        return said, again

    @property
    def _key(self) -> SigningKey:
        return self.mirror.key

    def mirrored(self, node: str) -> int:
        return self.store.ledgers.size(node)

    def _notice_restart(self, node: str, said: dict[str, Any]) -> None:
        if self._boots.get(node) != said["boot"]:
            self._boots[node] = str(said["boot"])
            self.stock.drop_node(node)

    def _offer(self, node: str, said: dict[str, Any]) -> None:
        boot = str(said["boot"])
        if said["roster"] != self.roster().digest:
            envelope = self.store.network.roster_envelope
            mark = (node, boot, envelope.digest)
            self._offer_once(
                mark, Ask.OFFER_ROSTER, {"roster": envelope.resaid(self._key).to_json()}
            )
        revoked = self.store.network.revocation_envelope
        if revoked is not None and said["revoked"] < len(revoked_in(revoked)):
            mark = (node, boot, revoked.digest)
            listed = revoked.resaid(self._key).to_json()
            self._offer_once(mark, Ask.OFFER_REVOCATION, {"revocation": listed})
        self._offer_successors(node, boot, said)
        self._offer_linkage(node, boot, str(said["linkage"]))
        for facts in () if said["leaving"] else self.store.studies.newest():
            self._offer_study(node, boot, facts, facts.study.digest in said["approved"])

    def _offer_successors(self, node: str, boot: str, said: dict[str, Any]) -> None:
        """Tell a node which researchers' keys took others' place, as studies come to name them."""
        changes = self.store.people.key_changes()
        if said["successors"] < len(changes):
            mark = (node, boot, f"{len(changes)} keys, {len(said['approved'])} studies")
            wish = {"changes": [each.to_json() for each in changes]}
            self._offer_once(mark, Ask.OFFER_SUCCESSORS, wish)

    def _offer_linkage(self, node: str, boot: str, counts_by: str) -> None:
        """Tell a node once more that all of its linkage learnt, if it does not count by it."""
        facts = self.store.linkages.in_force(self.clock().astimezone(UTC).date().isoformat())
        if facts is None or node not in facts.session.nodes or counts_by == facts.digest:
            return
        mark = (node, boot, facts.digest)
        if mark not in self._offered:
            wish = {node: Body(all_learnt(facts))}
            answer = self.link.ask(Ask.LINK_KEEP, wish, TIMEOUT_SECONDS)[node]
            if isinstance(answer, Body) or answer.code is Code.NOT_LINKED:
                self._offered.add(mark)

    def _offer_study(self, node: str, boot: str, facts: StudyFacts, approved: bool) -> None:
        """Offer what is proposed and not approved; again when its researchers have answered."""
        proposals = () if approved else self.store.steps.proposals(facts.study.digest)
        if not proposals:
            return
        if self.store.steps.life(facts.study, len(self.roster().nodes)).closed:
            return
        wish = {
            "study": facts.envelope.resaid(self._key).to_json(),
            "proposals": [said_now(each, self._key).to_json() for each in proposals],
        }
        mark = (node, boot, f"{facts.study.digest} {len(proposals)}")
        self._offer_once(mark, Ask.OFFER_STUDY, wish)

    def _offer_once(self, mark: tuple[str, str, str], ask: Ask, wish: dict[str, Any]) -> None:
        if mark in self._offered:
            return
        node = mark[0]
        answers = self.link.ask(ask, {node: Body(wish)}, TIMEOUT_SECONDS)
        if isinstance(answers[node], Body):
            self._offered.add(mark)

    def _fetch_steps(self, node: str, said: dict[str, Any]) -> None:
        """What the organisation decided since, signed by its node."""
        seen = max(self.store.steps.seen_of(node), self._heard.get(node, 0))
        if said["steps"] <= seen:
            return
        answers = self.link.ask(Ask.STUDY_STEPS, {node: Body({"from": seen})}, TIMEOUT_SECONDS)
        answer = answers[node]
        if isinstance(answer, Body):
            self._keep_steps(node, answer.payload.get("steps"))
            self._heard[node] = said["steps"]

    def _keep_steps(self, node: str, steps: object) -> None:
        for value in steps if isinstance(steps, list) else []:
            try:
                self._keep_step(node, Envelope.from_json(value))
            except (BadInput, Refused, VerificationFailed) as error:
                _log.error("step of a node does not hold", node=node, error=type(error).__name__)

    def _keep_step(self, node: str, envelope: Envelope) -> None:
        step = StudyStep.from_json(parse_canonical(envelope.body))
        if step.by != node:
            raise VerificationFailed("is another node's", where=node)
        study = self.store.studies.version(step.study_digest).study
        self.store.steps.add(envelope, study, Signers(self.coordinator, self.roster().keys))

    def _carry_witnesses(self, greetings: dict[str, dict[str, Any]]) -> None:
        for node, said in greetings.items():
            if not said["nonce"]:
                continue
            peers = tuple(peer for peer in greetings if peer != node)
            question = {"of": node, "nonce": said["nonce"]}
            head, lines = self._lost_entries(node, int(said["size"]))
            answers = self.link.ask_all(Ask.WITNESS, peers, question, TIMEOUT_SECONDS)
            statements = {
                peer: answer.payload.get("statement")
                for peer, answer in answers.items()
                if isinstance(answer, Body)
            }
            wish = Body({"statements": statements, **head}, lines)
            done = self.link.ask(Ask.WITNESS_ANSWERS, {node: wish}, TIMEOUT_SECONDS)
            said["ready"] = _says(done[node], "done")

    def _lost_entries(self, node: str, size: int) -> tuple[dict[str, str], bytes]:
        """What the copy has beyond a node's ledger: it may have been restored from a backup."""
        newest = self.store.ledgers.newest_checkpoint(node)
        if newest is None or newest.size <= size or newest.size - size > MOST_LOST:
            return {}, b""
        lines = self.store.ledgers.entries(node, size, newest.size)
        return {"checkpoint": newest.text}, b"".join(line + b"\n" for line in lines)

    def _note_states(self, greetings: dict[str, dict[str, Any]]) -> None:
        now = instant_text(self.clock())
        for node in self.roster().keys:
            said = greetings.get(node)
            state = NodeState.OFFLINE if said is None else self._state(said)
            if said is not None:
                self.store.nodes.seen(node, state, now, str(said["version"]))
            elif self._states.get(node) is not state:
                self.store.nodes.set_state(node, state)
            self._states[node] = state

    def _state(self, said: dict[str, Any]) -> NodeState:
        if said["leaving"]:
            return NodeState.LEFT if said["leaving"] == "left" else NodeState.PAUSED
        if said["paused"]:
            return NodeState.PAUSED
        if said["nonce"] or LOG in said["broken"] or said["roster"] != self.roster().digest:
            return NodeState.NEEDS_STEWARD
        return NodeState.ONLINE

    def _refill(self, greetings: dict[str, dict[str, Any]]) -> None:
        """Prepare keys for the questions that the approved studies may bring."""
        for facts in self.store.studies.newest():
            study = facts.study
            group = tuple(
                node
                for node in self.roster().keys
                if self._states.get(node) is NodeState.ONLINE
                and study.digest in greetings[node]["approved"]
            )
            margin = Margin(self.roster().digest, study.t_drop, study.t_collude)
            if len(group) >= 3 and self.stock.needs_refill(group, margin):
                self._prepare(group, margin)

    def _prepare(self, group: tuple[str, ...], margin: Margin) -> None:
        try:
            self.stock.prepare(group, margin)
        except Refused as refused:
            _log.warning("keys could not be prepared", code=refused.code.value)

    def _unsettled(self, greetings: dict[str, dict[str, Any]]) -> bool:
        gone = sum(state is NodeState.LEFT for state in self._states.values())
        expected = len(self.roster().nodes) - gone
        online = sum(state is NodeState.ONLINE for state in self._states.values())
        waiting = any(self.mirrored(n) < said["size"] for n, said in greetings.items())
        return online < expected or waiting


def _says(answer: Answer, field_name: str) -> bool:
    return isinstance(answer, Body) and bool(answer.payload.get(field_name))


def _is_greeting(answer: Answer) -> TypeGuard[Body]:
    """A node that greets in another form is as good as offline."""
    try:
        return isinstance(answer, Body) and bool(Greeting.from_json(answer.payload))
    except BadInput:
        return False
