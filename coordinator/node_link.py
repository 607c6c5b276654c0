"""Asking nodes: every request signed, every reply verified, whatever the transport did."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from privacy.contract.coordinator_key import CoordinatorKey
from privacy.contract.messages import Ask, Reply, open_reply, seal_request
from privacy.contract.packet import Packet
from privacy.contract.roster import Roster
from privacy.contract.signing import SigningKey
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.randomness import Entropy


@dataclass(frozen=True)
class Body:
    """What is said to one node, or what it answered: JSON and a binary part."""

    payload: dict[str, Any]
    blob: bytes = b""


@dataclass(frozen=True)
class Declined:
    """A node's refusal, or silence: a catalogue code with public fields."""

    code: Code
    fields: Mapping[str, str]


Answer = Body | Declined


def _is_stranger(answer: Answer) -> bool:
    """Whether a node did not know who asked."""
    return isinstance(answer, Declined) and answer.code is Code.BAD_SIGNATURE


class Carrier(Protocol):
    """Takes packets to nodes by id and brings back what came in time."""

    def ask(
        self, packets: Mapping[str, Packet], timeout_seconds: float
    ) -> Mapping[str, Packet | Code]: ...


class NodeLink:
    """The coordinator's side of the conversation with all nodes of a roster."""

    def __init__(
        self,
        carrier: Carrier,
        key: SigningKey,
        roster: Callable[[], Roster],
        entropy: Entropy,
        clock: Callable[[], datetime],
        changes: Callable[[], Sequence[CoordinatorKey]] = tuple,
    ) -> None:
        self._carrier = carrier
        self._key = key
        self._roster = roster
        self._entropy = entropy
        self._clock = clock
        self._changes = changes  # of the coordinator's key
        self._known: set[str] = set()  # nodes that were shown how it changed

    def ask(
        self, ask: Ask, bodies: Mapping[str, Body], timeout_seconds: float
    ) -> dict[str, Answer]:
        """Ask each node its own question at once. Never raises for what a node does.

        Who does not know this key is shown how it changed, and asked again.
        """
        self._known |= self._introduce(bodies.keys() - self._known, timeout_seconds)
        found = self._ask(ask, bodies, timeout_seconds)
        strange = {n for n, answer in found.items() if _is_stranger(answer)}
        followed = self._introduce(strange, timeout_seconds) if self._changes() else set()
        again = {node: bodies[node] for node in sorted(followed)}
        return found | (self._ask(ask, again, timeout_seconds) if again else {})

    def _introduce(self, nodes: Collection[str], timeout_seconds: float) -> set[str]:
        """Show nodes how this key came about, if it is not the first; those that follow it."""
        changes = self._changes() if nodes else ()
        if not changes:
            return set(nodes)
        shown = Body({"changes": [each.to_json() for each in changes]})
        told = self._ask(Ask.FOLLOW_KEY, dict.fromkeys(sorted(nodes), shown), timeout_seconds)
        return {node for node, answer in told.items() if isinstance(answer, Body)}

    def _ask(
        self, ask: Ask, bodies: Mapping[str, Body], timeout_seconds: float
    ) -> dict[str, Answer]:
        ids = {node: self._entropy(12).hex() for node in bodies}
        at = instant_text(self._clock())
        packets = {
            node: seal_request(
                self._key, node, ask, body.payload, body.blob, request_id=ids[node], at=at
            )
            for node, body in bodies.items()
        }
        replies = self._carrier.ask(packets, timeout_seconds)
        return {node: self._open(node, ids[node], replies.get(node)) for node in bodies}

    def ask_all(
        self, ask: Ask, nodes: tuple[str, ...], payload: dict[str, Any], timeout_seconds: float
    ) -> dict[str, Answer]:
        """Ask every node the same."""
        return self.ask(ask, {node: Body(payload) for node in nodes}, timeout_seconds)

    def _open(self, node: str, request_id: str, packet: Packet | Code | None) -> Answer:
        if packet is None:
            return Declined(Code.NODE_OFFLINE, {})
        if isinstance(packet, Code):
            return Declined(packet, {})
        try:
            reply: Reply = open_reply(packet, self._roster().keys[node], node, request_id)
        except Refused as refused:
            fields = {name: str(value) for name, value in refused.public_fields.items()}
            return Declined(refused.code, fields)
        except (VerificationFailed, BadInput, TypeError):  # TypeError: a field of no refusal
            return Declined(Code.BAD_SIGNATURE, {})
        return Body(reply.payload, packet.blob)
