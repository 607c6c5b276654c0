"""What an attacker sees of opened totals, and how often right guesses are allowed.

Of two worlds, one with a member and one without, told apart by fair coins, differential privacy
bounds the share of right guesses; a sample of runs may pass that by `slack` with probability 1e-6.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from privacy.accounting.conversion import epsilon_of_rho
from privacy.discrete_gaussian import noise_share
from privacy.mechanism import GaussianSum
from privacy.units import Rho
from tests.support.seeded import seeded_entropy

DELTA = Fraction(1, 10**6)


def noised(exact: np.ndarray, mechanism: GaussianSum, name: str) -> np.ndarray:
    """Three shares, one of which is the attacker's own and taken away again."""
    shares = (
        noise_share(seeded_entropy(f"{name}/{node}"), mechanism.log2_sigma, len(exact))
        for node in range(2)
    )
    return np.asarray(exact + sum(shares))


def coins(runs: int, seed: int) -> np.ndarray:
    """In which of the runs the member is there."""
    return np.asarray(np.random.default_rng(seed).random(runs) < 0.5)


def told_apart(vector: np.ndarray, mechanism: GaussianSum | None, name: str) -> float:
    """The share of right guesses of the best test: along the member's own vector."""
    size, runs = float(np.linalg.norm(vector)), 2_000
    direction, right = vector / size, 0
    for trial, present in enumerate(coins(runs, 3)):
        seen = vector * present
        if mechanism is not None:
            seen = noised(seen, mechanism, f"{name}/{trial}")
        right += bool(float(seen @ direction) > size / 2) == present
    return right / runs


def allowed(rho: Rho, runs: int) -> float:
    """The largest share of right guesses at this loss, and what chance may add in so many runs."""
    epsilon = epsilon_of_rho(rho, DELTA)
    bound = (math.exp(epsilon) + float(DELTA)) / (1 + math.exp(epsilon))
    return bound + math.sqrt(math.log(1e6) / (2 * runs))
