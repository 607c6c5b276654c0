"""One member leaves: not a bit of what the others add changes, whatever weights they are told."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.neural import forward, shapes
from models.neural.architecture import Gru, Mlp, ResNet, Sizes, initial, parameters
from models.neural.features import Batch, encode
from models.neural.gradient import member_parts, member_vectors, together
from models.neural.request import Train
from models.neural.shapes import MemberVectors, ScoreTables
from models.neural.specification import Compiled
from models.neural.step import Outer, Step
from models.rowwise import product
from privacy.errors import BadInput
from tests.support.training import patients, registry, training

DELTA_GRID = 2**26
MANY = ("age", "sex", "weight", "stage", "walk")
CASES: dict[str, dict[str, Any]] = {
    "mlp": {"network": Mlp(widths=(17, 9), layer_norm=True)},
    "tanh": {"network": Mlp(widths=(33,), activation="tanh"), "features": MANY},
    "resnet": {"network": ResNet(width=13, hidden=7, blocks=1), "features": MANY},
    "gru": {"network": Gru(width=5, head=(6,)), "features": ("age", "walk", "arm")},
    "levels": {"outcome": "stage", "features": ("age", "sex", "weight"), "by": ("sex",)},
    "amount": {"outcome": "score", "local_steps": 3, "proximal": "0.1"},
}


def asked(name: str) -> tuple[Train, Compiled]:
    request = training(**CASES[name]).normalised(registry())
    return request, request.compiled(registry())


def weights_of(made: Compiled, kind: str) -> np.ndarray:
    """Those of a seed, large ones, and layers whose numbers cancel up to how sums are rounded."""
    weights = initial(made.layout, 1)
    if kind == "large":
        return (weights * 50).astype(np.float32)
    start = 0
    for each in made.layout if kind == "cancelling" else ():
        part = weights[start : start + each.count].reshape(each.shape)
        if each.name == "out.weight":
            part -= part.mean(axis=-1, keepdims=True)
            part *= np.float32(1e9)
        elif each.name.endswith("weight"):
            part[:] = part[:1]  # so that all units say the same
        start += each.count
    return weights


@pytest.mark.parametrize("kind", ["first", "large", "cancelling"])
@pytest.mark.parametrize("name", CASES)
def test_a_vector_is_the_same_bits_wherever_its_member_stands(name: str, kind: str) -> None:
    request, made = asked(name)
    rows = patients(150, 4, gaps=0.05)
    batch = encode(made.encoding, made.outcome, rows, np.ones(150, dtype=np.bool_))
    step, weights = request.step(made), weights_of(made, kind)
    whole = member_vectors(step, weights, batch)
    for part in (slice(1, 150), slice(0, 149), slice(3, 4), slice(7, 90)):
        found = member_vectors(step, weights, batch.part(part))
        for one, other in zip(found, whole, strict=True):
            np.testing.assert_array_equal(one, other[part])


def written_out(step: Step, weights: np.ndarray, batch: Batch) -> list[np.ndarray]:
    """What a round adds up, [members, ...] per parameter."""
    parts = [found for found, _ in member_parts(step, weights, batch)]
    whole = [[each.whole if isinstance(each, Outer) else each for each in part] for part in parts]
    return [np.concatenate(each) for each in zip(*whole, strict=True)]


@pytest.mark.parametrize("kind", ["first", "large", "cancelling"])
@pytest.mark.parametrize("name", CASES)
def test_so_are_gradients_in_two_factors_which_are_the_same_gradients(name: str, kind: str) -> None:
    request, made = asked(name)
    batch = encode(
        made.encoding, made.outcome, patients(300, 4, gaps=0.05), np.ones(300, dtype=np.bool_)
    )
    step, weights = request.step(made), weights_of(made, kind)
    whole = written_out(step, weights, batch)
    for one, other in zip(whole, member_vectors(step, weights, batch), strict=True):
        # where numbers cancel, float32 is all that the one-by-one product keeps
        largest = float(np.abs(other[np.isfinite(other)]).max(initial=0.0))
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6 * largest)
    for part in (slice(1, 300), slice(0, 299), slice(3, 4), slice(200, 290)):
        for one, other in zip(written_out(step, weights, batch.part(part)), whole, strict=True):
            np.testing.assert_array_equal(one, other[part])


def leaving(shape: MemberVectors | ScoreTables, members: int) -> float:
    """The largest norm by which a member's leaving moves the total, in units of the bound."""
    rows, everyone = patients(members, 4, gaps=0.05), np.ones(members, dtype=np.bool_)
    total, worst = shape.fold(rows, everyone), 0
    for member in (0, 1, members // 2, members - 1):
        others = everyone.copy()
        others[member] = False
        moved = total - shape.fold(rows.select(others), others[others])
        worst = max(worst, sum(int(each) ** 2 for each in moved))
    return math.sqrt(worst) / DELTA_GRID


def both(name: str, kind: str) -> tuple[MemberVectors, ScoreTables]:
    request, made = asked(name)
    step, weights = request.step(made), weights_of(made, kind)
    base = np.full(made.outcome.outputs, 0.5, dtype=np.float32)
    tables = request.tables(made, registry(), base)
    return (
        MemberVectors(step, made.encoding, made.outcome, weights, DELTA_GRID),
        ScoreTables(step, made.encoding, made.outcome, weights, tables, DELTA_GRID),
    )


@pytest.mark.parametrize("kind", ["first", "large", "cancelling"])
@pytest.mark.parametrize("name", CASES)
def test_a_member_who_leaves_moves_a_total_within_the_bound(name: str, kind: str) -> None:
    for shape in both(name, kind):
        assert leaving(shape, 90) <= 1


def test_scores_that_depend_on_how_many_there_are_are_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The mutant adds, as libraries for matrices may, in an order that the number of rows says."""

    def by_size(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        order = -1 if len(rows) % 2 else 1
        return product(rows[:, ::order], matrix[::order])

    monkeypatch.setattr(forward, "product", by_size)
    assert leaving(both("gru", "cancelling")[1], 90) > 2


@pytest.mark.parametrize("name", ["mlp", "gru"])
def test_few_at_a_time_add_up_to_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, everyone = patients(90, 4, gaps=0.05), np.arange(90) % 7 != 0
    folds: list[Callable[..., np.ndarray]] = [shape.fold for shape in both(name, "large")]
    whole = [fold(rows, everyone) for fold in folds]
    monkeypatch.setattr(shapes, "_NUMBERS_AT_ONCE", 200)
    for fold, expected in zip(folds, whole, strict=True):
        np.testing.assert_array_equal(fold(rows, everyone), expected)


def test_a_recurrent_network_over_too_many_visits_is_refused() -> None:
    with pytest.raises(BadInput, match="visits"):
        parameters(Gru(width=200), Sizes(0, 3, 1000, 1))
    request, made = asked("gru")
    assert together(request.step(made), 4) % 32 == 0
    assert together(request.step(made), 100_000) == 32
