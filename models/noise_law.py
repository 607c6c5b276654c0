"""The noise that a released total really carries: a public fact of the run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from privacy.mechanism import GaussianSum


@dataclass(frozen=True)
class NoiseLaw:
    """Every number of the total carries independent discrete Gaussian noise of one variance.

    The variance is that of `survivors` shares, in grid units squared; with more survivors than
    the K - t that the cost assumes, there is more noise than was paid for, and it is stated.
    Assumes: every survivor added its share (the mechanism's margin covers those that did not).
    """

    mechanism: GaussianSum
    survivors: int

    @property
    def variance_grid(self) -> int:
        return self.mechanism.noise_variance(self.survivors)

    @property
    def sd_grid(self) -> float:
        """Standard deviation of the noise on one number, in grid units."""
        return math.sqrt(self.variance_grid)


@dataclass(frozen=True)
class CombinedLaw(NoiseLaw):
    """The noise of several releases combined, on the grid of the one of `mechanism`.

    `combined_variance` is in that grid's units squared, rounded up.
    """

    combined_variance: int

    @property
    def variance_grid(self) -> int:
        return self.combined_variance
