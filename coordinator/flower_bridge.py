"""The coordinator's side of Flower: a SuperLink's state and Fleet calls inside this process.

    Courier ──▶ EmbeddedGrid (Flower's public Grid) ──▶ FleetState ◀── FleetDoor ◀── nodes (TLS)

State is in memory: after a restart nodes join again and what was under way is lost, which the
rounds above treat like any lost attempt.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from service.flower_env import settle

# isort: split
from flwr.app import Message, RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.serverapp import Grid
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from coordinator.fleet_door import FleetDoor, Limits
from coordinator.fleet_state import Contact, FleetState
from coordinator.fleet_tls import TlsFiles
from privacy.contract.canonical import unb64
from privacy.errors import BadInput, CairnError

RUN_HEARTBEAT_SECONDS = 15.0
START_SECONDS = 10.0
LOOK_AGAIN_SECONDS = 1.0


class EmbeddedGrid(Grid):  # type: ignore[misc]
    """Flower's Grid over a FleetState in the same process: no requests, no polling."""

    def __init__(self, state: FleetState) -> None:
        self._state = state
        self._run = state.run
        TaskIdentity.task_id = state.run.primary_task_id
        TaskIdentity.run_id = state.run.run_id
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
        return self._state.online()

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        return [self._state.send(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        return self._state.collect(message_ids)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Send, and wait for the replies; nothing of the exchange stays stored afterwards."""
        until = time.monotonic() + (timeout if timeout is not None else threading.TIMEOUT_MAX)
        wanted = {message_id for message_id in self.push_messages(messages) if message_id}
        news = self._state.watch(wanted)
        try:
            return self._receive(set(wanted), news, until)
        finally:
            self._state.unwatch(wanted)
            self._state.forget(wanted)

    def _receive(self, wanted: set[str], news: threading.Event, until: float) -> list[Message]:
        replies: list[Message] = []
        while wanted:
            news.clear()
            arrived = self._state.collect(wanted)
            replies += arrived
            wanted -= {reply.metadata.reply_to_message_id for reply in arrived}
            left = until - time.monotonic()
            if not wanted or left <= 0:
                break
            news.wait(min(left, LOOK_AGAIN_SECONDS))
        return replies


class FlowerBridge:
    """A running link. Keys are base64 SubjectPublicKeyInfo, as nodes print them."""

    def __init__(self, state: FleetState, door: FleetDoor, server: uvicorn.Server) -> None:
        self._state = state
        self._door = door
        self._server = server
        self._stopped = threading.Event()
        self._keys: dict[str, bytes] = {}
        self.grid = EmbeddedGrid(state)
        self._threads = [
            threading.Thread(target=server.run, name="fleet-door", daemon=True),
            threading.Thread(target=self._keep_alive, name="fleet-run", daemon=True),
        ]

    def allow(self, public_key: str) -> None:
        """Let the holder of a key in; raises BadInput unless it is an EC P-384 key."""
        pem = _pem(public_key)
        self._state.allow(pem)
        self._keys[public_key] = pem

    def forbid(self, public_key: str) -> None:
        """Refuse a key from now on; its open poll and messages end."""
        if (pem := self._keys.pop(public_key, None)) is not None:
            self._door.dismiss(self._state.forbid(pem))

    def nodes(self) -> dict[str, Contact]:
        """Every registered key: its Flower node id, last contact (monotonic), online or not."""
        contacts = self._state.contacts()
        return {text: contacts[pem] for text, pem in list(self._keys.items()) if pem in contacts}

    def locate(self, public_key: str) -> int | None:
        """The Flower node id of a key whose node has been heard of since the start, else None."""
        contact = self.nodes().get(public_key)
        return contact.node_id if contact and contact.last_contact is not None else None

    @property
    def port(self) -> int:
        """The port that is listened on, also when 0 was asked for."""
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    def held(self) -> dict[str, int]:
        """What is stored for messages under way (all zero when none is)."""
        return dict(self._state.held())

    def requests(self) -> dict[str, int]:
        """Requests answered so far, by call."""
        return dict(self._door.requests)

    def stop(self) -> None:
        """End polls and waiting senders, close the port."""
        self._stopped.set()
        self._door.close()
        self._state.end_run()
        self._server.should_exit = True
        for thread in self._threads:
            thread.join(5.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def begin(self) -> None:
        """Start listening; raises CairnError when the port cannot be had."""
        for thread in self._threads:
            thread.start()
        until = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._threads[0].is_alive() or time.monotonic() > until:
                raise CairnError("the Flower link could not start listening")
            time.sleep(0.005)

    def _keep_alive(self) -> None:
        while not self._stopped.wait(RUN_HEARTBEAT_SECONDS):
            self._state.keep_run_alive()


def start_bridge(
    host: str,
    port: int,
    tls: TlsFiles,
    node_keys: Iterable[str],
    *,
    limits: Limits | None = None,
    state_dir: Path | None = None,
) -> FlowerBridge:
    """Listen on `host`:`port` (0: any free one) for the holders of `node_keys`."""
    settle(state_dir)
    limits = limits or Limits()
    state = FleetState()
    door = FleetDoor(state, limits)
    bridge = FlowerBridge(state, door, uvicorn.Server(_config(door, host, port, tls, limits)))
    for key in node_keys:
        bridge.allow(key)
    bridge.begin()
    return bridge


def _config(door: FleetDoor, host: str, port: int, tls: TlsFiles, limits: Limits) -> uvicorn.Config:
    config = uvicorn.Config(
        door,
        host=host,
        port=port,
        ssl_certfile=tls.certificate,
        ssl_keyfile=str(tls.key),
        interface="asgi3",
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=90,
        timeout_graceful_shutdown=1,
    )
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    return config


def _pem(public_key: str) -> bytes:
    try:
        key = load_der_public_key(unb64(public_key))
    except ValueError:
        raise BadInput("not a node's transport key") from None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP384R1):
        raise BadInput("a node's transport key is an EC P-384 key")
    return bytes(public_key_to_bytes(key))
