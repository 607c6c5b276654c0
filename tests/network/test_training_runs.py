"""A network is trained over organisations: every round runs, is charged and can be checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coordinator.course import opening_of
from coordinator.store.facts import RunFacts
from models.neural.law import State
from models.neural.request import Train
from models.opening import Opening
from privacy.contract.canonical import sha256_hex
from privacy.units import Rho
from tests.support.network import Network
from tests.support.training import small_mlp

MLP = {**small_mlp(4), "by": ["condition"]}
GRU: dict[str, Any] = {
    "kind": "train",
    "specification": {
        "network": {"kind": "gru", "width": 3},
        "outcome": "score",
        "features": ["age", "severity", "symptom"],
    },
    "rounds": 2,
}


def opened(network: Network, run: RunFacts) -> tuple[Opening, ...]:
    done = network.store.openings.of(run.plan_digest)
    return tuple(opening_of(run.plan, each) for each in done)


@pytest.mark.parametrize("asked", [MLP, GRU], ids=["mlp", "gru"])
def test_training_runs_over_a_network_and_can_be_recomputed(
    network: Network, asked: dict[str, Any]
) -> None:
    run = network.ask(asked, epsilon="8")
    assert run.state == "released", run.code
    request = Train.from_json(run.plan.analysis)
    found = opened(network, run)
    assert len(found) == asked["rounds"] + 2
    for number, each in enumerate(found):
        assert request.same_state(each.state, request.state(network.dictionary, found[:number]))
    weights = request.trained(network.dictionary, found[-1])
    assert len(weights) == request.compiled(network.dictionary).length
    assert np.isfinite(weights).all()
    result = request.conclude(network.dictionary, found)
    assert result.to_json()["rows"] == network.result(run)["rows"]


def test_the_last_opening_and_the_release_prove_the_weights(network: Network) -> None:
    run = network.ask(MLP, epsilon="8")
    assert run.release is not None
    body = network.store.releases.get(run.release).envelope.to_json()["body"]
    last = opened(network, run)[-1]
    assert sha256_hex(last.state) == body["rounds"][-1]["state"]
    assert State.read(last.state).steps == MLP["rounds"]


def test_training_costs_its_allowance_whatever_its_rounds(network: Network) -> None:
    short = network.ask({**MLP, "rounds": 2}, epsilon="1")
    spent = network.spent("als-union")
    long = network.ask({**MLP, "rounds": 6}, epsilon="1")
    assert short.release
    assert long.release
    twice = network.spent("als-union")
    assert twice[0] - spent[0] == pytest.approx(spent[0], rel=1e-4)
    assert spent[0] == Rho.parse(short.plan.rho).units
