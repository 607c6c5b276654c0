"""Made-up members: points spread evenly under a law of covariates, the same on every machine.

Numbers are normal. A column of two values is a normal score cut where its share demands; what the
cut takes from its correlations is given back beforehand, to first order. Every point stands with
its mirror image, and with `REPEATS` standard normal numbers for the outcome, one of each part of
the law and each with its opposite: what a symmetric law cancels, cancels here too.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from models.regression.batch import Floats
from models.regression.special import even_normal

REPEATS = 8
FARTHEST = 1.5  # no covariate is beyond it, in the units of its bounds
_LEAST_EIGENVALUE = 1e-3
_MOST_CORRELATED = 0.95
_STEP = 0.7548776662466927  # of no field with a square root, as the steps of covariates are


def members(mean: Floats, covariance: Floats, low: Floats, points: int) -> Floats:
    """[points * REPEATS, d], rows of one point together.

    `low` [d] is the lower of a column's two values, which are 1 apart; NaN for a number. A
    column without variance is its mean.
    """
    scale = np.sqrt(np.diag(covariance))
    free = np.flatnonzero(scale > 0)
    x = np.tile(mean, (points, 1))
    if len(free):
        x[:, free] = _free(
            mean[free], covariance[np.ix_(free, free)], low[free], scale[free], points
        )
    return np.repeat(np.clip(x, -FARTHEST, FARTHEST), REPEATS, axis=0)


def _free(mean: Floats, covariance: Floats, low: Floats, scale: Floats, points: int) -> Floats:
    two = ~np.isnan(low)
    share = np.where(two, np.clip(mean - np.nan_to_num(low), 0.005, 0.995), 0.5)
    kept = np.where(two, [_kept(each) for each in share.tolist()], 1.0)
    half = even_normal(points // 2, len(mean))
    scores = np.concatenate([half, -half]) @ _root(
        covariance / np.outer(scale * kept, scale * kept)
    )
    above = np.sort(scores, axis=0)[::-1]
    cut = above[np.rint(share * points).astype(np.int64), np.arange(len(mean))]
    return np.where(two, np.nan_to_num(low) + (scores > cut), mean + scores * scale)


def _kept(share: float) -> float:
    """The correlation of a normal score with whether it is among so many largest."""
    law = NormalDist()
    return law.pdf(law.inv_cdf(share)) / math.sqrt(share * (1 - share))


def _root(correlation: Floats) -> Floats:
    """R with R' R a matrix of correlations near the given one."""
    near = np.clip(correlation, -_MOST_CORRELATED, _MOST_CORRELATED)
    np.fill_diagonal(near, 1.0)
    values, axes = np.linalg.eigh(near)
    near = (axes * np.maximum(values, _LEAST_EIGENVALUE)) @ axes.T
    spread = np.sqrt(np.diag(near))
    return np.asarray(np.linalg.cholesky(near / np.outer(spread, spread)).T)


@lru_cache(maxsize=16)
def outcomes(points: int) -> Floats:
    """[points * REPEATS]: a standard normal number for each row of `members`."""
    place = np.modf(np.arange(1, points + 1) * _STEP)[0]
    low = (np.arange(REPEATS // 2) + place[:, None]) / REPEATS
    uniform = np.concatenate([low, 1 - low[:, ::-1]], axis=1).ravel()
    normal = NormalDist()
    edge = 1 / (4 * points * REPEATS)
    found = np.array([normal.inv_cdf(min(max(each, edge), 1 - edge)) for each in uniform])
    found /= math.sqrt(float(np.mean(found**2)))
    found.setflags(write=False)
    return found
