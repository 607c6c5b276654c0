"""Flower's Fleet protocol from the node's side: five calls over one HTTPS client.

flwr's own client fetches the app bundle, retries for ever, exits the process when a connection
cannot be made and sends itself SIGINT on a 401. This one speaks the same messages (`flwr.proto`),
knows no call that fetches code, and turns every failure into `LinkLost`.
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

import service.flower_env  # noqa: F401  (first: flwr reads the environment when imported)

# isort: split
from flwr.app import Message
from flwr.common.constant import HEARTBEAT_MIN_INTERVAL, TIMESTAMP_HEADER
from flwr.common.serde import message_from_proto, message_to_proto
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
from flwr.proto.node_pb2 import Node
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.primitives.asymmetric import public_key_to_bytes, sign_message
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from privacy.contract.canonical import b64
from privacy.errors import CairnError

MAX_REPLY_BYTES = 256 * 2**20
POLL_TIMEOUT_SECONDS = 15.0  # the coordinator holds an empty poll for eight seconds
_PROTOBUF = "application/protobuf"

_Response = TypeVar("_Response")


class LinkLost(CairnError):
    """The coordinator cannot be reached, or refuses this node; `status` is its HTTP answer."""

    def __init__(self, what: str, status: int = 0) -> None:
        self.status = status
        super().__init__(what)


class FleetLink:
    """One node's connection to the coordinator. Safe to use from several threads."""

    def __init__(self, superlink: str, ca_path: Path, key: EllipticCurvePrivateKey) -> None:
        self._key = key
        self._public = public_key_to_bytes(key.public_key())
        self._node = Node()
        self._http = httpx.Client(
            base_url=f"https://{superlink}/v1/fleet/",
            verify=_trust_only(ca_path),
            trust_env=False,
            timeout=httpx.Timeout(30.0, connect=5.0, pool=5.0),
            limits=httpx.Limits(max_keepalive_connections=8, keepalive_expiry=60.0),
            event_hooks={"response": [_refuse_oversize]},
        )

    @property
    def node_id(self) -> int:
        return int(self._node.node_id)

    def activate(self) -> None:
        """Say that this node is here; learn the number it is addressed by."""
        request = ActivateNodeRequest(
            public_key=self._public, heartbeat_interval=HEARTBEAT_MIN_INTERVAL
        )
        answer = self._call("activate-node", request, ActivateNodeResponse)
        self._node = Node(node_id=answer.node_id)

    def pull(self) -> Message | None:
        """Wait for a message; None when the coordinator had none to give or it is unreadable."""
        request = PullMessagesRequest(node=self._node)
        answer = self._call("pull-messages", request, PullMessagesResponse, POLL_TIMEOUT_SECONDS)
        if not answer.messages_list:
            return None
        try:
            return message_from_proto(answer.messages_list[0])
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def push(self, reply: Message) -> None:
        """Hand in a reply. The same reply may be handed in again: the coordinator keeps one."""
        if not reply.metadata.message_id:
            reply.metadata.__dict__["_message_id"] = secrets.token_hex(32)
        request = PushMessagesRequest(node=self._node, messages_list=[message_to_proto(reply)])
        self._call("push-messages", request, PushMessagesResponse)

    def heartbeat(self) -> None:
        """Say that this node is alive while it is too busy to poll."""
        request = SendNodeHeartbeatRequest(
            node=self._node, heartbeat_interval=HEARTBEAT_MIN_INTERVAL
        )
        self._call("send-node-heartbeat", request, SendNodeHeartbeatResponse, 5.0)

    def deactivate(self) -> None:
        """Say goodbye; the coordinator ends this node's open poll at once."""
        request = DeactivateNodeRequest(node_id=self._node.node_id)
        self._call("deactivate-node", request, DeactivateNodeResponse, 2.0)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(
        self,
        path: str,
        request: Any,
        response: Callable[[], _Response],
        seconds: float | None = None,
    ) -> _Response:
        timeout = self._http.timeout if seconds is None else httpx.Timeout(seconds, connect=5.0)
        content = request.SerializeToString()
        try:
            reply = self._http.post(path, content=content, headers=self._sign(), timeout=timeout)
        except (httpx.HTTPError, ssl.SSLError, RuntimeError) as error:
            raise LinkLost(f"{path}: {type(error).__name__}") from error
        if reply.status_code != httpx.codes.OK:
            raise LinkLost(f"{path}: HTTP {reply.status_code}", reply.status_code)
        answer: Any = response()
        try:
            answer.ParseFromString(reply.content)
        except DecodeError:
            raise LinkLost(f"{path}: unreadable answer") from None
        return answer  # type: ignore[no-any-return]

    def _sign(self) -> dict[str, str]:
        timestamp = datetime.now(UTC).isoformat()
        return {
            "content-type": _PROTOBUF,
            FLEET_HTTP_PUBLIC_KEY_HEADER: b64(self._public),
            TIMESTAMP_HEADER: timestamp,
            FLEET_HTTP_SIGNATURE_HEADER: b64(sign_message(self._key, timestamp.encode())),
        }


def _trust_only(ca_path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cafile=str(ca_path))
    return context


def _refuse_oversize(response: httpx.Response) -> None:
    """Runs before the body is read: an answer of unknown or excessive length is not."""
    length = response.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > MAX_REPLY_BYTES:
        raise httpx.RemoteProtocolError("answer too large")
