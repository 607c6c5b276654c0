"""Runs of several rounds: what a round is asked with, what it costs, and what may interrupt it."""

from __future__ import annotations

from typing import Any

import pytest

from privacy.units import Rho
from tests.support import net_data
from tests.support.adaptive import add_halving
from tests.support.network import Network

LATE = "stroke-club"
FIVE = {"nodes": net_data.MORE_NODES, "t_drop": 1, "t_collude": 1}
HALVING = {"kind": "halving", "column": "age"}
ROUNDS = 5


@pytest.fixture(autouse=True)
def _halving(monkeypatch: pytest.MonkeyPatch) -> None:
    add_halving(monkeypatch)


def statement(network: Network, release: str | None) -> dict[str, Any]:
    assert release is not None
    return dict(network.store.releases.get(release).envelope.to_json()["body"])


def test_every_round_is_asked_with_what_the_ones_before_it_opened(network: Network) -> None:
    run = network.ask(HALVING, epsilon="5")
    assert run.state == "released", run.code
    assert run.opened == ROUNDS
    median = network.pooled["age"].clip(0, 110).median()
    assert abs(network.estimates(run)[()] - median) <= 110 / 8
    assert len(statement(network, run.release)["rounds"]) == ROUNDS


def test_the_run_costs_the_sum_of_its_rounds_at_every_node(network: Network) -> None:
    parts = (4, 1, 1, 1, 1)
    compiled = network.plan(network.question({**HALVING, "parts": parts}, epsilon="1"))
    costs = [Rho.parse(each.rho) for each in compiled.plan.rounds]
    assert costs[0].units == pytest.approx(4 * costs[1].units, rel=1e-6)
    assert network.run(compiled).release
    for name in network.nodes:
        assert network.spent(name) == (Rho.total(costs).units, 0)
        assert network.nodes[name].kinds()[-7:] == ["reserve", *["commit"] * 5, "released"]
