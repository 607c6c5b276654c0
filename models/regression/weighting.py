"""Weights that make the treated and the others alike: how much a member counts, by propensity.

With e the chance of being treated given the covariates, a member's weight is h / e if treated and
h / (1 - e) if not, where h says whom the effect is of:

    overlap   e (1 - e)   those whom either might have been given to; weights are at most 1
    ate       1           everybody
    att       e           the treated

For `ate` and `att` h falls to 0 where e is nearer than `trim` to 0 or 1 (to 1 alone for `att`), in
proportion to that distance: weights are bounded, and both arms still weigh the same members alike.
Holding e itself within bounds would leave the arms different there.

Source: Li, Morgan and Zaslavsky (2018), JASA 113, 390-400; Mao, Li and Greene (2019), Statistical
Methods in Medical Research 28, 2439-2454 (trapezoidal weights).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np

from models.regression.batch import Floats
from models.regression.special import logistic

Estimand = Literal["overlap", "ate", "att"]
_CERTAIN = 1e-12  # a chance is held so far from 0 and 1
_USUAL = {"overlap": 1.0, "ate": 5.0, "att": 3.0}  # weights are seldom larger


@dataclass(frozen=True)
class Weighting:
    """Members with a chance below `trim` or above 1 - `trim` count less."""

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

    def extreme(self, eta: Floats) -> float:
        """The part of rows whose chance is nearer than `trim` to 0 or 1, where that matters."""
        if self.estimand == "overlap":
            return 0.0
        chance = logistic(eta)
        return float(np.mean(np.minimum(chance, 1 - chance) < self.trim))

    def of(self, eta: Floats, treated: Floats) -> tuple[Floats, Floats]:
        """(weight, its derivative by eta) per row; `treated` is 1 or 0."""
        chance = logistic(eta)
        if self.estimand == "overlap":
            curve = chance * (1 - chance)
            return treated * (1 - chance) + (1 - treated) * chance, (1 - 2 * treated) * curve
        chance = np.clip(chance, _CERTAIN, 1 - _CERTAIN)
        level, rise = self._tilt(chance)
        own = np.where(treated > 0, chance, 1 - chance)
        steeper = np.where(treated > 0, 1 - chance, -chance)
        return level / own, (rise - level * steeper) / own

    def _tilt(self, chance: Floats) -> tuple[Floats, Floats]:
        """(h, its derivative by the linear predictor)."""
        curve, falls = chance * (1 - chance), chance > 1 - self.trim
        if self.estimand == "att":
            share = (1 - self.trim) / self.trim
            level = np.where(falls, share * (1 - chance), chance)
            return level, np.where(falls, -share * curve, curve)
        rises = chance < self.trim
        level = np.where(rises, chance, np.where(falls, 1 - chance, self.trim)) / self.trim
        return level, np.where(rises, curve, np.where(falls, -curve, 0.0)) / self.trim
