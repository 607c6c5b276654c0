"""What the link must refuse: strangers, other authorities, other calls, bad bytes, forgeries."""

from __future__ import annotations

import hashlib
import ssl
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from coordinator.courier import NodeError
from coordinator.fleet_door import Limits
from coordinator.flower_bridge import FlowerBridge
from node.fleet_link import FleetLink, LinkLost
from node.transport_key import new_transport_key
from privacy.contract.packet import MESSAGE_TYPE, RECORD, Packet, pack, pack_replies
from privacy.errors import Code
from tests.support.echo_node import CANARY
from tests.support.fleet import Fleet, all_online, until

# isort: split
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.supercore.fab import Fab

CALLS = {
    "activate-node",
    "deactivate-node",
    "pull-messages",
    "push-messages",
    "send-node-heartbeat",
}
REFUSED_PATHS = (
    "/",
    "/health",
    "/docs",
    "/openapi.json",
    "/v1/control/start-run",
    "/v1/control/list-nodes",
    "/v1/runtime/acquire-task",
    "/v1/runtime/push-messages",
    "/v1/runtime/get-nodes",
    "/v1/fleet",
    "/v1/fleet/",
    "/v1/fleet/register-node",
    "/v1/fleet/unregister-node",
    "/v1/fleet/get-run",
    "/v1/fleet/get-fab",
    "/v1/fleet/pull-object",
    "/v1/fleet/push-object",
    "/v1/fleet/confirm-message-received",
    "/v1/fleet/../control/start-run",
    "/V1/FLEET/pull-messages",
)


class Caller:
    """A registered node's hand-made requests."""

    def __init__(self, fleet: Fleet, bridge: FlowerBridge) -> None:
        context = ssl.create_default_context(cafile=str(fleet.ca))
        self._connection = HTTPSConnection("127.0.0.1", bridge.port, timeout=8, context=context)
        with fleet.link("a", bridge.port) as link:
            self._headers = link._sign()

    def send(
        self, method: str, path: str, change: dict[str, str | None], body: bytes = b""
    ) -> tuple[int, bytes]:
        """Status and body of the answer; a change to None leaves a header out."""
        headers = self._headers | {"content-length": str(len(body))} | change
        self._connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            if value is not None:
                self._connection.putheader(name, value)
        self._connection.endheaders(body)
        answer = self._connection.getresponse()
        result = answer.status, answer.read()
        self._connection.close()
        return result


@pytest.fixture(scope="module")
def standing(fleet: Fleet) -> Iterator[FlowerBridge]:
    with fleet.bridge() as running:
        yield running


@pytest.fixture
def caller(fleet: Fleet, standing: FlowerBridge) -> Caller:
    return Caller(fleet, standing)


def test_an_unregistered_key_is_refused(fleet: Fleet, bridge: FlowerBridge) -> None:
    with FleetLink(f"127.0.0.1:{bridge.port}", fleet.ca, new_transport_key()) as stranger:
        for call in (stranger.activate, stranger.pull, stranger.heartbeat, stranger.deactivate):
            with pytest.raises(LinkLost) as refused:
                call()
            assert refused.value.status == 401


def test_a_coordinator_of_another_authority_is_refused(
    fleet: Fleet, bridge: FlowerBridge, tmp_path: Path
) -> None:
    other = Fleet.make(tmp_path, fleet.names)
    with (
        FleetLink(f"127.0.0.1:{bridge.port}", other.ca, fleet.keys["a"]) as link,
        pytest.raises(LinkLost, match="ConnectError"),
    ):
        link.activate()
    assert bridge.requests() == {}


def test_a_certificate_for_another_host_is_refused(fleet: Fleet, bridge: FlowerBridge) -> None:
    with (
        FleetLink(f"127.0.0.2:{bridge.port}", fleet.ca, fleet.keys["a"]) as link,
        pytest.raises(LinkLost, match="ConnectError"),
    ):
        link.activate()


@pytest.mark.parametrize("path", REFUSED_PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_but_five_calls_exists(caller: Caller, method: str, path: str) -> None:
    assert caller.send(method, path, {}) == (404, b"")


@pytest.mark.parametrize(
    ("call", "change", "body", "status"),
    [
        ("pull-messages", {}, b"\xff\xff", 400),
        ("pull-messages", {}, b"", 403),
        ("pull-messages", {}, bytes(5000), 413),
        ("push-messages", {"content-length": "99999999999"}, b"", 413),
        ("push-messages", {"content-length": "-1"}, b"", 400),
        ("push-messages", {"content-length": None, "transfer-encoding": "chunked"}, b"", 411),
        ("pull-messages", {"content-type": "application/json"}, b"", 415),
        ("pull-messages", {"content-type": None}, b"", 415),
        ("pull-messages", {"flwr-signature": "AAAA"}, b"", 401),
        ("pull-messages", {"flwr-signature": "%%%"}, b"", 401),
        ("pull-messages", {"flwr-signature": None}, b"", 401),
        ("pull-messages", {"flwr-timestamp": "2020-01-01T00:00:00+00:00"}, b"", 401),
        ("pull-messages", {"flwr-timestamp": "2020-01-01T00:00:00"}, b"", 401),
        ("pull-messages", {"flwr-timestamp": "yesterday"}, b"", 401),
        ("pull-messages", {"flwr-public-key": ""}, b"", 401),
    ],
)
def test_malformed_and_oversize_requests_get_a_clean_refusal(
    caller: Caller, call: str, change: dict[str, str | None], body: bytes, status: int
) -> None:
    got, text = caller.send("POST", f"/v1/fleet/{call}", change, body)
    assert got == status
    assert text in (b"", b"Invalid HTTP request received.")


def test_a_wrong_method_is_refused(caller: Caller) -> None:
    assert caller.send("GET", "/v1/fleet/pull-messages", {}) == (405, b"")


def test_a_stranger_is_refused_before_its_body_is_read(caller: Caller) -> None:
    change: dict[str, str | None] = {"flwr-signature": "AAAA", "content-length": "1000000"}
    assert caller.send("POST", "/v1/fleet/push-messages", change, b"x")[0] == 401


def test_a_body_that_never_ends_times_out(fleet: Fleet) -> None:
    with fleet.bridge(limits=Limits(body_seconds=0.2)) as bridge:
        caller = Caller(fleet, bridge)
        change: dict[str, str | None] = {"content-length": "10"}
        assert caller.send("POST", "/v1/fleet/push-messages", change, b"x")[0] == 408


def test_a_reply_too_large_for_the_coordinator_becomes_an_error(fleet: Fleet) -> None:
    with (
        fleet.bridge(limits=Limits(request_bytes=100_000)) as bridge,
        fleet.threads(bridge.port, names=["a"]),
    ):
        until(all_online(bridge, 1))
        answers = fleet.courier(bridge).ask({"a": Packet(b"grow:200000")}, 5)
    assert answers == {"a": NodeError("a", Code.INTERNAL)}


def test_no_exception_text_crosses(
    fleet: Fleet, bridge: FlowerBridge, caplog: pytest.LogCaptureFixture
) -> None:
    wire: list[bytes] = []
    answer = bridge._state.answer

    def listen(node_id: int, proto: Any) -> bool:
        wire.append(proto.SerializeToString())
        return answer(node_id, proto)

    bridge._state.answer = listen  # type: ignore[method-assign]
    with fleet.threads(bridge.port, names=["a"]):
        until(all_online(bridge, 1))
        failed = fleet.courier(bridge).ask({"a": Packet(b"fail")}, 5)
        refused = fleet.courier(bridge).ask({"a": Packet(b"refuse")}, 5)
    assert failed == {"a": NodeError("a", Code.INTERNAL)}
    assert refused == {"a": NodeError("a", Code.BUDGET_EXCEEDED)}
    assert len(wire) == 2
    assert not any(CANARY.encode() in data for data in wire)
    assert not any(b"ValueError" in data for data in wire)
    assert "ValueError at" in caplog.text
    assert CANARY not in caplog.text


def test_a_hostile_app_bundle_in_the_run_is_never_fetched(
    fleet: Fleet, bridge: FlowerBridge
) -> None:
    content = b"import os; os.system('touch /tmp/owned')"
    fab = Fab(hashlib.sha256(content).hexdigest(), content, {})
    bridge._state._link.store_fab(fab)
    bridge._state._link.run_ids[bridge.grid.run.run_id].run.fab_hash = fab.hash_str
    with fleet.threads(bridge.port, names=["a"]):
        until(all_online(bridge, 1))
        assert fleet.courier(bridge).ask({"a": Packet(b"x")}, 5) == {"a": Packet(b"x")}
    assert set(bridge.requests()) <= CALLS
    assert not [name for name in sys.modules if name.startswith("flwr.cli.install")]


def test_messages_of_another_type_or_for_another_node_are_not_run(
    fleet: Fleet, bridge: FlowerBridge
) -> None:
    ran: list[Packet] = []

    def handle(packet: Packet) -> Packet:
        ran.append(packet)
        return packet

    with fleet.threads(bridge.port, handle, names=["a"]):
        until(all_online(bridge, 1))
        node_id = bridge.grid.get_node_ids()[0]
        content = RecordDict({RECORD: ConfigRecord(dict(pack([Packet(b"x")])))})
        for kind in ("train", "evaluate", "query.other"):
            message = bridge.grid.create_message(content, kind, node_id, "", ttl=5.0)
            replies = bridge.grid.send_and_receive([message], timeout=5)
            assert [reply.error.reason for reply in replies] == [None]
        astray = bridge.grid.create_message(content, MESSAGE_TYPE, node_id, "", ttl=5.0)
        take = bridge._state.take

        def misdirect(to: int) -> Any:
            proto = take(to)
            if proto is not None:
                proto.metadata.dst_node_id = 99
            return proto

        bridge._state.take = misdirect  # type: ignore[method-assign]
        assert bridge.grid.send_and_receive([astray], timeout=0.5) == []
    assert not ran


def test_a_batch_that_is_none_gets_an_error_and_the_node_lives(
    fleet: Fleet, bridge: FlowerBridge
) -> None:
    with fleet.threads(bridge.port, names=["a"]):
        until(all_online(bridge, 1))
        node_id = bridge.grid.get_node_ids()[0]
        for content in (
            RecordDict(),
            RecordDict({RECORD: ConfigRecord({"headers": "text"})}),
            RecordDict({"other": ConfigRecord({})}),
        ):
            message = bridge.grid.create_message(content, MESSAGE_TYPE, node_id, "", ttl=5.0)
            (reply,) = bridge.grid.send_and_receive([message], timeout=5)
            assert dict(reply.content[RECORD]) == pack_replies([Code.BAD_REQUEST])
        assert fleet.courier(bridge).ask({"a": Packet(b"x")}, 5) == {"a": Packet(b"x")}


def _forge(asked: Message, header: bytes) -> Message:
    record = ConfigRecord(dict(pack_replies([Packet(header)])))
    return Message(RecordDict({RECORD: record}), reply_to=asked)


def test_another_registered_node_cannot_answer_for_a_node(
    fleet: Fleet, bridge: FlowerBridge
) -> None:
    """Even one that somehow knows the random message id. (With the stock link this forgery works.)

    The transport is not what the network relies on here: whoever runs the coordinator can still
    put words into a node's mouth. Headers are envelopes signed by the node's identity key, and
    that signature is what protects above the transport.
    """
    answers: list[object] = []
    with fleet.link("a", bridge.port) as victim, fleet.link("b", bridge.port) as forger:
        victim.activate()
        forger.activate()
        asker = threading.Thread(
            target=lambda: answers.append(fleet.courier(bridge).ask({"a": Packet(b"x")}, 5))
        )
        asker.start()
        asked = victim.pull()
        assert asked is not None
        forger.push(_forge(asked, b"forged"))  # claims to come from node a
        forger._node = victim._node
        with pytest.raises(LinkLost, match="403"):
            forger.push(_forge(asked, b"forged"))
        assert not answers
        victim.push(_forge(asked, b"genuine"))
        asker.join(5)
    assert answers == [{"a": Packet(b"genuine")}]


def test_an_error_text_from_a_hostile_node_goes_no_further_than_its_code(
    fleet: Fleet, bridge: FlowerBridge
) -> None:
    answers: list[object] = []
    with fleet.link("a", bridge.port) as hostile:
        hostile.activate()
        asker = threading.Thread(
            target=lambda: answers.append(fleet.courier(bridge).ask({"a": Packet(b"x")}, 5))
        )
        asker.start()
        asked = hostile.pull()
        assert asked is not None
        hostile.push(Message(Error(2, CANARY), reply_to=asked))
        asker.join(5)
    assert answers == [{"a": NodeError("a", Code.INTERNAL)}]
