"""Mask keys prepared ahead: independent sets, each used for one attempt and never again."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from coordinator.node_link import Answer, Body, Declined, NodeLink
from privacy.contract.canonical import parse_canonical
from privacy.contract.messages import Ask
from privacy.contract.parts import cut_parts
from privacy.contract.signing import Envelope
from privacy.errors import BadInput, Code, Refused
from privacy.secure_sum.channel import split_sealed

SETS = 64
REFILL_BELOW = 24
TIMEOUT_SECONDS = 15.0

Group = tuple[str, ...]


@dataclass(frozen=True)
class Margin:
    """What fixes a group's secret sharing beside its members."""

    roster: str
    t_drop: int
    t_collude: int


@dataclass(frozen=True)
class PreparedSet:
    """One set in use: its index, the adverts, and each node's sealed shares from its peers."""

    index: int
    sessions: tuple[str, ...]
    adverts: dict[str, Envelope]
    sealed: dict[str, dict[str, bytes]]  # recipient -> sender -> bytes


@dataclass
class _Batch:
    adverts: dict[str, Envelope]
    sessions: tuple[str, ...]
    sealed: dict[str, dict[str, list[bytes]]]  # recipient -> sender -> per set
    next: int = 0

    @property
    def left(self) -> int:
        return SETS - self.next


@dataclass
class KeyStock:
    """Prepared batches by group; a batch lost at a node is dropped and prepared anew."""

    link: NodeLink
    _batches: dict[tuple[Group, Margin], _Batch] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _preparing: threading.Lock = field(default_factory=threading.Lock)

    def take(self, group: Group, margin: Margin) -> PreparedSet:
        """The next unused set; prepares a batch when there is none. Raises Refused."""
        while True:
            with self._lock:
                batch = self._batches.get((group, margin))
                if batch is not None and batch.left > 0:
                    return _next_set(batch)
            self.prepare(group, margin)

    def needs_refill(self, group: Group, margin: Margin) -> bool:
        with self._lock:
            batch = self._batches.get((group, margin))
            return batch is None or batch.left < REFILL_BELOW

    def drop(self, group: Group, margin: Margin) -> None:
        """Forget a batch that some node no longer holds."""
        with self._lock:
            self._batches.pop((group, margin), None)

    def drop_node(self, node: str) -> None:
        """Forget every batch with `node` in it, for instance after it restarted."""
        with self._lock:
            for key in [key for key in self._batches if node in key[0]]:
                del self._batches[key]

    def prepare(self, group: Group, margin: Margin) -> None:
        """Two message rounds: advertise keys, then exchange sealed shares."""
        with self._preparing:
            if not self.needs_refill(group, margin):
                return
            batch = self._prepare(group, margin)
            with self._lock:
                self._batches[group, margin] = batch

    def _prepare(self, group: Group, margin: Margin) -> _Batch:
        wish = {
            "group": list(group),
            "roster": margin.roster,
            "t_drop": margin.t_drop,
            "t_collude": margin.t_collude,
            "sets": SETS,
        }
        first = self.link.ask_all(Ask.PREPARE_KEYS, group, wish, TIMEOUT_SECONDS)
        adverts = {node: _advert(node, body) for node, body in _all(first)}
        everyone = {node: advert.to_json() for node, advert in adverts.items()}
        sessions = tuple(_session(node, adverts[node]) for node in group)
        wishes = {
            node: Body({"adverts": everyone, "session": session})
            for node, session in zip(group, sessions, strict=True)
        }
        second = self.link.ask(Ask.PREPARE_SHARES, wishes, TIMEOUT_SECONDS)
        sealed: dict[str, dict[str, list[bytes]]] = {node: {} for node in group}
        for sender, body in _all(second):
            for recipient, pieces in _shares(sender, body, group).items():
                sealed[recipient][sender] = pieces
        return _Batch(adverts, sessions, sealed)


def _advert(node: str, body: Body) -> Envelope:
    try:
        return Envelope.from_json(body.payload.get("advert"))
    except BadInput:
        raise Refused(Code.KEYS_NOT_READY, node=node) from None


def _session(node: str, advert: Envelope) -> str:
    try:
        return str(parse_canonical(advert.body)["session"])
    except (KeyError, TypeError):
        raise Refused(Code.KEYS_NOT_READY, node=node) from None


def _shares(sender: str, body: Body, group: Group) -> dict[str, list[bytes]]:
    """One sealed piece per set for every peer of `sender`."""
    try:
        blobs = cut_parts(body.payload.get("lengths", {}), body.blob)
        pieces = {recipient: split_sealed(blob) for recipient, blob in blobs.items()}
    except (BadInput, TypeError):
        pieces = {}
    complete = all(len(each) == SETS for each in pieces.values())
    if set(pieces) != set(group) - {sender} or not complete:
        raise Refused(Code.KEYS_NOT_READY, node=sender)
    return pieces


def _next_set(batch: _Batch) -> PreparedSet:
    index = batch.next
    batch.next += 1
    sealed = {
        recipient: {sender: blobs[index] for sender, blobs in senders.items()}
        for recipient, senders in batch.sealed.items()
    }
    return PreparedSet(index, batch.sessions, batch.adverts, sealed)


def _all(answers: dict[str, Answer]) -> list[tuple[str, Body]]:
    """Every node's answer, or the first refusal raised."""
    for node, answer in answers.items():
        if isinstance(answer, Declined):
            raise Refused(answer.code, **{**answer.fields, "node": node})
    return [(node, answer) for node, answer in answers.items() if isinstance(answer, Body)]
