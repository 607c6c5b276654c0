"""Weights that make the treated and the others alike: how much a member counts, by propensity.

With e the chance of being treated given the covariates, a member's weight is h / e if treated and
h / (1 - e) if not, where h says whom the effect is of:

    overlap   e (1 - e)   those whom either might have been given to; weights are at most 1
    ate       1           everybody
    att       e           the treated

For `ate` and `att` e counts as at least `trim` and at most 1 - `trim`, so that weights are bounded.

Source: Li, Morgan and Zaslavsky (2018), JASA 113, 390-400.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np

from models.regression.batch import Floats
from models.regression.special import logistic

Estimand = Literal["overlap", "ate", "att"]
_USUAL = {"overlap": 1.0, "ate": 5.0, "att": 3.0}  # weights are seldom larger


@dataclass(frozen=True)
class Weighting:
    """`trim` is the least chance that counts, and 1 - `trim` the largest."""

    estimand: Estimand
    trim: float

    @property
    def largest(self) -> float:
        """No weight is above it."""
        match self.estimand:
            case "overlap":
                return 1.0
            case "ate":
                return 1 / self.trim
            case "att":
                return max(1.0, (1 - self.trim) / self.trim)
            case _:
                assert_never(self.estimand)

    @property
    def steepest(self) -> float:
        """No weight changes faster with the linear predictor."""
        return 0.25 if self.estimand == "overlap" else 1 / self.trim

    @property
    def usual(self) -> float:
        """What hardly any weight is above."""
        return min(self.largest, _USUAL[self.estimand])

    def of(self, eta: Floats, treated: Floats) -> tuple[Floats, Floats]:
        """(weight, its derivative by eta) per row; `treated` is 1 or 0."""
        chance = logistic(eta)
        if self.estimand == "overlap":
            curve = chance * (1 - chance)
            return treated * (1 - chance) + (1 - treated) * chance, (1 - 2 * treated) * curve
        held = np.clip(chance, self.trim, 1 - self.trim)
        odds = held / (1 - held)
        free = (chance == held).astype(np.float64)
        if self.estimand == "att":
            return treated + (1 - treated) * odds, (1 - treated) * odds * free
        weight = treated / held + (1 - treated) / (1 - held)
        return weight, free * ((1 - treated) * odds - treated / odds)
