"""Which rounds' targets are taken into the mean: all, or the last where the first went astray."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.regression.joining import Doubt, Target, _kept

NOISE = 0.01
FAR = np.array([0.5, -0.5])


class Sure(Doubt):
    """Nothing is doubted of the law."""

    def __init__(self) -> None:
        self.plain, self.mapped, self.variance = np.eye(2), np.eye(2), 0.0

    def of(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return 0.0 * matrix


def targets(*thetas: NDArray[np.float64]) -> list[Target]:
    return [Target(theta, np.eye(2), np.eye(2), NOISE, np.zeros(2)) for theta in thetas]


def round_about(rng: np.random.Generator, middle: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(middle + rng.normal(0.0, NOISE, 2))


@pytest.mark.parametrize("seed", range(5))
def test_targets_that_went_to_and_fro_are_left_out(seed: int) -> None:
    rng = np.random.default_rng([31, seed])
    astray = [FAR, -FAR, FAR / 2]
    settled = [round_about(rng, np.zeros(2)) for _ in range(3)]
    found = targets(*astray, *settled)
    kept = _kept(found, Sure())
    assert list(kept) == found[3:]


@pytest.mark.parametrize("seed", range(5))
def test_all_are_kept_where_they_lie_as_far_apart_as_noise_does(seed: int) -> None:
    rng = np.random.default_rng([32, seed])
    found = targets(*[round_about(rng, FAR) for _ in range(6)])
    assert list(_kept(found, Sure())) == found
