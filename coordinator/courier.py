"""Carries packets to nodes and their replies back, over any Flower Grid (public API only).

Callers ask at the same time from many threads. While messages to a node are under way, further
packets for it wait together and leave as one message: fifty questions cost what one costs. A few
messages per node may be under way at once, so a slow one does not hold up the rest; work that is
expected to take long travels by itself. A node that does not answer delays nobody beyond the
caller's own timeout.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field

import service.flower_env  # noqa: F401  (first: flwr reads the environment when imported)

# isort: split
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from privacy.contract.packet import (
    MAX_PACKETS,
    MESSAGE_TYPE,
    RECORD,
    Packet,
    pack,
    unpack_replies,
)
from privacy.errors import BadInput, Code

MAX_BATCH_BYTES = 16 * 2**20
SHORT_FLIGHTS = 3
LONG_FLIGHTS = 2
LONG_SECONDS = 30.0

# Flower's codes for an error made by the link itself, not by the node.
NODE_UNAVAILABLE = 5
MESSAGE_UNAVAILABLE = (3, 4)


@dataclass(frozen=True)
class NodeError:
    """Why a node's reply is missing, by catalogue code."""

    node: str
    code: Code


Answer = Packet | Code


@dataclass(frozen=True)
class _Parcel:
    packet: Packet
    deadline: float
    answer: Future[Answer] = field(default_factory=Future)


class Courier:
    """Asks nodes, by name. `locate` gives a name's present Flower node id, None when unknown."""

    def __init__(
        self,
        grid: Grid,
        locate: Callable[[str], int | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._grid = grid
        self._locate = locate
        self._clock = clock
        self._lock = threading.Lock()
        self._lanes: dict[tuple[str, bool], _Lane] = {}

    def ask(
        self, packets: Mapping[str, Packet], timeout_seconds: float
    ) -> dict[str, Packet | NodeError]:
        """Send each node its packet and wait for the replies, at most `timeout_seconds`.

        Every name in `packets` is in the result: with a reply, or with the reason there is none
        (NODE_OFFLINE; ATTEMPT_LOST when time ran out; else the code the node gave).
        """
        deadline = self._clock() + timeout_seconds
        parcels = {node: _Parcel(packet, deadline) for node, packet in packets.items()}
        for node, parcel in parcels.items():
            self._lane(node, timeout_seconds > LONG_SECONDS).post(parcel)
        answers = {node: self._await(parcel) for node, parcel in parcels.items()}
        return {
            node: answer if isinstance(answer, Packet) else NodeError(node, answer)
            for node, answer in answers.items()
        }

    def _await(self, parcel: _Parcel) -> Answer:
        try:
            return parcel.answer.result(max(0.0, parcel.deadline - self._clock()))
        except FutureTimeout:
            parcel.answer.cancel()
            return Code.ATTEMPT_LOST

    def _lane(self, node: str, long: bool) -> _Lane:
        with self._lock:
            if (node, long) not in self._lanes:
                self._lanes[node, long] = _Lane(
                    lambda parcels: self._carry(node, parcels),
                    flights=LONG_FLIGHTS if long else SHORT_FLIGHTS,
                    max_packets=1 if long else MAX_PACKETS,
                )
            return self._lanes[node, long]

    def _carry(self, node: str, parcels: Sequence[_Parcel]) -> None:
        answers = self._exchange(node, parcels)
        for parcel, answer in zip(parcels, answers, strict=True):
            parcel.answer.set_result(answer)

    def _exchange(self, node: str, parcels: Sequence[_Parcel]) -> Sequence[Answer]:
        """One message there and back: an answer for every parcel."""
        seconds = max(parcel.deadline for parcel in parcels) - self._clock()
        node_id = self._locate(node)
        if node_id is None:
            return [Code.NODE_OFFLINE] * len(parcels)
        record = ConfigRecord(dict(pack([parcel.packet for parcel in parcels])))
        message = self._grid.create_message(
            RecordDict({RECORD: record}), MESSAGE_TYPE, node_id, "", ttl=max(seconds, 0.1)
        )
        replies = list(self._grid.send_and_receive([message], timeout=seconds))
        if not replies:
            timed_out = self._clock() >= max(parcel.deadline for parcel in parcels)
            code = Code.ATTEMPT_LOST if timed_out else Code.NODE_OFFLINE
            return [code] * len(parcels)
        return _read(replies[0], len(parcels))


class _Lane:
    """What waits for one node, and how many messages to it are under way."""

    def __init__(
        self, carry: Callable[[Sequence[_Parcel]], None], flights: int, max_packets: int
    ) -> None:
        self._carry = carry
        self._free = flights
        self._max_packets = max_packets
        self._lock = threading.Lock()
        self._waiting: deque[_Parcel] = deque()

    def post(self, parcel: _Parcel) -> None:
        with self._lock:
            self._waiting.append(parcel)
            if self._free == 0:
                return
            self._free -= 1
        threading.Thread(target=self._fly, name="courier", daemon=True).start()

    def _fly(self) -> None:
        while batch := self._load():
            try:
                self._carry(batch)
            finally:
                for parcel in batch:
                    if not parcel.answer.done():
                        parcel.answer.set_result(Code.INTERNAL)

    def _load(self) -> list[_Parcel]:
        """The next batch; an empty one ends the flight. Parcels nobody waits for are dropped."""
        batch: list[_Parcel] = []
        size = 0
        with self._lock:
            while self._waiting and len(batch) < self._max_packets:
                size += self._waiting[0].packet.size
                if batch and size > MAX_BATCH_BYTES:
                    break
                parcel = self._waiting.popleft()
                if parcel.answer.set_running_or_notify_cancel():
                    batch.append(parcel)
            self._free += not batch
        return batch


def _read(reply: Message, expected: int) -> Sequence[Answer]:
    if reply.has_error():
        return [_error_code(reply.error.code)] * expected
    record = reply.content.get(RECORD)
    if not isinstance(record, ConfigRecord):
        return [Code.INTERNAL] * expected
    try:
        answers = unpack_replies(record)
    except BadInput:
        return [Code.INTERNAL] * expected
    return answers if len(answers) == expected else [Code.INTERNAL] * expected


def _error_code(code: int) -> Code:
    if code == NODE_UNAVAILABLE:
        return Code.NODE_OFFLINE
    return Code.ATTEMPT_LOST if code in MESSAGE_UNAVAILABLE else Code.INTERNAL
