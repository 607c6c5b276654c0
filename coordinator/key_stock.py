"""Mask keys prepared ahead: independent sets, each used for one attempt and never again.

A run of many rounds uses a set in each, one quickly after another, so a batch that runs low is
followed by the next one while the rounds go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import structlog

from coordinator.node_link import Answer, Body, Declined, NodeLink
from privacy.contract.canonical import b64, parse_canonical, unb64
from privacy.contract.messages import Ask
from privacy.contract.parts import cut_parts
from privacy.contract.signing import Envelope
from privacy.errors import BadInput, Code, Refused
from privacy.secure_sum.channel import split_sealed
from privacy.secure_sum.messages import MAX_SETS

SETS = 64
REFILL_BELOW = 24
TIMEOUT_SECONDS = 15.0

_log = structlog.get_logger("cairn.bridge")

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

    def to_json(self) -> dict[str, Any]:
        """What it takes to go on with an attempt; shares are sealed for their recipients."""
        return {
            "index": self.index,
            "sessions": list(self.sessions),
            "adverts": {node: advert.to_json() for node, advert in self.adverts.items()},
            "sealed": {
                node: {sender: b64(piece) for sender, piece in pieces.items()}
                for node, pieces in self.sealed.items()
            },
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            int(value["index"]),
            tuple(value["sessions"]),
            {node: Envelope.from_json(advert) for node, advert in value["adverts"].items()},
            {
                node: {sender: unb64(piece) for sender, piece in pieces.items()}
                for node, pieces in value["sealed"].items()
            },
        )


@dataclass
class _Batch:
    adverts: dict[str, Envelope]
    sessions: tuple[str, ...]
    sealed: dict[str, dict[str, list[bytes]]]  # recipient -> sender -> per set
    sets: int
    next: int = 0

    @property
    def left(self) -> int:
        return self.sets - self.next


_Key = tuple[Group, Margin]


def _not_ahead(_work: Callable[[], None]) -> None:
    return None


@dataclass
class KeyStock:
    """Prepared batches by group; batches lost at a node are dropped and prepared anew.

    `background` is handed the work of preparing the next batch while the last one is in use; by
    default that waits until there is none left.
    """

    link: NodeLink
    background: Callable[[Callable[[], None]], None] = _not_ahead
    _batches: dict[_Key, list[_Batch]] = field(default_factory=dict)
    _refilling: set[_Key] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _preparing: threading.Lock = field(default_factory=threading.Lock)

    def take(self, group: Group, margin: Margin) -> PreparedSet:
        """The next unused set; prepares a batch when there is none. Raises Refused."""
        while True:
            with self._lock:
                found = next((b for b in self._batches.get((group, margin), ()) if b.left), None)
                taken = None if found is None else _next_set(found)
            if taken is not None:
                self._look_ahead(group, margin)
                return taken
            self.prepare(group, margin)

    def left(self, group: Group, margin: Margin) -> int:
        """Sets that can be taken without asking anybody."""
        with self._lock:
            return sum(batch.left for batch in self._batches.get((group, margin), ()))

    def needs_refill(self, group: Group, margin: Margin) -> bool:
        return self.left(group, margin) < REFILL_BELOW

    def drop(self, group: Group, margin: Margin) -> None:
        """Forget batches that some node no longer holds."""
        with self._lock:
            self._batches.pop((group, margin), None)

    def drop_node(self, node: str) -> None:
        """Forget every batch with `node` in it, for instance after it restarted."""
        with self._lock:
            for key in [key for key in self._batches if node in key[0]]:
                del self._batches[key]

    def prepare(self, group: Group, margin: Margin) -> None:
        """One more batch if there are few sets left. Raises Refused."""
        self.provide(group, margin, REFILL_BELOW)

    def provide(self, group: Group, margin: Margin, sets: int) -> None:
        """Have at least so many sets (up to a batch of the largest size). Raises Refused.

        Two message rounds: advertise keys, then exchange sealed shares.
        """
        with self._preparing:
            missing = sets - self.left(group, margin)
            if missing <= 0:
                return
            batch = self._prepare(group, margin, min(max(SETS, missing), MAX_SETS))
            with self._lock:
                held = self._batches.get((group, margin), [])
                self._batches[group, margin] = [*(each for each in held if each.left), batch]

    def _look_ahead(self, group: Group, margin: Margin) -> None:
        """Begin the next batch in the background, unless that is under way."""
        if not self.needs_refill(group, margin):
            return
        with self._lock:
            if (group, margin) in self._refilling:
                return
            self._refilling.add((group, margin))
        self.background(lambda: self._refill(group, margin))

    def _refill(self, group: Group, margin: Margin) -> None:
        try:
            self.prepare(group, margin)
        except Refused as refused:
            _log.warning("keys could not be prepared", code=refused.code.value)
        finally:
            with self._lock:
                self._refilling.discard((group, margin))

    def _prepare(self, group: Group, margin: Margin, sets: int) -> _Batch:
        wish = {
            "group": list(group),
            "roster": margin.roster,
            "t_drop": margin.t_drop,
            "t_collude": margin.t_collude,
            "sets": sets,
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
            for recipient, pieces in _shares(sender, body, group, sets).items():
                sealed[recipient][sender] = pieces
        return _Batch(adverts, sessions, sealed, sets)


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


def _shares(sender: str, body: Body, group: Group, sets: int) -> dict[str, list[bytes]]:
    """One sealed piece per set for every peer of `sender`."""
    try:
        blobs = cut_parts(body.payload.get("lengths", {}), body.blob)
        pieces = {recipient: split_sealed(blob) for recipient, blob in blobs.items()}
    except (BadInput, TypeError):
        pieces = {}
    complete = all(len(each) == sets for each in pieces.values())
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
