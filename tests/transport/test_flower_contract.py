"""What the two adapters take for granted about flwr beyond its public API.

When one of these fails after an upgrade, read the name in the failure, then the adapter.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import service.flower_env  # noqa: F401

# isort: split
from flwr.app import Error, Message, Metadata, RecordDict
from flwr.app.message.message import make_message
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto import fleet_pb2, message_pb2
from flwr.server.superlink.linkstate.in_memory_linkstate import InMemoryLinkState
from flwr.serverapp import Grid

from coordinator.courier import MESSAGE_UNAVAILABLE, NODE_UNAVAILABLE
from coordinator.fleet_state import FleetState
from coordinator.flower_bridge import EmbeddedGrid
from tests.support.fleet import ROOT
from tests.support.grid_in_process import InProcessGrid

PRIVATE_NAMES = {
    "flwr.app.message.message": ["make_message"],
    "flwr.common.constant": [
        "HEARTBEAT_MIN_INTERVAL",
        "NOOP_ACCOUNT_NAME",
        "NOOP_FLWR_AID",
        "SUPERLINK_NODE_ID",
        "TIMESTAMP_HEADER",
        "TIMESTAMP_TOLERANCE",
        "ErrorCode",
        "SubStatus",
    ],
    "flwr.common.serde": ["message_from_proto", "message_to_proto"],
    "flwr.proto.fleet_pb2": ["ActivateNodeRequest", "PullMessagesRequest", "PushMessagesRequest"],
    "flwr.proto.heartbeat_pb2": ["SendNodeHeartbeatRequest", "SendNodeHeartbeatResponse"],
    "flwr.proto.node_pb2": ["Node"],
    "flwr.server.superlink.linkstate.in_memory_linkstate": ["InMemoryLinkState"],
    "flwr.supercore.constant": [
        "FLEET_HTTP_PUBLIC_KEY_HEADER",
        "FLEET_HTTP_SIGNATURE_HEADER",
        "NOOP_FEDERATION_ID",
        "TaskType",
    ],
    "flwr.supercore.object_store.in_memory_object_store": ["InMemoryObjectStore"],
    "flwr.supercore.primitives.asymmetric": [
        "bytes_to_public_key",
        "public_key_to_bytes",
        "sign_message",
        "verify_signature",
    ],
    "flwr.supercore.run": ["Run"],
    "flwr.supercore.task_identity": ["TaskIdentity"],
    "flwr.superlink.federation": ["NoOpFederationManager"],
}
LINK_STATE_METHODS = {
    "acknowledge_node_heartbeat": ["node_id", "heartbeat_interval"],
    "acknowledge_task_heartbeat": ["task_id"],
    "activate_node": ["node_id", "heartbeat_interval"],
    "activate_task": ["task_id"],
    "claim_task": ["task_id"],
    "cleanup_run": ["run_id"],
    "create_node": ["owner_aid", "owner_name", "public_key", "heartbeat_interval"],
    "deactivate_node": ["node_id"],
    "delete_messages": ["message_ins_ids"],
    "finish_task": ["task_id", "sub_status", "details"],
    "get_message_ins": ["node_id", "limit", "run_id"],
    "get_message_res": ["message_ids", "run_id"],
    "get_nodes": ["run_id"],
    "store_message_ins": ["message"],
    "store_message_res": ["message"],
}


def test_the_pinned_version_is_installed() -> None:
    assert importlib.metadata.version("flwr").startswith("1.41.")


@pytest.mark.parametrize("module", sorted(PRIVATE_NAMES))
def test_private_names_exist(module: str) -> None:
    found = importlib.import_module(module)
    missing = [name for name in PRIVATE_NAMES[module] if not hasattr(found, name)]
    assert not missing, f"flwr no longer has {module}.{missing}"


@pytest.mark.parametrize("name", sorted(LINK_STATE_METHODS))
def test_link_state_methods_take_what_they_are_given(name: str) -> None:
    parameters = list(inspect.signature(getattr(InMemoryLinkState, name)).parameters)[1:]
    wanted = LINK_STATE_METHODS[name]
    assert [item for item in parameters if item in wanted] == wanted


def test_the_grid_has_the_methods_we_implement() -> None:
    assert Grid.__abstractmethods__ == {
        "create_message",
        "get_node_ids",
        "pull_messages",
        "push_messages",
        "run",
        "send_and_receive",
        "set_run",
    }
    assert issubclass(EmbeddedGrid, Grid)
    assert issubclass(InProcessGrid, Grid)


def test_a_message_carries_its_content_on_the_wire() -> None:
    fields = message_pb2.Message.DESCRIPTOR.fields_by_name
    assert {"metadata", "content", "error"} <= set(fields)
    assert {"node", "messages_list"} <= set(fleet_pb2.PushMessagesRequest.DESCRIPTOR.fields_by_name)


def test_error_codes_made_by_the_link_are_the_ones_the_courier_knows() -> None:
    assert ErrorCode.NODE_UNAVAILABLE == NODE_UNAVAILABLE
    assert (ErrorCode.MESSAGE_UNAVAILABLE, ErrorCode.REPLY_MESSAGE_UNAVAILABLE) == (
        MESSAGE_UNAVAILABLE
    )


def message_to(state: FleetState, node_id: int, ttl: float = 5.0) -> Message:
    EmbeddedGrid(state)
    return Message(RecordDict(), node_id, "query", ttl=ttl)


def reply_to(proto: Any, **changes: Any) -> Any:
    asked = message_from_proto(proto)
    fields = {
        "run_id": 1,
        "message_id": "m",
        "src_node_id": asked.metadata.dst_node_id,
        "dst_node_id": 1,
        "reply_to_message_id": asked.metadata.message_id,
        "group_id": "",
        "created_at": 0.0,
        "ttl": 1e9,
        "message_type": "query",
    }
    return message_to_proto(make_message(Metadata(**fields | changes), RecordDict()))


@pytest.fixture
def state() -> FleetState:
    return FleetState()


def test_state_delivers_once_and_keeps_nothing(state: FleetState) -> None:
    node_id = state.allow(b"key")
    state.join(node_id)
    sent = state.send(message_to(state, node_id))
    proto = state.take(node_id)
    assert proto is not None
    assert state.take(node_id) is None
    assert state.answer(node_id, reply_to(proto))
    assert not state.answer(node_id, reply_to(proto)), "a second answer was stored"
    (reply,) = state.collect([sent])
    assert reply.metadata.reply_to_message_id == sent
    assert reply.metadata.src_node_id == node_id
    assert not any(state.held().values())


def test_a_replying_nodes_clock_and_claims_do_not_matter(state: FleetState) -> None:
    node_id, other = state.allow(b"key"), state.allow(b"other")
    state.join(node_id)
    sent = state.send(message_to(state, node_id))
    proto = state.take(node_id)
    claims = {"src_node_id": other, "created_at": time.time() - 86_400, "ttl": 0.0, "run_id": 7}
    assert not state.answer(other, reply_to(proto, src_node_id=node_id))
    assert state.answer(node_id, reply_to(proto, **claims))
    (reply,) = state.collect([sent])
    assert reply.metadata.src_node_id == node_id


def test_a_message_to_a_node_never_seen_is_refused(state: FleetState) -> None:
    assert state.send(message_to(state, state.allow(b"key"))) == ""
    assert state.send(message_to(state, 12345)) == ""


def test_messages_to_a_node_that_left_are_unavailable_at_once(state: FleetState) -> None:
    node_id = state.allow(b"key")
    state.join(node_id)
    sent = state.send(message_to(state, node_id))
    event = state.watch([sent])
    state.leave(node_id)
    assert event.is_set()
    (reply,) = state.collect([sent])
    assert reply.error.code == NODE_UNAVAILABLE
    state.unwatch([sent])
    assert not any(state.held().values())


def test_unanswered_messages_end_with_their_time_to_live(state: FleetState) -> None:
    node_id = state.allow(b"key")
    state.join(node_id)
    sent = state.send(message_to(state, node_id, ttl=0.05))
    time.sleep(0.06)
    assert state.take(node_id) is None
    (reply,) = state.collect([sent])
    assert reply.error.code in MESSAGE_UNAVAILABLE
    assert not any(state.held().values())


def test_a_message_is_sent_again_once_at_most(state: FleetState) -> None:
    node_id = state.allow(b"key")
    state.join(node_id)
    sent = state.send(message_to(state, node_id))
    assert state.take(node_id) is not None
    state.join(node_id)
    assert state.take(node_id) is not None
    state.join(node_id)
    assert state.take(node_id) is None
    state.forget([sent])
    assert not any(state.held().values())


def test_the_run_stays_alive(state: FleetState) -> None:
    assert state.keep_run_alive()
    state.end_run()
    assert not state.keep_run_alive()


def test_an_error_needs_no_text() -> None:
    assert Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION).reason is None


SILENT = """
import socket, sys, pathlib
def refuse(*args, **kwargs): raise SystemExit("reached for the network")
socket.socket.connect = socket.getaddrinfo = refuse
import {module}
heavy = {{"pandas", "torch", "ray", "duckdb"}} & set(sys.modules)
assert not heavy, heavy
import os
assert os.environ["FLWR_TELEMETRY_ENABLED"] == "0"
assert os.environ["FLWR_DISABLE_UPDATE_CHECK"] == "1"
assert not list(pathlib.Path(os.environ["HOME"]).iterdir())
"""


@pytest.mark.parametrize(
    "module", ["node.flower_agent", "coordinator.flower_bridge", "coordinator.courier"]
)
def test_importing_an_adapter_contacts_nobody_writes_nothing_and_is_light(
    module: str, tmp_path: Path
) -> None:
    code = SILENT.format(module=module)
    environment = {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
