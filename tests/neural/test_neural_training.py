"""The training law: without noise plain training step for step; with it, bounded whatever comes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models.neural.advice import advice
from models.neural.architecture import Gru, Mlp, arrays
from models.neural.features import encode
from models.neural.forward import Inputs, outputs
from models.neural.gradient import TORCH
from models.neural.law import Law, State, mean_gradient, stepped
from models.neural.request import Train
from models.neural.scoring import scores
from models.neural.specification import first_weights
from models.neural.step import unit
from models.neural.tensors import to_bytes
from models.rows import Rows
from privacy.errors import BadInput
from tests.support.training import patients, registry, rounds_of, training

HUGE = "1000000000"  # an allowance with which the grid is fine and noise could be left out
WIDE = "1000"  # a clip that no member reaches
NODES = [patients(60, seed) for seed in (1, 2, 3)]


def pooled(request: Train, nodes: list[Rows], kind: str, rate: float, momentum: float, steps: int,
           start: np.ndarray) -> np.ndarray:  # fmt: skip
    """torch's own optimiser on the mean loss of all members with a known outcome."""
    made = request.compiled(registry())
    everybody = [np.ones(rows.members, dtype=np.bool_) for rows in nodes]
    batches = [
        encode(made.encoding, made.outcome, rows, asked)
        for rows, asked in zip(nodes, everybody, strict=True)
    ]
    batches = [each.part(each.known) for each in batches]
    joined = [
        torch.from_numpy(np.concatenate([getattr(each.inputs, name) for each in batches]))
        for name in ("static", "visits", "present")
    ]
    goal = torch.from_numpy(np.concatenate([each.target for each in batches]))
    weights = {
        name: torch.nn.Parameter(torch.from_numpy(each.copy()))
        for name, each in arrays(made.layout, start).items()
    }
    found = list(weights.values())
    if kind == "sgd":
        optimiser: torch.optim.Optimizer = torch.optim.SGD(found, lr=rate, momentum=momentum)
    else:
        optimiser = torch.optim.Adam(found, lr=rate, betas=(momentum, 0.99))
    for _ in range(steps):
        optimiser.zero_grad()
        shown = outputs(request.specification.network, TORCH, weights, Inputs(*joined))
        match made.loss:
            case "event":
                loss = torch.nn.functional.binary_cross_entropy_with_logits(shown[:, 0], goal)
            case "level":
                loss = torch.nn.functional.cross_entropy(shown, goal.long())
            case "amount":
                loss = 0.5 * torch.nn.functional.mse_loss(shown[:, 0], goal)
        loss.backward()
        optimiser.step()
    return np.concatenate([each.detach().numpy().ravel() for each in found])


@pytest.mark.parametrize("kind", ["sgd", "adam"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"network": Gru(width=4), "features": ("age", "walk", "arm")},
        {"outcome": "stage", "features": ("age", "weight")},
        {"outcome": "score", "features": ("age", "sex")},
    ],
    ids=["event", "visits", "levels", "amount"],
)
def test_without_noise_and_clip_it_is_plain_training_step_for_step(
    kind: str, fields: dict[str, object]
) -> None:
    rate, momentum = (0.5, 0.9) if kind == "sgd" else (0.05, 0.7)
    request = training(
        rounds=6, clip=WIDE, optimiser=kind, rate=str(rate), momentum=str(momentum), **fields
    )
    opened = rounds_of(request, NODES, HUGE, noise=False)
    made = request.compiled(registry())
    start = State.from_bytes(opened[1].state, made.length).weights
    for steps in (1, 6):
        expected = pooled(request, NODES, kind, rate, momentum, steps, start)
        reached = State.from_bytes(request.state(registry(), opened[: steps + 1]), made.length)
        # Adam divides by the gradient's size, rounding errors of small gradients included
        assert np.abs(reached.weights - expected).max() < (5e-6 if kind == "sgd" else 1e-4)


def test_any_split_into_organisations_gives_the_pooled_network() -> None:
    request = training(rounds=4, clip="0.3")
    whole = patients(150, 7)
    thirds = [whole.select(np.arange(150) % 3 == part) for part in range(3)]
    one, three = (rounds_of(request, nodes, "3", noise=False) for nodes in ([whole], thirds))
    for state in (2, 5):
        first, second = (
            State.read(request.state(registry(), each[:state])) for each in (one, three)
        )
        assert first.members == pytest.approx(second.members, rel=1e-6)
        assert np.allclose(first.weights, second.weights, atol=1e-3)


def test_the_first_bias_is_the_outcomes_noised_level() -> None:
    request = training()
    made = request.compiled(registry())
    weights = first_weights(made, 0, np.array([0.2], dtype=np.float32))
    assert weights[-1] == pytest.approx(np.log(0.25), abs=1e-6)
    assert np.array_equal(weights[:-1], first_weights(made, 0, np.array([0.7], np.float32))[:-1])


def test_same_openings_give_the_same_bytes_and_nearly_same_ones_are_the_same_state() -> None:
    request = training(rounds=2)
    opened = rounds_of(request, NODES, "3")
    stated = request.state(registry(), opened[:2])
    assert stated == request.state(registry(), opened[:2])
    state = State.read(stated)
    close = State.read(stated)
    close.weights[0] += 1e-8
    assert request.same_state(close.to_bytes(), state.to_bytes())
    close.weights[0] += 0.01
    assert not request.same_state(close.to_bytes(), state.to_bytes())
    assert not request.same_state(b"nonsense", stated)
    assert request.same_state(b"", b"")


def test_lengths_are_known_before_the_first_round() -> None:
    for fields in ({}, {"outcome": "stage", "features": ("age",)}, {"by": ("sex", "stage")}):
        request = training(rounds=2, **fields)
        opened = rounds_of(request, NODES, "3")
        assert len(opened) == 4 == len(request.shares(registry()))
        for number, each in enumerate(opened):
            grid = each.law.mechanism.delta_grid
            shape = request.contribution_at(registry(), grid, number, each.state)
            assert len(each.totals) == shape.length
            assert shape.length == request.length_at(registry(), grid, number)
            assert shape.norm_squared <= grid**2


def hostile(length: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(1)
    return {
        "huge": np.full(length, 1e30, dtype=np.float32),
        "mixed": np.where(draw.random(length) < 0.5, 1e25, -1e25).astype(np.float32),
        "tiny": np.full(length, 1e-40, dtype=np.float32),
        "zero": np.zeros(length, dtype=np.float32),
    }


@pytest.mark.parametrize("kind", ["huge", "mixed", "tiny", "zero"])
@pytest.mark.parametrize("fields", [{}, {"network": Gru(width=4), "features": ("walk", "arm")},
                                    {"outcome": "score"}, {"local_steps": 4}])  # fmt: skip
def test_a_member_is_bounded_for_every_state(kind: str, fields: dict[str, object]) -> None:
    request = training(rounds=2, **fields)
    made = request.compiled(registry())
    weights = hostile(made.length)[kind]
    state = State.start(weights, 100.0, np.full(1, 0.5, np.float32)).to_bytes()
    for grid in (50, 2**17):
        shape = request.contribution_at(registry(), grid, 1, state)
        for member in range(20):
            total = shape.fold(NODES[0], np.arange(60) == member)
            assert sum(int(each) ** 2 for each in total) <= grid**2
        tables = request.contribution_at(registry(), grid, 3, state)
        total = tables.fold(NODES[0], np.arange(60) == 0)
        assert sum(int(each) ** 2 for each in total) <= tables.norm_squared <= grid**2


def test_bytes_that_are_no_state_are_refused() -> None:
    request = training(rounds=2)
    length = request.compiled(registry()).length
    good = State.start(np.zeros(length, np.float32), 50.0, np.full(1, 0.5, np.float32))
    request.contribution_at(registry(), 1000, 1, good.to_bytes())
    odd = np.zeros(length, np.float32)
    odd[3] = np.nan
    short = np.zeros(length - 1, np.float32)
    for weights in (odd, short):
        bad = State.start(weights, 50.0, np.full(1, 0.5, np.float32)).to_bytes()
        with pytest.raises(BadInput):
            request.contribution_at(registry(), 1000, 1, bad)
    levels = State.start(good.weights, 50.0, np.full(3, 0.3, np.float32)).to_bytes()
    with pytest.raises(BadInput, match="another outcome"):
        request.contribution_at(registry(), 1000, 3, levels)
    for data in (b"", b"{}", good.to_bytes()[:-4], to_bytes({"weights": good.weights})):
        with pytest.raises(BadInput):
            request.contribution_at(registry(), 1000, 1, data)


def test_weights_stay_finite_whatever_is_opened() -> None:
    law = Law("adam", 1000.0, 0.9, 1.0)
    state = State.start(np.zeros(5, np.float32), 10.0, np.full(1, 0.5, np.float32))
    for _ in range(30):
        totals = np.array([2**62, -(2**62), 0, 1, -1])
        state = stepped(law, state, mean_gradient(law, state, totals, 1))
    assert np.isfinite(state.weights).all()
    assert State.read(state.to_bytes()).near(state)


def test_the_step_is_divided_by_the_noised_count() -> None:
    law = Law("sgd", 1.0, 0.0, 2.0)
    state = State.start(np.zeros(3, np.float32), 50.0, np.full(1, 0.5, np.float32))
    totals = np.array([1000, -1000, 0])
    expected = totals * unit(2.0, 2**16, 3) / 50
    assert np.allclose(mean_gradient(law, state, totals, 2**16), expected)
    few = State.start(np.zeros(3, np.float32), -3.0, np.full(1, 0.5, np.float32))
    assert few.members == 10.0


def test_a_trained_network_predicts_better_than_its_first_weights() -> None:
    request = training(network=Mlp(widths=(8,)), features=("age", "walk", "sex"), rounds=20)
    rows = [patients(1000, seed) for seed in (11, 12, 13)]
    opened = rounds_of(request, rows, "8")
    figures = {row.cell[1]: row for row in request.conclude(registry(), opened).rows}
    assert figures["AUC"].low > 0.6
    assert figures["AUC"].low < figures["AUC"].estimate < figures["AUC"].high
    made = request.compiled(registry())
    others = patients(4000, 14)
    batch = encode(made.encoding, made.outcome, others, np.ones(4000, dtype=np.bool_))
    batch = batch.part(batch.known)
    weights = request.weights(registry(), opened)
    said = scores(request.specification.network, made.layout, weights, made.outcome, batch)
    assert abs(area(said, batch.target) - figures["AUC"].estimate) < 0.06


def area(score: np.ndarray, event: np.ndarray) -> float:
    having, without = score[event > 0], score[event == 0]
    above = (having[:, None] > without).mean() + (having[:, None] == without).mean() / 2
    return float(above)


@pytest.mark.parametrize(
    ("field", "text"),
    [("clip", "0"), ("clip", "nan"), ("rate", "-1"), ("momentum", "1"), ("proximal", "x"),
     ("local_rate", "1e9")],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(field: str, text: str) -> None:
    with pytest.raises(BadInput, match="is no number"):
        training(**{field: text})


@pytest.mark.parametrize("by", [("sex", "sex"), ("arm",), ("age",)])
def test_groups_have_cells_and_one_row(by: tuple[str, ...]) -> None:
    with pytest.raises(BadInput):
        training(by=by)


def test_a_request_is_read_back_as_it_was() -> None:
    for fields in ({}, {"network": Gru(width=4), "features": ("walk",)}, {"by": ("sex",)}):
        request = training(**fields)
        assert Train.from_json(request.to_json()) == request
        assert request.normalised(registry()) == request
    assert "Trains a network (mlp) in 20 rounds to predict improved from age" in training().words()


def test_advice_comes_from_public_facts() -> None:
    assert "no better" in (advice(1_200, 1.0, 300) or "")
    assert "is large" in (advice(1_200, 1.0, 90_000) or "")
    assert advice(50_000, 3.0, 300) is None
    assert advice(4_999, 100.0, 300) is not None


def test_torch_is_loaded_by_the_gradient_alone() -> None:
    code = (
        "import sys, models.neural.request, models.neural.shapes, models.neural.metrics;"
        "assert 'torch' not in sys.modules; import models.neural.gradient;"
        "assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
