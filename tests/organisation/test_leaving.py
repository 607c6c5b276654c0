"""An organisation leaves: what runs ends, its ledger closes, and everything it said still holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from coordinator import operate
from coordinator.audit.verify import verify_bundle
from coordinator.store.facts import NodeState
from node.cli import app
from privacy.contract.messages import Ask
from privacy.contract.packet import Packet
from privacy.errors import Code, Refused
from privacy.ledger.entry import Released
from privacy.ledger.upkeep_entry import Leaving, Left
from tests.support import net_data
from tests.support.ledger_factory import (
    COST,
    SMALL,
    START,
    commit,
    digest_of,
    fresh_ledger,
    period,
    reserve,
)
from tests.support.net_bundle import bundle
from tests.support.network import Network
from tests.support.stewards import open_period

FIVE: dict[str, Any] = {"nodes": net_data.MORE_NODES, "t_drop": 1}
NODE = "als-union"
COUNT = {"kind": "count"}
GOES = Leaving(by="Ina", reason="merged with another organisation")


def test_a_ledger_closes_when_nothing_runs_and_nothing_follows() -> None:
    book = fresh_ledger("alpha", COST * 10, {"als": COST * 10})
    book.append(reserve("a", "als", START.replace(minute=10)))
    with pytest.raises(Refused, match="under way"):
        book.append(Left())
    book.append(GOES)
    with pytest.raises(Refused) as caught:
        book.append(reserve("b", "als", START.replace(minute=10)))
    assert caught.value.code is Code.PAUSED
    with pytest.raises(Refused, match="under way"):
        book.append(Left())
    book.append(commit(digest_of("a"), 0, 0, b"what runs goes on", SMALL))
    book.append(ended("a"))
    for body in (GOES, period(COST * 10, 1)):
        with pytest.raises(Refused, match="leaving"):
            book.append(body)
    book.append(Left())
    with pytest.raises(Refused, match="has left"):
        book.append(Left())


def ended(plan: str) -> Released:
    return Released(plan=digest_of(plan), release=digest_of("r" + plan))


def leave_in_the_middle(network: Network, ask: Ask) -> None:
    """The steward leaves just before the node hears the first `ask`."""
    gone: list[bool] = []

    def change(node: str, asked: Ask, packet: Packet) -> Packet:
        if (node, asked) == (NODE, ask) and not gone:
            gone.append(True)
            network.nodes[NODE].steward.leave("merged")
        return packet

    network.wire.outbound.append(change)


@pytest.mark.parametrize("ask", [Ask.CONTRIBUTE, Ask.REVEAL])
def test_a_run_under_way_ends_in_order(make: Callable[..., Network], ask: Ask) -> None:
    network = make(**FIVE)
    leave_in_the_middle(network, ask)
    run = network.ask(COUNT)
    assert run.release
    network.settle()
    assert network.nodes[NODE].bodies[-1].kind == "left"
    assert {"reserve", "commit", "leaving", "released", "left"} <= set(network.nodes[NODE].kinds())


def test_the_others_go_on_and_auditors_still_verify(
    make: Callable[..., Network], tmp_path: Path
) -> None:
    network = make(**FIVE)
    assert network.ask(COUNT).release
    before = network.spent(NODE)
    node = network.nodes[NODE]
    assert node.steward.leave("merged") == {"state": "left", "runs under way": 0}
    network.settle()
    states = {each.id: each.state for each in network.store.nodes.all()}
    assert states[NODE] is NodeState.LEFT
    assert NODE not in network.store.nodes.online()
    node.stop()
    network.settle()
    assert {e.id: e.state for e in network.store.nodes.all()}[NODE] is NodeState.LEFT
    others = tuple(name for name in network.nodes if name != NODE)
    assert network.run(network.plan(network.question(COUNT, "age > 40"), others)).release
    roster = operate.admit_joined(network.store, network.key)
    assert set(roster.keys) == set(others)
    report = verify_bundle(bundle(network, tmp_path / "bundle"))
    (left,) = [each for each in report.nodes if each.node == NODE]
    assert [change.kind for change in left.changes][-2:] == ["leaving", "left"]
    assert left.spent.rho.units == before[0]


def test_the_organisation_keeps_its_records_and_its_ledger(network: Network) -> None:
    node = network.nodes[NODE]
    node.steward.leave()
    assert node.steward.status()["state"] == "left"
    assert node.parts.records.members == 60
    assert node.steward.verify()["holds"]
    for step in (node.steward.pause, lambda: open_period(node)):
        with pytest.raises(Refused, match="has left"):
            step()
    network.nodes[NODE].restart()
    network.settle()
    assert node.bodies[-1].kind == "left"


def test_leaving_needs_the_nodes_name(network: Network) -> None:
    node = network.nodes[NODE]
    node.stop()
    folder = str(node.home.root)
    assert CliRunner().invoke(app, ["leave", "another", "--dir", folder]).exit_code == 2
    assert CliRunner().invoke(app, ["leave", NODE, "--dir", folder]).exit_code == 0
    assert CliRunner().invoke(app, ["leave", NODE, "--dir", folder]).exit_code == 3


def test_a_pause_ends_and_leaving_does_not(network: Network) -> None:
    node = network.nodes[NODE]
    node.steward.pause()
    network.settle()
    assert {e.id: e.state for e in network.store.nodes.all()}[NODE] is NodeState.PAUSED
    assert network.ask(COUNT).code == Code.PAUSED.value
    node.steward.resume()
    network.settle()
    assert network.ask(COUNT, "age > 40").release
