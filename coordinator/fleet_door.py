"""The one thing the network can reach: five Flower Fleet calls, as a small ASGI application.

Flower's own application also serves, on the same port and without authentication, the calls that
start runs and list nodes; and Fleet calls that let one node read or delete another's messages, or
fetch code. None of them exists here. A caller is authenticated (Flower's scheme: a timestamp
signed by its registered key) before a byte of its body is read.

`pull-messages` waits: the answer leaves the moment a message is there, or empty after a while.
A poll whose connection breaks, and is not followed by another, marks its node as offline.
"""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm

from coordinator.fleet_state import FleetState, nobody_waits

# isort: split
from flwr.common.constant import TIMESTAMP_HEADER, TIMESTAMP_TOLERANCE
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    ActivateNodeResponse,
    DeactivateNodeRequest,
    DeactivateNodeResponse,
    PullMessagesRequest,
    PullMessagesResponse,
    PushMessagesRequest,
    PushMessagesResponse,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest, SendNodeHeartbeatResponse
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.primitives.asymmetric import bytes_to_public_key, verify_signature
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = dict[bytes, bytes]

_PREFIX = "/v1/fleet/"
_PROTOBUF = b"application/protobuf"
_SMALL_BYTES = 4096
_IN_A_THREAD_BYTES = 2**20
_GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class Limits:
    """What one request may cost."""

    request_bytes: int = 64 * 2**20
    body_seconds: float = 60.0
    hold_seconds: float = 8.0
    connections: int = 512


class _Refusal(Exception):
    def __init__(self, status: HTTPStatus) -> None:
        self.status = status
        super().__init__(status)


class _Gone(Exception):
    """The caller hung up."""


class FleetDoor:
    """ASGI application in front of a FleetState."""

    def __init__(self, state: FleetState, limits: Limits) -> None:
        self._state = state
        self._limits = limits
        self._bells: dict[int, asyncio.Event] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.requests: Counter[str] = Counter()
        self._calls: dict[str, tuple[Any, int]] = {
            "activate-node": (ActivateNodeRequest, _SMALL_BYTES),
            "deactivate-node": (DeactivateNodeRequest, _SMALL_BYTES),
            "send-node-heartbeat": (SendNodeHeartbeatRequest, _SMALL_BYTES),
            "pull-messages": (PullMessagesRequest, _SMALL_BYTES),
            "push-messages": (PushMessagesRequest, limits.request_bytes),
        }
        state.on_message = self.wake

    def wake(self, node_id: int) -> None:
        """Let a node's waiting poll look again. From any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ring, node_id)

    def dismiss(self, node_id: int) -> None:
        """End a node's waiting poll with nothing. From any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._release, node_id)

    def close(self) -> None:
        """End every waiting poll. From any thread, once, before the server stops."""
        self._state.on_message = nobody_waits
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._release_all)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self._loop = asyncio.get_running_loop()
        try:
            status, body = HTTPStatus.OK, await self._answer(scope, receive)
        except _Refusal as refusal:
            status, body = refusal.status, b""
        except _Gone:
            return
        await _respond(send, status, body)

    async def _answer(self, scope: dict[str, Any], receive: Receive) -> bytes:
        name = scope["path"].removeprefix(_PREFIX)
        call = self._calls.get(name) if scope["path"].startswith(_PREFIX) else None
        self.requests[name if call else "other"] += 1
        if call is None:
            raise _Refusal(HTTPStatus.NOT_FOUND)
        request_type, max_bytes = call
        headers: Headers = dict(scope["headers"])
        _check_form(scope["method"], headers, max_bytes)
        public_key, node_id = self._authenticate(headers)
        body = await self._body(receive, max_bytes)
        request = _parse(request_type, body)
        if _claimed(request) not in (public_key, node_id):
            raise _Refusal(HTTPStatus.FORBIDDEN)
        response = await self._serve(node_id, request, receive)
        return bytes(response.SerializeToString())

    def _authenticate(self, headers: Headers) -> tuple[bytes, int]:
        try:
            public_key = b64decode(headers[FLEET_HTTP_PUBLIC_KEY_HEADER.encode()], validate=True)
            signature = b64decode(headers[FLEET_HTTP_SIGNATURE_HEADER.encode()], validate=True)
            timestamp = headers[TIMESTAMP_HEADER.encode()]
            node_id = self._state.node_id(public_key)
            age = (datetime.now(UTC) - datetime.fromisoformat(timestamp.decode())).total_seconds()
            holds = (
                node_id is not None
                and abs(age) <= TIMESTAMP_TOLERANCE
                and verify_signature(bytes_to_public_key(public_key), timestamp, signature)
            )
        except (KeyError, ValueError, TypeError, binascii.Error, UnsupportedAlgorithm):
            raise _Refusal(HTTPStatus.UNAUTHORIZED) from None
        if node_id is None or not holds:
            raise _Refusal(HTTPStatus.UNAUTHORIZED)
        return public_key, node_id

    async def _body(self, receive: Receive, max_bytes: int) -> bytes:
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                return await _read(receive, max_bytes)
        except TimeoutError:
            raise _Refusal(HTTPStatus.REQUEST_TIMEOUT) from None

    async def _serve(self, node_id: int, request: Any, receive: Receive) -> Any:
        match request:
            case ActivateNodeRequest():
                self._state.join(node_id)
                return ActivateNodeResponse(node_id=node_id)
            case DeactivateNodeRequest():
                self._state.leave(node_id)
                self._release(node_id)
                return DeactivateNodeResponse()
            case PushMessagesRequest():
                return await self._push(node_id, request)
            case PullMessagesRequest():
                return await self._pull(node_id, receive)
            case _:
                return SendNodeHeartbeatResponse(success=self._state.heard(node_id))

    async def _push(self, node_id: int, request: Any) -> Any:
        if len(request.messages_list) != 1:
            raise _Refusal(HTTPStatus.BAD_REQUEST)
        reply = request.messages_list[0]
        self._state.heard(node_id)
        try:
            if reply.ByteSize() > _IN_A_THREAD_BYTES:
                await asyncio.to_thread(self._state.answer, node_id, reply)
            else:
                self._state.answer(node_id, reply)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise _Refusal(HTTPStatus.BAD_REQUEST) from None
        return PushMessagesResponse()

    async def _pull(self, node_id: int, receive: Receive) -> Any:
        self._release(node_id)
        bell = self._bells[node_id] = asyncio.Event()
        hung_up = asyncio.ensure_future(_hang_up(receive))
        try:
            message = await self._wait(node_id, bell, hung_up)
        finally:
            hung_up.cancel()
            if self._bells.get(node_id) is bell:
                del self._bells[node_id]
        return PullMessagesResponse(messages_list=[message] if message else [])

    async def _wait(
        self, node_id: int, bell: asyncio.Event, hung_up: asyncio.Future[Any]
    ) -> Any | None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._limits.hold_seconds
        while self._bells.get(node_id) is bell:
            if (message := self._state.take(node_id)) is not None:
                return message
            bell.clear()
            rung: asyncio.Future[Any] = asyncio.ensure_future(bell.wait())
            done, _ = await asyncio.wait(
                {rung, hung_up}, timeout=until - loop.time(), return_when=asyncio.FIRST_COMPLETED
            )
            rung.cancel()
            if hung_up in done:
                loop.call_later(_GRACE_SECONDS, self._missed, node_id, self._state.clock())
                raise _Gone
            if not done:
                break
        return None

    def _missed(self, node_id: int, since: float) -> None:
        if node_id not in self._bells and not self._state.heard_since(node_id, since):
            self._state.leave(node_id)

    def _ring(self, node_id: int) -> None:
        if (bell := self._bells.get(node_id)) is not None:
            bell.set()

    def _release(self, node_id: int) -> None:
        if (bell := self._bells.pop(node_id, None)) is not None:
            bell.set()

    def _release_all(self) -> None:
        for node_id in list(self._bells):
            self._release(node_id)


def _check_form(method: str, headers: Headers, max_bytes: int) -> None:
    if method != "POST":
        raise _Refusal(HTTPStatus.METHOD_NOT_ALLOWED)
    if headers.get(b"content-type") != _PROTOBUF:
        raise _Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    length = headers.get(b"content-length", b"")
    if not length.isdigit():
        raise _Refusal(HTTPStatus.LENGTH_REQUIRED)
    if len(length) > 12 or int(length) > max_bytes:
        raise _Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


async def _read(receive: Receive, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise _Gone
        part = event.get("body", b"")
        size += len(part)
        if size > max_bytes:
            raise _Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        parts.append(part)
        if not event.get("more_body", False):
            return b"".join(parts)


def _parse(request_type: Any, body: bytes) -> Any:
    request = request_type()
    try:
        request.ParseFromString(body)
    except DecodeError:
        raise _Refusal(HTTPStatus.BAD_REQUEST) from None
    return request


def _claimed(request: Any) -> bytes | int:
    """Who the request says it is from: a key when a node joins, a node id afterwards."""
    match request:
        case ActivateNodeRequest():
            return bytes(request.public_key)
        case DeactivateNodeRequest():
            return int(request.node_id)
        case _:
            return int(request.node.node_id)


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _respond(send: Send, status: HTTPStatus, body: bytes) -> None:
    headers = [(b"content-type", _PROTOBUF), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body})
