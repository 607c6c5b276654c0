"""Flower's Grid in one process: ClientApps in threads, every message through the wire format.

For tests of whole rounds. Bytes are counted per node and, when asked, kept, so that a test can
look for what must not be there; a `faults` function decides what becomes of each message.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import service.flower_env  # noqa: F401  (first: flwr reads the environment when imported)

# isort: split
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity


@dataclass(frozen=True)
class Fault:
    """What becomes of one message on its way to a node, and of the reply."""

    offline: bool = False  # the link says at once that the node is not there
    lose_request: bool = False  # the node never sees it
    lose_reply: bool = False  # the node did the work, nobody hears
    deliveries: int = 1  # how many times the node gets it; the last reply counts
    delay_seconds: float = 0.0  # before the node gets it


Faults = Callable[[int, int], Fault]  # (node id, how many messages it was sent before) -> Fault
NO_FAULT = Fault()


def no_faults(node_id: int, nth: int) -> Fault:
    return NO_FAULT


class InProcessGrid(Grid):
    """`apps` by Flower node id. Thread-safe; may be stopped and changed while in use."""

    def __init__(
        self,
        apps: Mapping[int, ClientApp],
        *,
        faults: Faults = no_faults,
        workers: int = 16,
        keep_wire: bool = False,
    ) -> None:
        self.apps = dict(apps)
        self.faults = faults
        self.bytes_down: Counter[int] = Counter()
        self.bytes_up: Counter[int] = Counter()
        self.messages: Counter[int] = Counter()
        self.wire: list[bytes] | None = [] if keep_wire else None
        self._pool = ThreadPoolExecutor(workers)
        self._under_way: dict[str, Future[Message | None]] = {}
        self._lock = threading.Lock()
        self._run = Run.create_empty(1)
        TaskIdentity.task_id, TaskIdentity.run_id = 1, 1
        TaskIdentity.node_id = SUPERLINK_NODE_ID

    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        return sorted(self.apps)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        ids = []
        for message in messages:
            message_id = secrets.token_hex(16)
            message.metadata.__dict__["_message_id"] = message_id
            with self._lock:
                nth = self.messages[message.metadata.dst_node_id]
                self.messages[message.metadata.dst_node_id] += 1
                self._under_way[message_id] = self._pool.submit(self._carry, message, nth)
            ids.append(message_id)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        with self._lock:
            done = [i for i in message_ids if i in self._under_way and self._under_way[i].done()]
            replies = [self._under_way.pop(message_id).result() for message_id in done]
        return [reply for reply in replies if reply is not None]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        end = time.monotonic() + (timeout if timeout is not None else 3600.0)
        wanted = set(self.push_messages(messages))
        replies: list[Message] = []
        while wanted and time.monotonic() < end:
            arrived = self.pull_messages(wanted)
            replies += arrived
            wanted -= {reply.metadata.reply_to_message_id for reply in arrived}
            if wanted:
                time.sleep(0.0005)
        return replies

    def _carry(self, message: Message, nth: int) -> Message | None:
        node_id = message.metadata.dst_node_id
        fault = self.faults(node_id, nth)
        if fault.offline or node_id not in self.apps:
            return Message(Error(ErrorCode.NODE_UNAVAILABLE), reply_to=message)
        time.sleep(fault.delay_seconds)
        if fault.lose_request:
            return None
        reply = None
        for _ in range(fault.deliveries):
            reply = self._deliver(node_id, message)
        return None if fault.lose_reply else reply

    def _deliver(self, node_id: int, message: Message) -> Message:
        message = self._over_the_wire(message, self.bytes_down)
        context = Context(
            run_id=1, node_id=node_id, node_config={}, state=RecordDict(), run_config={}
        )
        reply = self.apps[node_id](message=message, context=context)
        return self._over_the_wire(reply, self.bytes_up, node_id)

    def _over_the_wire(
        self, message: Message, count: Counter[int], node_id: int | None = None
    ) -> Message:
        data = message_to_proto(message).SerializeToString()
        with self._lock:
            count[message.metadata.dst_node_id if node_id is None else node_id] += len(data)
            if self.wire is not None:
                self.wire.append(data)
        return message_from_proto(ProtoMessage.FromString(data))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
