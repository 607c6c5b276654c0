"""The courier over a grid in one process: batching, deadlines, nodes that fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from coordinator.courier import Courier, NodeError
from node.flower_app import build_client_app, each
from privacy.contract.packet import Packet
from privacy.errors import Code
from tests.support.echo_node import CANARY, echo
from tests.support.fleet import until
from tests.support.grid_in_process import Fault, Faults, InProcessGrid, no_faults

NODES = {"a": 11, "b": 12, "c": 13}


def network(
    handle: Callable[[Packet], Packet] = echo, faults: Faults = no_faults
) -> tuple[InProcessGrid, Courier]:
    app = build_client_app(each(handle))
    grid = InProcessGrid(dict.fromkeys(NODES.values(), app), faults=faults, keep_wire=True)
    return grid, Courier(grid, NODES.get)


def to_all(header: bytes) -> dict[str, Packet]:
    return {name: Packet(header, name.encode()) for name in NODES}


def fill_the_lane(grid: InProcessGrid, threads: list[threading.Thread]) -> None:
    """Start the threads one by one, so that each one's packet is a message of its own."""
    for number, thread in enumerate(threads, start=1):
        thread.start()
        until(lambda number=number: grid.messages[11] == number)  # type: ignore[misc]


def test_every_node_gets_its_own_packet_and_answers() -> None:
    _, courier = network()
    assert courier.ask(to_all(b"hello"), 5) == to_all(b"hello")


def test_packets_that_wait_leave_together_and_come_back_to_their_askers() -> None:
    release = threading.Event()

    def slow_first(packet: Packet) -> Packet:
        if packet.header == b"hold":
            release.wait(10)
        return packet

    grid, courier = network(slow_first)
    results: dict[int, object] = {}

    def ask(number: int) -> None:
        header = b"hold" if number < 3 else b"%d" % number
        results[number] = courier.ask({"a": Packet(header)}, 10)["a"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
    fill_the_lane(grid, threads[:3])
    for thread in threads[3:]:
        thread.start()
    time.sleep(0.2)
    release.set()
    for thread in threads:
        thread.join(10)
    assert {n: results[n] for n in range(3, 50)} == {n: Packet(b"%d" % n) for n in range(3, 50)}
    assert grid.messages[11] <= 3 + 3, "47 waiting packets were not batched"


def test_a_slow_message_does_not_hold_up_a_short_one() -> None:
    _, courier = network()
    slow = threading.Thread(target=courier.ask, args=({"a": Packet(b"sleep:1.0")}, 60))
    slow.start()
    start = time.monotonic()
    courier.ask({"a": Packet(b"quick")}, 5)
    assert time.monotonic() - start < 0.5
    slow.join(5)


def test_long_work_is_never_batched_with_a_question() -> None:
    grid, courier = network()
    for _ in range(4):
        threading.Thread(target=courier.ask, args=({"a": Packet(b"sleep:0.4")}, 60)).start()
    until(lambda: grid.messages[11] == 2)
    start = time.monotonic()
    courier.ask({"a": Packet(b"quick")}, 5)
    assert time.monotonic() - start < 0.2


def test_one_failing_packet_leaves_its_neighbours_unaffected() -> None:
    grid, courier = network()
    assert courier.ask({"a": Packet(b"fail"), "b": Packet(b"ok")}, 5) == {
        "a": NodeError("a", Code.INTERNAL),
        "b": Packet(b"ok"),
    }
    refused = courier.ask({"a": Packet(b"refuse")}, 5)
    assert refused == {"a": NodeError("a", Code.BUDGET_EXCEEDED)}
    assert grid.wire is not None
    assert not any(CANARY.encode() in data for data in grid.wire)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(offline=True), Code.NODE_OFFLINE),
        (Fault(lose_request=True), Code.ATTEMPT_LOST),
        (Fault(lose_reply=True), Code.ATTEMPT_LOST),
        (Fault(delay_seconds=2.0), Code.ATTEMPT_LOST),
    ],
)
def test_a_node_that_does_not_answer_delays_nobody_beyond_the_timeout(
    fault: Fault, code: Code
) -> None:
    _, courier = network(faults=lambda node_id, _: fault if node_id == 12 else Fault())
    start = time.monotonic()
    answers = courier.ask(to_all(b"x"), 0.4)
    assert time.monotonic() - start < 0.7
    assert answers == to_all(b"x") | {"b": NodeError("b", code)}


def test_an_unknown_node_is_offline() -> None:
    _, courier = network()
    assert courier.ask({"z": Packet(b"x")}, 5) == {"z": NodeError("z", Code.NODE_OFFLINE)}


def test_a_packet_nobody_waits_for_any_more_is_not_sent() -> None:
    grid, courier = network()
    threads = [
        threading.Thread(target=courier.ask, args=({"a": Packet(b"sleep:0.5")}, 5))
        for _ in range(3)
    ]
    fill_the_lane(grid, threads)
    assert courier.ask({"a": Packet(b"late")}, 0.1) == {"a": NodeError("a", Code.ATTEMPT_LOST)}
    for thread in threads:
        thread.join(5)
    time.sleep(0.1)
    assert grid.messages[11] == 3


def test_duplicate_delivery_reaches_the_handler_twice_and_answers_once() -> None:
    seen: list[Packet] = []

    def handle(packet: Packet) -> Packet:
        seen.append(packet)
        return packet

    _, courier = network(handle, faults=lambda *_: Fault(deliveries=2))
    assert courier.ask({"a": Packet(b"x")}, 5) == {"a": Packet(b"x")}
    assert seen == [Packet(b"x")] * 2


def test_bytes_are_counted_both_ways() -> None:
    grid, courier = network()
    courier.ask({"a": Packet(b"h", bytes(10_000))}, 5)
    assert 10_000 < grid.bytes_down[11] < 10_500
    assert 10_000 < grid.bytes_up[11] < 10_500
    assert grid.bytes_down[12] == 0
