"""What stands beside an answer: the question it answers, its noise, its releases, its receipts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from models.noise_law import NoiseLaw
from privacy.contract.canonical import rational
from privacy.mechanism import GaussianSum


@dataclass(frozen=True)
class Receipt:
    """What one node wrote into its ledger before its masked vector left."""

    node: str
    seq: int
    leaf: str
    checkpoint: str

    def __str__(self) -> str:
        return f"{self.node}: entry {self.seq}, leaf {self.leaf[:16]}…"


@dataclass(frozen=True)
class Logging:
    """Where the release stands in the coordinator's own log of `size` lines, under `root`."""

    seq: int
    size: int
    root: str
    checkpoint: str

    def __str__(self) -> str:
        return f"coordinator's log: line {self.seq} of {self.size:,}, root {self.root[:16]}…"


@dataclass(frozen=True)
class Noise:
    """The noise that the total really carries: `survivors` shares of the planned `nodes`."""

    mechanism: GaussianSum
    survivors: int

    @property
    def sd_grid(self) -> float:
        """Standard deviation in grid units, before the estimate's scaling."""
        return NoiseLaw(self.mechanism, self.survivors).sd_grid

    @property
    def relative_to_curator(self) -> float:
        """Noise over that of one trusted curator at the same rho: the price of the margin."""
        kept = self.mechanism.nodes - self.mechanism.margin
        return math.sqrt(self.survivors / kept)

    def to_json(self) -> dict[str, Any]:
        return {
            "mechanism": self.mechanism.to_json(),
            "survivors": self.survivors,
            "sd_grid": self.sd_grid,
            "relative_to_curator": self.relative_to_curator,
        }


@dataclass(frozen=True)
class CombinedNoise(Noise):
    """The noise of several releases together, on the grid of one of them."""

    combined_variance: int

    @property
    def sd_grid(self) -> float:
        return math.sqrt(self.combined_variance)


@dataclass(frozen=True)
class Released:
    """One of the releases that an answer is made of."""

    digest: str
    rho: Fraction
    epsilon: float
    released_at: str

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "rho": rational(self.rho)}


@dataclass(frozen=True)
class Asked:
    """The question that was answered, in words and in canonical form."""

    study: str
    purpose: str
    sentence: str
    analysis: Mapping[str, Any]
    cohort: str
