"""Attacks on training. Each is first won against a stub that leaves the protection out."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from models.neural.architecture import Mlp, arrays, initial
from models.neural.features import Batch, encode
from models.neural.gradient import member_vectors
from models.neural.scoring import scores
from models.neural.specification import Compiled
from models.neural.step import Step, clipped_total, unit
from models.rows import Rows
from privacy.accounting.conversion import epsilon_of_rho, rho_of_epsilon
from privacy.discrete_gaussian import noise_share
from privacy.mechanism import GaussianSum, plan_mechanism
from privacy.units import Rho
from tests.support.one_run_audit import lower_bound, lower_epsilon, refutes
from tests.support.seeded import seeded_entropy
from tests.support.training import DELTA, patients, registry, rounds_of, training

ROUNDS = 20


def setting(members: int, **fields: object) -> tuple[Step, Compiled, Rows, Batch]:
    request = training(rounds=ROUNDS, **fields)
    made = request.compiled(registry())
    rows = patients(members, 31, gaps=0.0)
    batch = encode(made.encoding, made.outcome, rows, np.ones(members, dtype=np.bool_))
    return request.step(made), made, rows, batch


def flat(vectors: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([each.reshape(len(each), -1) for each in vectors], axis=1)


def one_round(epsilon: str) -> GaussianSum:
    """The mechanism of one gradient round at three organisations, one of which may collude."""
    part = rho_of_epsilon(Fraction(epsilon), DELTA).units * 90 // (100 * ROUNDS)
    return plan_mechanism(Rho(part), 3, 1)


def opened(
    step: Step, weights: np.ndarray, batch: Batch, mechanism: GaussianSum, seed: int
) -> np.ndarray:
    """What the coordinator sees of a round, in units of the loss: three noise shares in the sum."""
    vectors = member_vectors(step, weights, batch)
    total = clipped_total(vectors, batch.known, step.clip, mechanism.delta_grid)
    for node in range(3):
        entropy = seeded_entropy(f"{seed}/{node}")
        total = total + noise_share(entropy, mechanism.log2_sigma, len(total))
    return total * unit(step.clip, mechanism.delta_grid, len(total))


# A13: the record in the gradient of one member


def inverted(step: Step, gradient: np.ndarray) -> np.ndarray:
    """A first layer's gradient is (error) x (record); its bias' gradient is the error."""
    named = arrays(step.layout, gradient.astype(np.float32))
    weight, bias = named["layer0.weight"], named["layer0.bias"]
    unit_ = int(np.argmax(np.abs(bias)))
    return np.asarray(weight[unit_] / bias[unit_])


def test_one_members_gradient_gives_the_record_away_and_the_noised_sum_does_not() -> None:
    step, made, _, batch = setting(60)
    weights = initial(made.layout, 1)
    mechanism = one_round("3")
    unprotected, clipped, protected, guessed = [], [], [], []
    for member in range(60):
        one = batch.part(slice(member, member + 1))
        record = one.inputs.static[0]
        raw = flat(member_vectors(step, weights, one))[0]
        short = raw * min(1.0, 0.1 / np.linalg.norm(raw))
        unprotected.append(np.abs(inverted(step, raw) - record).max())
        clipped.append(np.abs(inverted(step, short) - record).max())
        seen = opened(step, weights, one, mechanism, member)
        protected.append(np.abs(np.clip(inverted(step, seen), -1, 1) - record).mean())
        guessed.append(np.abs(batch.inputs.static.mean(axis=0) - record).mean())
    assert max(unprotected) < 1e-3, "the stub gives every record away"
    assert max(clipped) < 1e-3, "clipping alone hides nothing"
    assert np.mean(protected) > np.mean(guessed), "guessing the average does better"


# A14, A19: weights made to sort the members of a batch into separate units


def imprint(step: Step, made: Compiled, batch: Batch, units: int) -> np.ndarray:
    """First-layer units that fire above rising thresholds of one measurement."""
    measured = np.random.default_rng(5).normal(size=made.encoding.static_width)
    values = batch.inputs.static @ measured
    edges = np.quantile(values, np.linspace(0, 1, units, endpoint=False)) - 1e-4
    named = {name: np.zeros_like(each) for name, each in
             arrays(step.layout, initial(made.layout, 1)).items()}  # fmt: skip
    named["layer0.weight"][:] = measured
    named["layer0.bias"][:] = -edges
    named["out.weight"][:] = 1e-3
    return np.concatenate([named[each.name].ravel() for each in made.layout]).astype(np.float32)


def sorted_out(step: Step, gradient: np.ndarray, batch: Batch) -> float:
    """The share of members whose record stands, nearly exact, between two neighbouring units."""
    named = arrays(step.layout, gradient.astype(np.float32))
    weight, bias = named["layer0.weight"], named["layer0.bias"]
    with np.errstate(all="ignore"):
        found = np.diff(weight, axis=0, append=0) / np.diff(bias, append=0)[:, None]
    near = np.abs(batch.inputs.static[:, None] - found[None]).max(axis=2)
    return float((np.nan_to_num(near, nan=9.0).min(axis=1) < 0.02).mean())


@pytest.mark.parametrize("members", [32, 128, 256])
def test_weights_that_sort_members_out_win_without_noise_only(members: int) -> None:
    network = Mlp(widths=(512,), activation="relu")
    step, made, _, batch = setting(members, network=network, features=("age", "weight", "score"))
    weights = imprint(step, made, batch, 512)
    raw = flat(member_vectors(step, weights, batch)).astype(np.float64)
    assert sorted_out(step, raw.sum(axis=0), batch) > 0.9, "the stub gives most records away"
    seen = opened(step, weights, batch, one_round("3"), 1)
    assert sorted_out(step, seen, batch) < 0.03


# A18: weights at which one member alone has a gradient


def test_weights_that_single_out_a_member_gain_no_more_than_the_charge_allows() -> None:
    """2,000 rounds with or without the member, by fair coins; more right guesses than the charge
    allows have probability below 1e-6."""
    step, made, _, batch = setting(200, network=Mlp(widths=(4,), activation="relu"))
    target = int(np.argmax(batch.inputs.static[:, 0]))
    second = np.sort(batch.inputs.static[:, 0])[-2]
    named = {name: np.zeros_like(each) for name, each in
             arrays(step.layout, initial(made.layout, 1)).items()}  # fmt: skip
    slope = 1e6
    named["layer0.weight"][0, 0] = slope
    named["layer0.bias"][0] = -slope * (second + batch.inputs.static[target, 0]) / 2
    named["out.weight"][0, 0] = 1e3
    named["out.bias"][0] = -1e4
    weights = np.concatenate([named[each.name].ravel() for each in made.layout])
    raw = flat(member_vectors(step, weights.astype(np.float32), batch))
    size = np.linalg.norm(raw[:, : step.layout[0].count], axis=1)
    assert (size > 0).tolist() == (np.arange(200) == target).tolist(), "the stub names the member"

    mechanism = one_round("3")
    only = [each[target : target + 1].copy() for each in
            member_vectors(step, weights.astype(np.float32), batch)]  # fmt: skip
    vector = clipped_total(only, np.ones(1, dtype=np.bool_), step.clip, mechanism.delta_grid)
    assert sum(int(each) ** 2 for each in vector) <= mechanism.delta_grid**2
    direction = vector / np.linalg.norm(vector)
    there = np.random.default_rng(3).random(2_000) < 0.5
    right = 0
    for trial, present in enumerate(there):
        # two honest shares: the third organisation's is known to the attacker
        noise = sum(
            noise_share(seeded_entropy(f"trap/{trial}/{node}"), mechanism.log2_sigma, len(vector))
            for node in range(2)
        )
        seen = float((noise + present * vector) @ direction)
        right += (seen > np.linalg.norm(vector) / 2) == present
    epsilon = float(epsilon_of_rho(mechanism.rho, DELTA))
    bound = (math.exp(epsilon) + float(DELTA)) / (1 + math.exp(epsilon))
    slack = math.sqrt(math.log(1e6) / (2 * 2_000))
    assert right / 2_000 <= bound + slack


# A16: was this member there?


def members_told_apart(epsilon: str | None, runs: int) -> float:
    """How often a threshold on the member's own risk tells members from others. The members'
    outcomes are coin tosses, so that only remembering them helps. The best threshold is taken."""
    fields = {"features": ("age", "weight", "score", "sex"), "network": Mlp(widths=(48,))}
    there, said = [], []
    for run in range(runs):
        rows = patients(60, 500 + run, gaps=0.0)
        rows.tables["patients"].values["improved"][:] = np.random.default_rng(run).integers(
            0, 2, 60
        )
        half = np.random.default_rng(900 + run).random(60) < 0.5
        private = training(rounds=ROUNDS, **fields)
        free = training(rounds=200, clip="1000", rate="0.2", **fields)
        request = free if epsilon is None else private
        found = rounds_of(
            request,
            [rows.select(half)],
            epsilon or "1000000000",
            noise=epsilon is not None,
            seed=run,
        )
        made = request.compiled(registry())
        batch = encode(made.encoding, made.outcome, rows, np.ones(60, dtype=np.bool_))
        weights = request.weights(registry(), found)
        risk = scores(request.specification.network, made.layout, weights, made.outcome, batch)
        said.append(np.where(batch.target > 0, risk, 1 - risk))
        there.append(half)
    score, present = np.concatenate(said), np.concatenate(there)
    edges = np.quantile(score, np.linspace(0, 1, 50))
    cut = [((score > edge)[present].mean() + (score <= edge)[~present].mean()) / 2
           for edge in edges]  # fmt: skip
    return float(max(cut))


def test_membership_shows_without_privacy_and_not_with_it() -> None:
    bound = math.e / (1 + math.e)  # 73.1 % at epsilon 1
    assert members_told_apart(None, 3) > bound + 0.02
    assert members_told_apart("1", 8) < bound


# The whole trainer, audited with canaries

CANARIES = 40_000


def audited(variance: Fraction, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(score, there): 20 rounds that claim epsilon 3, with noise of `variance` x the claim's.

    A canary is an extra member whose vector is far too long and points along one weight, so that
    canaries are orthogonal and each is read from the openings of all rounds. The attacker knows
    every other member, who therefore cancel.
    """
    made = training(rounds=ROUNDS, network=Mlp(widths=(256, 160))).compiled(registry())
    step = training(rounds=ROUNDS, network=Mlp(widths=(256, 160))).step(made)
    mechanism = plan_mechanism(Rho(rho_of_epsilon(Fraction(3), DELTA).units // ROUNDS), 1, 0)
    there = np.random.default_rng(seed).random(CANARIES) < 0.5
    added = canary(step, mechanism)
    score = np.zeros(CANARIES)
    for number in range(ROUNDS):
        entropy = seeded_entropy(f"audit/{seed}/{number}")
        noise = noise_share(entropy, mechanism.log2_sigma, step.length)[:CANARIES]
        score += there * added + noise * math.sqrt(variance)
    return score, there


def canary(step: Step, mechanism: GaussianSum) -> int:
    """What a canary adds to the opening at its own weight, clipped and rounded as any member is;
    the same for each, and nothing elsewhere."""
    places = np.array([0, 1, CANARIES // 2, CANARIES - 1])
    assert step.length >= CANARIES
    vectors = np.zeros((len(places), step.length), dtype=np.float32)
    vectors[np.arange(len(places)), places] = 50.0
    everyone = np.ones(len(places), dtype=np.bool_)
    total = clipped_total([vectors], everyone, step.clip, mechanism.delta_grid)
    assert np.flatnonzero(total).tolist() == places.tolist()
    assert len(set(total[places].tolist())) == 1
    return int(total[0])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_canaries_do_not_find_more_than_the_claim(seed: int) -> None:
    """The number of right guesses lies 26 standard deviations below what would refute it."""
    score, there = audited(Fraction(1), seed)
    assert 0.5 < lower_epsilon(score, there, DELTA, 1e-3) <= 3.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_canaries_catch_a_build_with_a_tenth_of_the_noise(seed: int) -> None:
    """The number of right guesses lies 20 standard deviations above what refutes the claim, of
    which an honest build is accused with probability below 1e-3 by the theorem."""
    score, there = audited(Fraction(1, 10), seed)
    assert refutes(score, there, float(rho_of_epsilon(Fraction(3), DELTA).fraction), 1e-3)


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 3.0])
def test_the_audit_itself_does_not_cry_wolf(epsilon: float) -> None:
    """Randomised response at exactly epsilon, 100 runs: more than 18 false alarms at 5 % have
    probability below 1e-6."""
    draw = np.random.default_rng(7)
    alarms = 0
    for _ in range(100):
        there = draw.random(400) < 0.5
        truth = draw.random(400) < 1 / (1 + math.exp(-epsilon))
        score = np.where(truth == there, 1.0, -1.0) + draw.normal(0, 1e-3, 400)
        alarms += lower_bound(score, there, delta=0.0, error=0.05) > epsilon
    assert alarms <= 18
