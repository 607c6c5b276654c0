"""One linkage from its signed session to the moment when every node counts by it.

The coordinator carries lists and compares finished pseudonyms. It holds no secret of any
pseudonym, learns no name, and of the numbers of persons in common only what the dummies' noise
leaves. One node that does not answer ends the session: every node then stays as it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import structlog

from coordinator.node_link import Body, Declined, NodeLink
from coordinator.store.facts import LinkageFacts, LinkageState
from coordinator.store.store import Store
from privacy.contract.canonical import canonical_bytes
from privacy.contract.messages import Ask
from privacy.contract.parts import cut_parts, join_parts
from privacy.contract.roster import Roster
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code, ProtocolError, Refused
from privacy.linkage.matching import counted_elsewhere, finished
from privacy.linkage.session import SESSION, LinkSession, open_adverts
from privacy.linkage.transcript import open_learnt, transcript_of
from privacy.randomness import Entropy

STEP_SECONDS = 600.0  # a list of a million points takes a node half a minute
LIFETIME = timedelta(hours=6)

_log = structlog.get_logger("cairn.bridge")
_Lists = dict[str, tuple[Envelope, bytes]]


def new_session(
    store: Store,
    key: SigningKey,
    nodes: tuple[str, ...],
    fields: tuple[str, ...],
    ends: date,
    *,
    now: datetime,
    entropy: Entropy,
) -> Envelope:
    """Sign a session between these nodes and keep it, for the bridge to take up.

    Raises BadInput for nodes that are in no roster, fields that are no identifiers, or days that
    are over.
    """
    network, today = store.network, now.astimezone(UTC).date()
    unknown = sorted(set(nodes) - set(network.roster.keys))
    if unknown or not 3 <= len(set(nodes)) == len(nodes):
        raise BadInput("not three or more nodes of the roster", where=", ".join(unknown or nodes))
    for name in fields:
        ref = network.dictionary.refs.get(name)
        if ref is None or not ref.column.identifier or ref.many:
            raise BadInput(f"{name!r} is no identifier of a table with one row per member")
    if ends < today:
        raise BadInput("its last day is over", where=ends.isoformat())
    session = LinkSession(
        network=network.id,
        roster=network.roster.digest,
        dictionary=network.dictionary.digest,
        nodes=tuple(sorted(nodes)),
        fields=tuple(sorted(set(fields))),
        starts=today.isoformat(),
        ends=ends.isoformat(),
        created=instant_text(now),
        expires=instant_text(now + LIFETIME),
        nonce=entropy(16).hex(),
    )
    envelope = Envelope.seal(SESSION, session.to_json(), key)
    store.linkages.add(envelope, instant_text(now))
    return envelope


@dataclass
class Linking:
    """Runs sessions, one at a time; each ends in the store as linked or failed."""

    store: Store
    link: NodeLink
    roster: Callable[[], Roster]
    clock: Callable[[], datetime]
    timeout_seconds: float = STEP_SECONDS
    _one: threading.Lock = field(default_factory=threading.Lock)

    def run(self, digest: str) -> LinkageFacts:
        """Take up a session that is queued; one that is over is left as it is."""
        with self._one:
            facts = self.store.linkages.get(digest)
            if facts.state is LinkageState.QUEUED:
                self._run(facts)
            return self.store.linkages.get(digest)

    def _run(self, facts: LinkageFacts) -> None:
        try:
            self._link(facts)
        except Refused as refused:
            self._fail(facts, refused.code)
        except (ProtocolError, BadInput) as error:
            _log.error("linkage failed", error=type(error).__name__, text=str(error))
            self._fail(facts, Code.BAD_REQUEST)

    def _fail(self, facts: LinkageFacts, code: Code) -> None:
        self.store.linkages.fail(facts.digest, code, self._at())
        ended = {"session": facts.digest, "code": code.value}
        self.link.ask_all(Ask.LINK_END, facts.session.nodes, ended, self.timeout_seconds)

    def _link(self, facts: LinkageFacts) -> None:
        session, keys = facts.session, self.roster().keys
        name = {"session": session.digest}
        begun = self._all(Ask.LINK_BEGIN, session, {"session": facts.envelope.to_json()})
        sent = {node: Envelope.from_json(body.payload["advert"]) for node, body in begun.items()}
        adverts = open_adverts(session, list(sent.values()), keys)
        lists = self._raised(session, self._own_lists(session, sent))
        bits = counted_elsewhere(session, finished(session, lists, adverts, keys))
        stated = {node: envelope for node, (envelope, _) in lists.items()}
        said = name | {"lists": [stated[node].to_json() for node in session.nodes]}
        bodies = {node: Body(said, bits[node]) for node in session.nodes}
        answers = self._each(Ask.LINK_VOUCH, bodies)
        vouched = {node: body.blob for node, body in answers.items()}
        lengths, pieces = join_parts(vouched)
        learnt = self._all(Ask.LINK_LEARN, session, name | {"lengths": lengths}, pieces)
        words = [Envelope.from_json(learnt[node].payload["learnt"]) for node in session.nodes]
        transcript = transcript_of(session, sent, stated, vouched)
        if open_learnt(session.digest, session.nodes, words, keys) != transcript.digest:
            raise ProtocolError("nodes learnt by another transcript")
        data = canonical_bytes(transcript.to_json())
        self.store.linkages.finish(facts.digest, data, words, self._at())
        self.keep(self.store.linkages.get(facts.digest), session.nodes)

    def _own_lists(self, session: LinkSession, sent: Mapping[str, Envelope]) -> _Lists:
        name = {"session": session.digest}
        adverts = name | {"adverts": [sent[node].to_json() for node in session.nodes]}
        met = self._all(Ask.LINK_MEET, session, adverts)
        dealer = met[session.nodes[0]]
        seeds = cut_parts(dealer.payload["lengths"], dealer.blob)
        bodies = {node: Body(name, seeds.get(node, b"")) for node in session.nodes}
        return _lists(self._each(Ask.LINK_LIST, bodies))

    def _raised(self, session: LinkSession, lists: _Lists) -> _Lists:
        """Every list once around; at each turn every node raises one."""
        for turn in range(1, len(session.nodes)):
            at = {session.ring_from(owner)[turn]: owner for owner in session.nodes}
            bodies = {
                node: Body(
                    {"session": session.digest, "list": lists[owner][0].to_json()},
                    lists[owner][1],
                )
                for node, owner in at.items()
            }
            raised = _lists(self._each(Ask.LINK_RAISE, bodies))
            lists = {at[node]: sent for node, sent in raised.items()}
        return lists

    def keep(self, facts: LinkageFacts, nodes: tuple[str, ...]) -> None:
        """Tell nodes that all of them learnt; who does not hear it is told when it is greeted."""
        self.link.ask_all(Ask.LINK_KEEP, nodes, all_learnt(facts), self.timeout_seconds)

    def _all(
        self, ask: Ask, session: LinkSession, payload: dict[str, Any], blob: bytes = b""
    ) -> dict[str, Body]:
        return self._each(ask, {node: Body(payload, blob) for node in session.nodes})

    def _each(self, ask: Ask, bodies: Mapping[str, Body]) -> dict[str, Body]:
        """What every node answered; raises Refused with the code of the first that did not."""
        answers = self.link.ask(ask, bodies, self.timeout_seconds)
        found: dict[str, Body] = {}
        for node, answer in answers.items():
            if isinstance(answer, Declined):
                _log.warning("linkage declined", node=node, ask=ask.value, code=answer.code.value)
                raise Refused(answer.code)
            found[node] = answer
        return found

    def _at(self) -> str:
        return instant_text(self.clock())


def linkage_json(facts: LinkageFacts) -> dict[str, Any]:
    """A linkage as people read it."""
    session = facts.session
    return {
        "session": facts.digest,
        "nodes": list(session.nodes),
        "fields": list(session.fields),
        "starts": session.starts,
        "ends": session.ends,
        "state": facts.state.value,
        "code": facts.code,
    }


def all_learnt(facts: LinkageFacts) -> dict[str, Any]:
    """What makes a node count by a linkage: every node's word that it learnt."""
    return {"session": facts.digest, "learnt": [each.to_json() for each in facts.learnt]}


def _lists(answers: Mapping[str, Body]) -> _Lists:
    return {
        node: (Envelope.from_json(body.payload["list"]), body.blob)
        for node, body in answers.items()
    }
