"""The node's agent: takes messages from the coordinator and runs one locally built ClientApp.

What arrives is data, never code: there is no call here, nor in the link, that fetches an app
bundle. A message for another node, of another type, or seen before is not run. An exception in
the app becomes an error without text.

    pull ──▶ desk ──▶ worker ──▶ push        one thread waits for messages, several answer them
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from http import HTTPStatus
from pathlib import Path
from queue import SimpleQueue

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from node.fleet_link import FleetLink, LinkLost
from service.flower_env import settle

# isort: split
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode

from privacy.contract.packet import MESSAGE_TYPE
from service.logs import whereabouts

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 3.0
BUSY_HEARTBEAT_SECONDS = 5.0
DRAIN_SECONDS = 5.0
PUSH_WAITS_SECONDS = (0.1, 0.5, 2.0, 5.0)
REMEMBERED_MESSAGES = 4096

_log = logging.getLogger(__name__)


class FlowerAgent:
    """Answers the coordinator with `app` until told to stop; survives the coordinator."""

    def __init__(
        self,
        superlink: str,
        ca_path: Path,
        key: EllipticCurvePrivateKey,
        app: ClientApp,
        workers: int = 4,
    ) -> None:
        self._superlink = superlink
        self._ca_path = ca_path
        self._key = key
        self._app = app
        self._workers = workers
        self._wait_seconds = FIRST_WAIT_SECONDS
        self._connected = threading.Event()

    @property
    def connected(self) -> bool:
        """Whether the coordinator has accepted this node and no call has failed since."""
        return self._connected.is_set()

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set; then finish what is under way and say goodbye.

        A signal handler that sets `stop` is all that a clean end on SIGTERM needs.
        Raises OSError when the CA file cannot be read; nothing the network does raises.
        """
        settle()
        with FleetLink(self._superlink, self._ca_path, self._key) as link:
            desk = _Desk(link, self._app, self._workers)
            served = threading.Event()
            leave = (link, desk, stop, served)
            goodbye = threading.Thread(target=_say_goodbye, args=leave, daemon=True)
            goodbye.start()
            while not stop.is_set():
                self._serve_until_lost(link, desk, stop)
            served.set()
            goodbye.join(DRAIN_SECONDS + 3.0)
            desk.close()
        self._connected.clear()

    def _serve_until_lost(self, link: FleetLink, desk: _Desk, stop: threading.Event) -> None:
        try:
            link.activate()
            self._connected.set()
            self._serve(link, desk, stop)
        except LinkLost as lost:
            self._connected.clear()
            _log.warning("no link to the coordinator (%s)", lost)
            stop.wait(self._wait_seconds)
            self._wait_seconds = min(2 * self._wait_seconds, LONGEST_WAIT_SECONDS)

    def _serve(self, link: FleetLink, desk: _Desk, stop: threading.Event) -> None:
        while not stop.is_set():
            if not desk.has_room(BUSY_HEARTBEAT_SECONDS):
                link.heartbeat()
                continue
            message = None
            try:
                message = None if stop.is_set() else link.pull()
            finally:
                desk.take(message)  # gives the worker back when the link is lost
            self._wait_seconds = FIRST_WAIT_SECONDS


def _say_goodbye(
    link: FleetLink, desk: _Desk, stop: threading.Event, served: threading.Event
) -> None:
    """Ends the open poll too; said again in case a poll, or joining, set out just before it."""
    stop.wait()
    desk.drain(DRAIN_SECONDS)
    heard = _goodbye_heard(link)
    while not served.wait(0.2):
        heard = _goodbye_heard(link)
    if not heard and not _goodbye_heard(link):
        _log.info("the coordinator was not there to say goodbye to")


def _goodbye_heard(link: FleetLink) -> bool:
    try:
        link.deactivate()
    except LinkLost:
        return False
    return True


class _Desk:
    """Messages under way: at most one per worker, each message once."""

    def __init__(self, link: FleetLink, app: ClientApp, workers: int) -> None:
        self._link = link
        self._app = app
        self._workers = workers
        self._room = threading.Semaphore(workers)
        self._queue: SimpleQueue[Message | None] = SimpleQueue()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._closed = threading.Event()
        self._idle = threading.Condition()
        self._under_way = 0
        for number in range(workers):
            name = f"flower-worker-{number}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def has_room(self, timeout_seconds: float) -> bool:
        """Reserve a worker; the next `take` uses it."""
        return self._room.acquire(timeout=timeout_seconds)

    def take(self, message: Message | None) -> None:
        """Give a message to the reserved worker, unless it is none of this node's business."""
        if message is None or not self._is_ours(message) or not self._is_new(message):
            self._room.release()
            return
        with self._idle:
            self._under_way += 1
        self._queue.put(message)

    def drain(self, timeout_seconds: float) -> None:
        """Wait until nothing is under way, at most this long."""
        with self._idle:
            self._idle.wait_for(lambda: self._under_way == 0, timeout_seconds)

    def close(self) -> None:
        """End the workers; one that is still busy ends with its message."""
        self._closed.set()
        for _ in range(self._workers):
            self._queue.put(None)

    def _is_ours(self, message: Message) -> bool:
        metadata = message.metadata
        return (
            metadata.dst_node_id == self._link.node_id
            and metadata.src_node_id == SUPERLINK_NODE_ID
            and not metadata.reply_to_message_id
        )

    def _is_new(self, message: Message) -> bool:
        message_id = message.metadata.message_id
        if message_id in self._seen:
            return False
        self._seen[message_id] = None
        if len(self._seen) > REMEMBERED_MESSAGES:
            self._seen.popitem(last=False)
        return True

    def _work(self) -> None:
        while (message := self._queue.get()) is not None:
            try:
                self._push(message, _run(self._app, message))
            finally:
                self._done()

    def _done(self) -> None:
        with self._idle:
            self._under_way -= 1
            self._idle.notify_all()
        self._room.release()

    def _push(self, message: Message, reply: Message) -> None:
        """Hand in a reply; a link that is down is tried again, an oversize reply is an error."""
        for wait_seconds in (*PUSH_WAITS_SECONDS, 0.0):
            try:
                self._link.push(reply)
            except LinkLost as lost:
                _log.warning("a reply could not be handed in (%s)", lost)
                if lost.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                    reply = _error(message)
            else:
                return
            self._closed.wait(wait_seconds)


def _run(app: ClientApp, message: Message) -> Message:
    if message.metadata.message_type != MESSAGE_TYPE or not message.has_content():
        return _error(message)
    context = Context(
        run_id=message.metadata.run_id,
        node_id=message.metadata.dst_node_id,
        node_config={},
        state=RecordDict(),
        run_config={},
    )
    try:
        reply = app(message=message, context=context)
    except Exception as error:  # noqa: BLE001  (the node's job boundary)
        _log.error("the app failed: %s", whereabouts(error))
        return _error(message)
    return reply if reply.has_content() else _error(message)


def _error(message: Message) -> Message:
    return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION), reply_to=message)
