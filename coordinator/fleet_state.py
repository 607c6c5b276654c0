"""Who is on the link and which messages are under way: flwr's in-memory LinkState, and its keeper.

Two threads meet here: the door (HTTP, asyncio) and the grid (the coordinator's own threads).
A message carries its content itself, so there is no object store for one node to read another's
messages from, and an exchange costs a node two requests. Message ids are random, so that none
can be guessed. Whatever a reply claims about its sender is replaced by what the door verified.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import service.flower_env  # noqa: F401  (first: flwr reads the environment when imported)

# isort: split
from flwr.app import Message, Metadata
from flwr.app.message.message import make_message
from flwr.common.constant import (
    HEARTBEAT_MIN_INTERVAL,
    NOOP_ACCOUNT_NAME,
    NOOP_FLWR_AID,
    SUPERLINK_NODE_ID,
    SubStatus,
)
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.server.superlink.linkstate.in_memory_linkstate import InMemoryLinkState
from flwr.supercore.constant import NOOP_FEDERATION_ID, TaskType
from flwr.supercore.object_store.in_memory_object_store import InMemoryObjectStore
from flwr.supercore.run import Run
from flwr.superlink.federation import NoOpFederationManager

Clock = Callable[[], float]


@dataclass(frozen=True)
class Contact:
    """Where a registered key is on the link: its Flower node id, and when it was last heard."""

    node_id: int
    last_contact: float | None  # time.monotonic(), None before the first call
    online: bool


def nobody_waits(node_id: int) -> None:
    """What to do about a new message when no door is open."""


class FleetState:
    """Nodes, and messages to and from them. Every method may be called from any thread."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self._link: Any = InMemoryLinkState(NoOpFederationManager(), InMemoryObjectStore())
        self._lock: threading.RLock = self._link.lock  # one lock for its dictionaries and ours
        self._ids: dict[bytes, int] = {}
        self._allowed: set[bytes] = set()
        self._heard: dict[int, float] = {}
        self._sent_again: set[str] = set()
        self._waiting: dict[str, threading.Event] = {}
        self.on_message: Callable[[int], None] = nobody_waits
        self.run = self._start_run()

    # -- the run: Flower keeps every message in one ------------------------------------------

    def _start_run(self) -> Run:
        run_id = self._link.create_run(
            "", "", "", {}, NOOP_FEDERATION_ID, None, NOOP_FLWR_AID, TaskType.SERVER_APP
        )
        run: Run = self._link.get_run_info(run_ids=[run_id])[0]
        self._link.claim_task(run.primary_task_id)
        self._link.activate_task(run.primary_task_id)
        return run

    def keep_run_alive(self) -> bool:
        """Flower ends a run that gives no sign of life for a minute."""
        return bool(self._link.acknowledge_task_heartbeat(self.run.primary_task_id))

    def end_run(self) -> None:
        """Drop every message, and let whoever waits for one find that out."""
        self._link.finish_task(self.run.primary_task_id, SubStatus.COMPLETED, "")
        self._link.cleanup_run(self.run.run_id)
        self._wake(set(self._waiting).__contains__)

    # -- keys and nodes ----------------------------------------------------------------------

    def allow(self, public_key: bytes) -> int:
        """Register a key (PEM); returns the node id it has had or gets now."""
        with self._lock:
            if public_key not in self._ids:
                self._ids[public_key] = self._link.create_node(
                    NOOP_FLWR_AID, NOOP_ACCOUNT_NAME, public_key, HEARTBEAT_MIN_INTERVAL
                )
            self._allowed.add(public_key)
            return self._ids[public_key]

    def forbid(self, public_key: bytes) -> int:
        """Refuse a key from now on; returns the node id it had."""
        with self._lock:
            self._allowed.discard(public_key)
            node_id = self._ids[public_key]
        self.leave(node_id)
        return node_id

    def node_id(self, public_key: bytes) -> int | None:
        """The node a key belongs to; None for a key that is not (or no longer) registered."""
        return self._ids[public_key] if public_key in self._allowed else None

    def contacts(self) -> dict[bytes, Contact]:
        """Every registered key."""
        with self._lock:
            online = self._link.get_nodes(self.run.run_id)
            allowed = {key: self._ids[key] for key in self._allowed}
            return {
                key: Contact(node_id, self._heard.get(node_id), node_id in online)
                for key, node_id in allowed.items()
            }

    def online(self) -> list[int]:
        """Ids of the nodes heard within the last two heartbeat intervals."""
        return sorted(self._link.get_nodes(self.run.run_id))

    # -- what a node does (called by the door, for a node whose key it has verified) -----------

    def join(self, node_id: int) -> None:
        """A node (re)starts: what was sent to it and not answered is sent once more."""
        with self._lock:
            self._link.deactivate_node(node_id)
            self._link.activate_node(node_id, HEARTBEAT_MIN_INTERVAL)
            self._heard[node_id] = self.clock()
            for message_id, message in self._link.message_ins_store.items():
                if message.metadata.dst_node_id == node_id and message_id not in self._sent_again:
                    self._sent_again.add(message_id)
                    message.metadata.delivered_at = ""

    def heard(self, node_id: int) -> bool:
        """A node gives a sign of life."""
        self._heard[node_id] = self.clock()
        return bool(self._link.acknowledge_node_heartbeat(node_id, HEARTBEAT_MIN_INTERVAL))

    def heard_since(self, node_id: int, moment: float) -> bool:
        """Whether a node gave a sign of life after `moment` (of `clock`)."""
        return self._heard.get(node_id, 0.0) > moment

    def leave(self, node_id: int) -> None:
        """A node said goodbye or its connection broke: its messages count as unanswered."""
        self._link.deactivate_node(node_id)
        with self._lock:
            sent = self._link.message_ins_store.items()
            mine = {key for key, item in sent if item.metadata.dst_node_id == node_id}
        self._wake(mine.__contains__)

    def take(self, node_id: int) -> Any | None:
        """The next message for a node, as Flower's protobuf with its content inside."""
        self.heard(node_id)
        messages = self._link.get_message_ins(node_id, limit=1, run_id=self.run.run_id)
        return message_to_proto(messages[0]) if messages else None

    def answer(self, node_id: int, proto: Any) -> bool:
        """Store a reply; False when it answers nothing that this node was asked.

        Raises ValueError, TypeError, KeyError or AttributeError when it cannot be read.
        """
        reply = message_from_proto(proto)
        asked_id = reply.metadata.reply_to_message_id
        with self._lock:
            asked = self._link.message_ins_store.get(asked_id)
            if asked is None or asked.metadata.dst_node_id != node_id:
                return False
            stored = self._link.store_message_res(_as_sent_by(node_id, asked, reply))
        self._wake(asked_id.__eq__)
        return stored is not None

    # -- what the grid does ------------------------------------------------------------------

    def send(self, message: Message) -> str:
        """Queue a message; returns its id, or "" when Flower refuses it (a node never seen)."""
        message.metadata.__dict__["_run_id"] = self.run.run_id
        message.metadata.__dict__["_message_id"] = secrets.token_hex(32)
        message_id = self._link.store_message_ins(message)
        if message_id is None:
            return ""
        self.on_message(message.metadata.dst_node_id)
        return str(message_id)

    def collect(self, message_ids: Iterable[str]) -> list[Message]:
        """Replies that are there, and errors for messages that can no longer be answered."""
        replies = self._link.get_message_res(set(message_ids), self.run.run_id)
        for reply in replies:
            self._link.object_store.delete(reply.metadata.message_id)
        self.forget(reply.metadata.reply_to_message_id for reply in replies)
        return list(replies)

    def forget(self, message_ids: Iterable[str]) -> None:
        """Delete messages and their replies; a later answer to one is dropped."""
        ids = set(message_ids)
        with self._lock:
            self._link.delete_messages(ids)
            self._sent_again -= ids

    def watch(self, message_ids: Iterable[str]) -> threading.Event:
        """An event that is set whenever `collect` may have something new for these ids."""
        event = threading.Event()
        with self._lock:
            self._waiting.update(dict.fromkeys(message_ids, event))
        return event

    def unwatch(self, message_ids: Iterable[str]) -> None:
        """Undo `watch`."""
        with self._lock:
            for message_id in message_ids:
                self._waiting.pop(message_id, None)

    def held(self) -> Mapping[str, int]:
        """How much is stored right now; all zero between exchanges."""
        return {
            "sent": self._link.num_message_ins(),
            "answers": self._link.num_message_res(),
            "objects": len(self._link.object_store),
            "again": len(self._sent_again),
            "waiting": len(self._waiting),
        }

    def _wake(self, concerned: Callable[[str], bool]) -> None:
        with self._lock:
            events = [event for key, event in self._waiting.items() if concerned(key)]
        for event in events:
            event.set()


def _as_sent_by(node_id: int, asked: Message, reply: Message) -> Message:
    """The reply with metadata made here: its sender is the key the door verified, its time ours."""
    now = time.time()
    metadata = Metadata(
        run_id=asked.metadata.run_id,
        message_id=secrets.token_hex(32),
        src_node_id=node_id,
        dst_node_id=SUPERLINK_NODE_ID,
        reply_to_message_id=asked.metadata.message_id,
        group_id=asked.metadata.group_id,
        created_at=now,
        ttl=asked.metadata.created_at + asked.metadata.ttl - now,
        message_type=asked.metadata.message_type,
    )
    metadata.delivered_at = ""
    if reply.has_error():
        return make_message(metadata, error=reply.error)
    return make_message(metadata, content=reply.content)
