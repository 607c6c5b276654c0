"""A22: a coordinator that asks for the ledger's size while a question is being computed.

How long the records took depends on them. The reply waits for its slot; so must the entry that
charges for it, because the coordinator sees at once when the ledger grows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from node.slots import Slots
from tests.support.network import Network

TARGET = "ms-league"
ASKED = {"kind": "count", "by": ["treatment"]}


def _charged_after(network: Network, slot: float, cohort: str, seconds: float, fail: bool) -> float:
    """Seconds from the request to the charge, where reading the records takes `seconds`."""
    now, charged = [0.0], []

    def sleep(span: float) -> None:
        now[0] += span

    service = network.nodes[TARGET].service
    service.slots = Slots(slot, lambda: now[0], sleep)
    real = service.runner.engine
    append = service.ledger.append

    def engine(*asked: Any) -> Any:
        now[0] += seconds
        if fail:
            raise ValueError
        return real(*asked)

    def seen(body: Any, **more: Any) -> Any:
        if body.kind == "commit":
            charged.append(round(now[0], 6))
        return append(body, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.runner, "engine", engine)
        patch.setattr(service.ledger, "append", seen)
        network.ask(ASKED, cohort)
    return float(charged[0])


@pytest.mark.parametrize("fail", [False, True])
def test_when_a_charge_appears_tells_only_the_slot(
    make: Callable[..., Network], *, fail: bool
) -> None:
    network = make()
    quick, slow = (_charged_after(network, 0.0, f"age > {n}", n, fail) for n in (3, 7))
    assert (quick, slow) == (3, 7), "without slots the ledger grows when the records are read"
    quick, slow = (_charged_after(network, 10.0, f"age > 1{n}", n, fail) for n in (3, 7))
    assert (quick, slow) == (10, 10)


def test_a_batch_waits_once_for_all_its_questions(network: Network) -> None:
    """Two questions in one batch are charged at one slot, not at one after the other."""
    now, slept = [0.0], []

    def sleep(span: float) -> None:
        slept.append(span)
        now[0] += span

    service = network.nodes[TARGET].service
    network.ask(ASKED)
    [packet] = [x.request for x in network.wire.log if x.node == TARGET and x.ask == "contribute"]
    service.slots = Slots(10.0, lambda: now[0], sleep)
    assert len(service.handle_all([packet, packet, packet])) == 3
    assert slept == [10.0]
