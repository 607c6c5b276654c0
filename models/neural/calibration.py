"""Straightening a risk afterwards: two numbers fitted to the noised table, at no further cost.

Noise in the weights spreads the scores, so that a network says 5 % where 15 % is right. The log
odds z become slope * z + shift, where slope and shift solve the logistic score equations of the
table's cells; those are linear in the cells, so noise leaves them unbiased.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.neural.scoring import STEP, Bins

Doubles = NDArray[np.float64]

_STEPS = 30
_FEWEST = 20.0  # members' worth of curvature that stands for "as it is" (slope 1, shift 0)
_SLOPES = (0.05, 3.0)


@dataclass(frozen=True)
class Straightening:
    """Log odds z become slope * z + shift; the order of members stays (slope > 0)."""

    slope: float = 1.0
    shift: float = 0.0

    def bins(self, bins: Bins) -> Bins:
        """The same bins, named by the straightened risk."""
        moved = self.slope * _logit(np.array(bins.edges)) + self.shift
        return Bins(tuple(float(each) for each in 1 / (1 + np.exp(-moved))))

    def weights(self, weights: NDArray[np.float32], inputs: int) -> NDArray[np.float32]:
        """The network with the map in its last layer: `inputs` weights and one bias, at the end."""
        found = weights.astype(np.float64)
        found[-inputs - 1 :] *= self.slope
        found[-1] += self.shift
        return found.astype(np.float32)


def straightened(bins: Bins, cells: Doubles) -> Straightening:
    """From one table [bins, 2] of members without and with the event, noised."""
    edges = _logit(np.array(bins.edges))
    middles = np.concatenate([[edges[0] - STEP / 2], (edges[1:] + edges[:-1]) / 2,
                              [edges[-1] + STEP / 2]])  # fmt: skip
    design = np.stack([middles, np.ones_like(middles)], axis=1)
    total, having = cells.sum(axis=1), cells[:, 1]
    start = np.array([1.0, 0.0])
    found = start.copy()
    for _ in range(_STEPS):
        risk = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
        score = design.T @ (having - total * risk) - _FEWEST * 0.25 * (found - start)
        curve = np.maximum(total, 0.0) * risk * (1 - risk)
        hessian = (design * curve[:, None]).T @ design + _FEWEST * 0.25 * np.eye(2)
        found = found + np.clip(np.linalg.solve(hessian, score), -0.5, 0.5)
    if not np.isfinite(found).all() or not _SLOPES[0] <= found[0] <= _SLOPES[1]:
        return Straightening()
    return Straightening(float(found[0]), float(np.clip(found[1], -5.0, 5.0)))


def _logit(risk: Doubles) -> Doubles:
    return np.asarray(np.log(risk) - np.log1p(-risk))
