"""A16: was this member there? Asked of training itself, for cohorts of 2 to 200.

Two attackers know every other member: one sees all openings and tests along the member's own
vectors; one sees the released weights alone and compares the member's score with those of shadow
networks, trained with and without the member (LiRA: Carlini et al. 2022, arXiv 2112.03570). A
lower bound on epsilon follows from how often they are right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import beta, norm

from models.neural.architecture import Mlp
from models.neural.features import Batch, encode
from models.neural.gradient import member_vectors
from models.neural.law import State, mean_gradient, stepped
from models.neural.scoring import scores
from models.neural.specification import first_weights
from models.neural.step import clipped_total
from privacy.accounting.conversion import rho_of_epsilon
from privacy.discrete_gaussian import noise_share
from privacy.mechanism import plan_mechanism
from privacy.units import Rho
from tests.support.seeded import seeded_entropy
from tests.support.training import DELTA, patients, registry, training

ROUNDS, CLAIM = 3, Fraction(1)
BASE = np.full(1, 0.5, dtype=np.float32)


@dataclass(frozen=True)
class Training:
    """Everybody's numbers, the last of whom is the member in question."""

    everyone: Batch

    @classmethod
    def of(cls, members: int) -> Training:
        """The member says the opposite of what all others would lead one to expect."""
        request = training(rounds=ROUNDS, network=Mlp(widths=(4,)), clip="0.1")
        made = request.compiled(registry())
        rows = patients(members, 31, gaps=0.0)
        values = rows.tables["patients"].values
        values["improved"][:-1] = 1
        values["improved"][-1] = 0
        values["age"][-1] = 90.0
        asked = np.ones(members, dtype=np.bool_)
        return cls(encode(made.encoding, made.outcome, rows, asked))

    def run(self, *, present: bool, noise: float, name: str) -> tuple[float, float]:
        """(evidence in all openings, evidence in the released weights) that the member is there."""
        request = training(rounds=ROUNDS, network=Mlp(widths=(4,)), clip="0.1")
        made, law = request.compiled(registry()), request.law()
        step, members = request.step(made), self.everyone.members
        part = rho_of_epsilon(CLAIM, DELTA).units // ROUNDS
        mechanism = plan_mechanism(Rho(part), 1, 0)
        state = State.start(first_weights(made, 1, BASE), float(members), BASE)
        last, seen = np.arange(members) == members - 1, 0.0
        for number in range(ROUNDS):
            vectors = member_vectors(step, state.weights, self.everyone)
            grid, clip = mechanism.delta_grid, step.clip
            own = clipped_total([each.copy() for each in vectors], last, clip, grid)
            others = clipped_total(vectors, ~last, clip, grid)
            drawn = noise_share(
                seeded_entropy(f"{name}/{number}"), mechanism.log2_sigma, step.length
            )
            totals = others + own * present + (drawn * noise).astype(np.int64)
            seen += float((totals - others - own / 2) @ own) / float(grid) ** 2
            state = stepped(law, state, mean_gradient(law, state, totals, grid))
        network = request.specification.network
        risk = scores(network, made.layout, state.weights, made.outcome, self.everyone)[-1]
        return seen, float(np.log(risk) - np.log1p(-risk))


def bound(said: np.ndarray, there: np.ndarray, error: float) -> float:
    """The largest epsilon that the guesses refute: Clopper and Pearson's limits on both errors."""

    def most(wrong: int, of: int) -> float:
        return 1.0 if wrong >= of else float(beta.ppf(1 - error / 2, wrong + 1, of - wrong))

    false = most(int((said & ~there).sum()), int((~there).sum()))
    missed = most(int((~said & there).sum()), int(there.sum()))
    ratios = ((1 - float(DELTA) - missed) / false, (1 - float(DELTA) - false) / missed)
    return max(math.log(max(each, 1e-12)) for each in ratios)


def lower_bounds(members: int, noise: float, runs: int) -> tuple[float, float]:
    """Of the attacker with all openings, and of the one with shadow networks."""
    asked = Training.of(members)
    there = np.random.default_rng(members).random(runs) < 0.5
    once: dict[tuple[bool, int], tuple[float, float]] = {}
    for at, each in enumerate(there):
        key = (bool(each), at if noise else 0)  # without noise there are two runs only
        if key not in once:
            once[key] = asked.run(present=key[0], noise=noise, name=f"{members}/{at}")
    found = np.array([once[bool(each), at if noise else 0] for at, each in enumerate(there)])
    openings = bound(found[:, 0] > 0, there, 1e-3)
    half = np.arange(runs) < runs // 2  # the shadows
    laws = [found[half & (there == side), 1] for side in (True, False)]
    inside, outside = (
        norm.logpdf(found[~half, 1], each.mean(), each.std() + 1e-9) for each in laws
    )
    return openings, bound(inside > outside, there[~half], 1e-3)


@pytest.mark.parametrize("members", [2, 3, 10, 50, 200])
def test_membership_in_a_trained_network_shows_no_more_than_the_claim(members: int) -> None:
    """Each lower bound exceeds a true claim with probability 1e-3 at most; it is far from it."""
    without = lower_bounds(members, 0.0, 120)
    assert min(without) > float(CLAIM), "the stub: training without noise tells who was there"
    assert max(lower_bounds(members, 1.0, 120)) <= float(CLAIM)


def test_too_little_noise_is_caught_for_the_fewest_members() -> None:
    """The failure that was found in a library at two or three members."""
    assert lower_bounds(2, 0.05, 120)[0] > float(CLAIM)
