"""The two adapters together, over TLS on loopback: what works, and what must be refused."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import cast

import pytest

from coordinator.courier import NodeError
from coordinator.flower_bridge import FlowerBridge
from node.fleet_link import FleetLink, LinkLost
from node.flower_agent import _Desk, _say_goodbye
from node.transport_key import new_transport_key, public_text
from privacy.contract.packet import MESSAGE_TYPE, RECORD, Packet, pack, pack_replies
from privacy.errors import BadInput, Code
from tests.support.fleet import Fleet, all_online, until

# isort: split
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp

NAMES = ("a", "b", "c")
CALLS = {
    "activate-node",
    "deactivate-node",
    "pull-messages",
    "push-messages",
    "send-node-heartbeat",
}


def ask_all(fleet: Fleet, bridge: FlowerBridge, header: bytes = b"hi", seconds: float = 5.0):  # type: ignore[no-untyped-def]
    packets = {name: Packet(header, name.encode()) for name in NAMES}
    return packets, fleet.courier(bridge).ask(packets, seconds)


# -- what works ----------------------------------------------------------------------------------


def test_a_round_trip_costs_a_node_two_requests_and_leaves_nothing_stored(
    fleet: Fleet, bridge: FlowerBridge
) -> None:
    with fleet.threads(bridge.port):
        until(all_online(bridge, 3))
        before = bridge.requests()
        for _ in range(20):
            packets, answers = ask_all(fleet, bridge)
            assert answers == packets
        after = bridge.requests()
        assert after["push-messages"] - before.get("push-messages", 0) == 60
        assert 57 <= after["pull-messages"] - before["pull-messages"] <= 63
        assert not any(bridge.held().values())
        assert set(after) <= CALLS


def test_blobs_of_megabytes_go_both_ways(fleet: Fleet, bridge: FlowerBridge) -> None:
    blob = os.urandom(8 * 2**20)
    with fleet.threads(bridge.port):
        until(all_online(bridge, 3))
        answers = fleet.courier(bridge).ask({n: Packet(b"big", blob) for n in NAMES}, 20)
    assert answers == {name: Packet(b"big", blob) for name in NAMES}


def test_many_askers_at_once(fleet: Fleet, bridge: FlowerBridge) -> None:
    courier = fleet.courier(bridge)
    wrong: list[int] = []

    def ask(number: int) -> None:
        packets = {name: Packet(b"%d" % number, name.encode()) for name in NAMES}
        if courier.ask(packets, 10) != packets:
            wrong.append(number)

    with fleet.threads(bridge.port):
        until(all_online(bridge, 3))
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(15)
    assert not wrong
    assert not any(bridge.held().values())


def test_long_work_at_a_node_does_not_block_short_work(fleet: Fleet, bridge: FlowerBridge) -> None:
    courier = fleet.courier(bridge)
    with fleet.threads(bridge.port, names=["a"]):
        until(all_online(bridge, 1))
        for _ in range(2):
            threading.Thread(target=courier.ask, args=({"a": Packet(b"sleep:1")}, 60)).start()
        start = time.monotonic()
        assert courier.ask({"a": Packet(b"quick")}, 5) == {"a": Packet(b"quick")}
        assert time.monotonic() - start < 0.5


def test_a_key_can_be_added_and_taken_away_while_running(
    fleet: Fleet, bridge: FlowerBridge
) -> None:
    key = new_transport_key()
    with FleetLink(f"127.0.0.1:{bridge.port}", fleet.ca, key) as newcomer:
        with pytest.raises(LinkLost, match="401"):
            newcomer.activate()
        bridge.allow(public_text(key))
        newcomer.activate()
        assert bridge.nodes()[public_text(key)].node_id == newcomer.node_id
        assert bridge.locate(public_text(key)) == newcomer.node_id
        bridge.forbid(public_text(key))
        assert bridge.locate(public_text(key)) is None
        with pytest.raises(LinkLost, match="401"):
            newcomer.pull()
        bridge.allow(public_text(key))
        newcomer.heartbeat()


@pytest.mark.parametrize("text", ["", "x", "AAAA"])
def test_a_key_that_is_none_is_refused(bridge: FlowerBridge, text: str) -> None:
    with pytest.raises(BadInput):
        bridge.allow(text)


def test_flowers_own_message_constructor_and_polling_work_too(
    fleet: Fleet, bridge: FlowerBridge
) -> None:
    with fleet.threads(bridge.port, names=["a"]):
        until(all_online(bridge, 1))
        record = ConfigRecord(dict(pack([Packet(b"x")])))
        node_id = bridge.grid.get_node_ids()[0]
        message = Message(RecordDict({RECORD: record}), node_id, MESSAGE_TYPE, ttl=5.0)
        ids = bridge.grid.push_messages([message])
        replies: list[Message] = []
        until(lambda: bool(replies.extend(bridge.grid.pull_messages(ids)) or replies))
        assert replies[0].metadata.reply_to_message_id == ids[0]
        assert dict(replies[0].content[RECORD]) == pack_replies([Packet(b"x")])


# -- nodes and coordinator that come and go ------------------------------------------------------


def test_a_stopped_node_is_offline_at_once(fleet: Fleet, bridge: FlowerBridge) -> None:
    with fleet.threads(bridge.port, names=["a"]) as stop:
        until(all_online(bridge, 1))
        stop.set()
        until(lambda: "deactivate-node" in bridge.requests())
        until(all_online(bridge, 0))


class Joining:
    """A link whose node is joining while it is told to stop: the first goodbye is in vain."""

    def __init__(self) -> None:
        self.heard: list[bool] = []

    def deactivate(self) -> None:
        self.heard.append(bool(self.heard))
        if not self.heard[-1]:
            raise LinkLost("deactivate-node: HTTP 400", 400)


def test_a_goodbye_that_was_not_heard_is_said_again() -> None:
    link, ended = Joining(), threading.Event()
    ended.set()
    desk = _Desk(cast(FleetLink, link), ClientApp(), 1)
    _say_goodbye(cast(FleetLink, link), desk, ended, ended)
    assert link.heard == [False, True]


def test_nodes_join_again_when_the_coordinator_restarts_with_empty_state(fleet: Fleet) -> None:
    first = fleet.bridge()
    port = first.port
    with fleet.threads(port):
        until(all_online(first, 3))
        ids = set(first.grid.get_node_ids())
        first.stop()
        time.sleep(0.3)
        with fleet.bridge(port) as second:
            until(all_online(second, 3), 15)
            assert not ids & set(second.grid.get_node_ids())
            packets, answers = ask_all(fleet, second)
            assert answers == packets


def test_a_401_neither_ends_nor_interrupts_a_node(fleet: Fleet, bridge: FlowerBridge) -> None:
    with fleet.threads(bridge.port, names=["a"]):
        until(all_online(bridge, 1))
        bridge.forbid(fleet.public("a"))
        until(all_online(bridge, 0))
        time.sleep(0.5)
        bridge.allow(fleet.public("a"))
        until(all_online(bridge, 1), 10)


def test_what_a_node_lost_in_a_crash_is_sent_to_it_once_more(
    fleet: Fleet, bridge: FlowerBridge
) -> None:
    answers: list[object] = []
    with fleet.link("a", bridge.port) as doomed:
        doomed.activate()
        asker = threading.Thread(
            target=lambda: answers.append(fleet.courier(bridge).ask({"a": Packet(b"x")}, 10))
        )
        asker.start()
        assert doomed.pull() is not None
    with fleet.threads(bridge.port, names=["a"]):
        asker.join(10)
    assert answers == [{"a": Packet(b"x")}]


def test_a_duplicate_delivery_is_run_once(fleet: Fleet, bridge: FlowerBridge) -> None:
    seen: list[Packet] = []

    def handle(packet: Packet) -> Packet:
        seen.append(packet)
        time.sleep(0.3)
        return packet

    with fleet.threads(bridge.port, handle, names=["a"]):
        until(all_online(bridge, 1))
        answers: list[object] = []
        asker = threading.Thread(
            target=lambda: answers.append(fleet.courier(bridge).ask({"a": Packet(b"x")}, 5))
        )
        asker.start()
        until(lambda: bool(seen))
        bridge._state.join(bridge.grid.get_node_ids()[0])  # marks the message as undelivered
        asker.join(5)
        time.sleep(0.2)
    assert answers == [{"a": Packet(b"x")}]
    assert len(seen) == 1


@pytest.mark.processes
def test_node_processes_killed_in_the_middle_and_ended_politely(
    fleet: Fleet, bridge: FlowerBridge
) -> None:
    processes = {name: fleet.process(name, bridge.port) for name in NAMES}
    try:
        until(all_online(bridge, 3), 20)
        assert ask_all(fleet, bridge)[1] == ask_all(fleet, bridge)[0]
        threading.Timer(0.3, processes["b"].kill).start()
        start = time.monotonic()
        answers = fleet.courier(bridge).ask(
            {"a": Packet(b"quick"), "b": Packet(b"sleep:9")}, timeout_seconds=4.0
        )
        assert answers == {"a": Packet(b"quick"), "b": NodeError("b", Code.NODE_OFFLINE)}
        assert time.monotonic() - start < 3.0
        processes["c"].send_signal(signal.SIGTERM)
        assert processes["c"].wait(5) == 0
        until(all_online(bridge, 1), 3)
    finally:
        for process in processes.values():
            process.kill()
            process.wait(5)


def test_a_slow_node_is_lost_at_the_timeout_and_its_late_answer_dropped(
    fleet: Fleet, bridge: FlowerBridge
) -> None:
    with fleet.threads(bridge.port, names=["a"]):
        until(all_online(bridge, 1))
        start = time.monotonic()
        answers = fleet.courier(bridge).ask({"a": Packet(b"sleep:0.8")}, 0.3)
        assert answers == {"a": NodeError("a", Code.ATTEMPT_LOST)}
        assert time.monotonic() - start < 0.6
        until(lambda: bridge.requests().get("push-messages") == 1)
        assert not any(bridge.held().values())
