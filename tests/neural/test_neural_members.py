"""One member, one bounded vector: nothing of the others in it, and never longer than agreed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.neural.architecture import Gru, Mlp, ResNet, Sizes, arrays, initial, parameters
from models.neural.features import Batch, encode
from models.neural.forward import Inputs
from models.neural.gradient import member_vectors
from models.neural.specification import Compiled
from models.neural.step import Local, Step, clipped_total, unit
from privacy.errors import BadInput
from tests.support.training import patients, registry, training

Vectors = Callable[[Batch], list[np.ndarray]]
CASES = {
    "mlp": {"network": Mlp(widths=(8,), layer_norm=True)},
    "resnet": {"network": ResNet(width=6, hidden=6)},
    "gru": {"network": Gru(width=5), "features": ("age", "walk", "arm")},
    "levels": {"outcome": "stage", "features": ("age", "sex")},
    "amount": {"outcome": "score", "local_steps": 3, "proximal": "0.1"},
}


def prepared(name: str, members: int = 24) -> tuple[Step, np.ndarray, Batch, Compiled]:
    request = training(**CASES[name])
    made = request.compiled(registry())
    rows = patients(members, 4, gaps=0.05)
    batch = encode(made.encoding, made.outcome, rows, np.ones(members, dtype=np.bool_))
    return request.step(made), initial(made.layout, 1), batch, made


def flat(vectors: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([each.reshape(len(each), -1) for each in vectors], axis=1)


def others_matter(vectors: Vectors, batch: Batch) -> bool:
    """Does the first member's vector change when all others are replaced?"""
    inputs = batch.inputs
    changed = Batch(
        Inputs(-inputs.static, -inputs.visits, 1 - inputs.present), 1 - batch.target, batch.known
    )
    for pair in ((inputs.static, changed.inputs.static), (batch.target, changed.target),
                 (inputs.visits, changed.inputs.visits),
                 (inputs.present, changed.inputs.present)):  # fmt: skip
        pair[1][0] = pair[0][0]
    before, after = flat(vectors(batch))[0], flat(vectors(changed))[0]
    return not np.allclose(before, after, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_a_members_vector_has_nothing_of_the_others(name: str) -> None:
    step, weights, batch, _ = prepared(name)
    assert not others_matter(lambda part: member_vectors(step, weights, part), batch)


def test_a_layer_that_mixes_members_is_caught() -> None:
    step, weights, batch, _ = prepared("mlp")
    named = arrays(step.layout, weights)

    def mutant(part: Batch) -> list[np.ndarray]:
        """The same network with a batch norm in place of the layer norm."""
        tensors = {name: torch.from_numpy(each.copy()) for name, each in named.items()}
        for each in tensors.values():
            each.requires_grad_()
        hidden = torch.from_numpy(part.inputs.static) @ tensors["layer0.weight"].T
        hidden = (hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + 1e-5).sqrt()
        hidden = torch.nn.functional.silu(hidden * tensors["norm0.scale"] + tensors["norm0.shift"])
        shown = (hidden @ tensors["out.weight"].T + tensors["out.bias"])[:, 0]
        goal = torch.from_numpy(part.target)
        losses = torch.nn.functional.binary_cross_entropy_with_logits(shown, goal, reduction="none")
        found = []
        for loss in losses:
            slopes = torch.autograd.grad(
                loss, list(tensors.values()), retain_graph=True, allow_unused=True
            )
            found.append(torch.cat([each.ravel() for each in slopes if each is not None]).numpy())
        return [np.stack(found)]

    assert others_matter(mutant, batch)


@pytest.mark.parametrize("name", ["mlp", "resnet", "gru", "levels"])
def test_a_members_vector_is_the_gradient_of_the_members_loss(name: str) -> None:
    """Against finite differences in double precision."""
    step, weights, batch, made = prepared(name)
    found = flat(member_vectors(step, weights, batch))
    draw = np.random.default_rng(0)
    for place in draw.choice(step.length, 12, replace=False):
        moved = [weights.astype(np.float64), weights.astype(np.float64)]
        for sign, each in zip((1, -1), moved, strict=True):
            each[place] += sign * 1e-3
        high, low = (_losses(step, made, each, batch) for each in moved)
        assert np.allclose(found[:, place], (high - low) / 2e-3, atol=2e-4)


def _losses(step: Step, made: Compiled, weights: np.ndarray, batch: Batch) -> np.ndarray:
    from models.neural.forward import NUMPY, outputs

    shown = outputs(step.network, NUMPY, arrays(made.layout, weights), batch.inputs)
    if step.loss == "level":
        chosen = shown[np.arange(len(shown)), batch.target.astype(int)]
        return np.log(np.exp(shown).sum(axis=1)) - chosen
    return np.log1p(np.exp(shown[:, 0])) - batch.target * shown[:, 0]


def test_one_local_step_is_the_gradient_and_more_follow_the_members_descent() -> None:
    step, weights, batch, _ = prepared("mlp")
    once = Step(step.network, step.layout, step.loss, 1.0, Local(1, 0.1))
    gradient = flat(member_vectors(step, weights, batch))
    assert np.allclose(flat(member_vectors(once, weights, batch)), gradient, atol=1e-5)
    twice = Step(step.network, step.layout, step.loss, 1.0, Local(2, 0.1, 0.5))
    for member in range(3):
        one = batch.part(slice(member, member + 1))
        first = weights - 0.1 * gradient[member]
        slope = flat(member_vectors(step, first, one))[0] + 0.5 * (first - weights)
        expected = (weights - (first - 0.1 * slope)) / 0.1
        assert np.allclose(flat(member_vectors(twice, weights, batch))[member], expected, atol=1e-4)


def test_a_member_with_many_visits_is_one_unit() -> None:
    step, weights, batch, _ = prepared("gru")
    vectors = member_vectors(step, weights, batch)
    assert all(len(each) == batch.members for each in vectors)
    for member in range(batch.members):
        alone = [each[member : member + 1].copy() for each in vectors]
        total = clipped_total(alone, np.ones(1, dtype=np.bool_), 1e-3, 5_000)
        assert sum(int(each) ** 2 for each in total) <= 5_000**2


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    delta_grid=st.sampled_from([1, 2, 7, 1000, 2**18, 2**26, 2**26 + 1, 2**30]),
    size=st.floats(-30, 30),
    odd=st.sampled_from([0.0, np.nan, np.inf, -np.inf, 3e38]),
)
def test_no_members_integers_are_longer_than_the_bound(
    seed: int, delta_grid: int, size: float, odd: float
) -> None:
    draw = np.random.default_rng(seed)
    length = int(draw.integers(1, 40))
    rows = (draw.normal(size=(4, length)) * 10.0**size).astype(np.float32)
    rows[1, 0] = odd
    for row in rows:
        total = clipped_total([row[None].copy()], np.ones(1, dtype=np.bool_), 1.0, delta_grid)
        assert sum(int(each) ** 2 for each in total) <= delta_grid**2
        if not np.isfinite(row).all():
            assert not total.any()


def test_a_vector_of_half_steps_is_still_within_the_bound() -> None:
    """Where rounding is as large as the ball: 400 numbers of 1/2 + a little, norm bound 12."""
    rows = np.full((3, 400), 1.0, dtype=np.float32)
    total = clipped_total([rows], np.array([True, False, False]), 20.0, 12)
    assert sum(int(each) ** 2 for each in total) <= 144


@pytest.mark.parametrize("delta_grid", [2**18, 2**29])
def test_totals_are_sums_of_rounded_members_in_any_split(delta_grid: int) -> None:
    draw = np.random.default_rng(5)
    rows = [draw.normal(size=(70, 9, 3)).astype(np.float32),
            draw.normal(size=(70, 5000)).astype(np.float32)]  # fmt: skip
    use = draw.random(70) < 0.8
    whole = clipped_total([each.copy() for each in rows], use, 30.0, delta_grid)
    parts = [
        clipped_total([each[start : start + 7].copy() for each in rows], use[start : start + 7],
                      30.0, delta_grid)
        for start in range(0, 70, 7)
    ]  # fmt: skip
    assert np.array_equal(whole, np.sum(parts, axis=0))
    length = 27 + 5000
    plain = np.concatenate([each.reshape(70, -1) for each in rows], axis=1).astype(np.float64)
    plain *= (30.0 / np.maximum(np.linalg.norm(plain, axis=1), 30.0) * use)[:, None]
    assert np.abs(whole * unit(30.0, delta_grid, length) - plain.sum(axis=0)).max() < 0.01


def test_a_bound_out_of_range_is_refused() -> None:
    rows = [np.ones((1, 3), dtype=np.float32)]
    for delta_grid in (0, 2**30 + 1):
        with pytest.raises(BadInput):
            clipped_total(rows, np.ones(1, dtype=np.bool_), 1.0, delta_grid)


def test_sizes_say_what_a_flat_vector_holds() -> None:
    layout = parameters(Mlp(widths=(3,)), Sizes(2, 0, 0, 1))
    assert [each.name for each in layout] == [
        "layer0.weight", "layer0.bias", "out.weight", "out.bias"
    ]  # fmt: skip
    assert sum(each.count for each in layout) == 13
