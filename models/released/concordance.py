"""Harrell's concordance, of members counted by bin of score, interval of time and how it ended.

Of a pair where one had the event while the other was followed for longer, the one who had it
should have the higher score. Where the order is lost a pair counts for what it is on average: two
with the event in one interval as half right; who left in the interval of another's event as half a
pair; and two in one bin of scores as right by the chance that the model gives it. Sums are products
of counts of different cells, so that independent noise leaves them unbiased.

Source: Harrell, Lee and Mark (1996), Statistics in Medicine 15, 361-387.
"""

from __future__ import annotations

import math

import numpy as np

from models.regression.batch import Floats
from models.regression.special import logistic

USUAL = 0.2  # over the root of the events: a sampling error that noise does not get below


def concordance(cells: Floats, sd: float, scores: Floats) -> tuple[float, float, float] | None:
    """(C, error of sampling, error of noise) of `cells` [bins, intervals, (left, event)].

    `scores` [bins] are log hazards, evenly ascending. Errors by the delta method: of members drawn
    independently, and of noise `sd` in each cell. None where pairs are too few for the noise.
    """
    whole = np.ones((len(scores), len(scores)))
    apart = whole - np.eye(len(scores))
    right, slope_right = _sum(cells, higher(scores), apart / 2)
    total, slope_total = _sum(cells, whole, apart)
    if not total > 4 * sd * float(np.linalg.norm(slope_total)):
        return None
    value = right / total
    slope = (slope_right - value * slope_total) / total
    events = max(float(cells[:, :, 1].sum()), 1.0)
    sampling = math.sqrt(max(float((cells * slope**2).sum()), USUAL**2 / events))
    return value, sampling, sd * float(np.linalg.norm(slope))


def higher(scores: Floats) -> Floats:
    """[bins, bins]: the chance that who had the event first, of the first bin, has a higher score
    than the other, of the second; within a bin, with hazards as the model has them."""
    bins, width = len(scores), float(scores[1] - scores[0])
    within = float(logistic(np.array([width / 3]))[0])  # a third: the mean distance in a bin
    return np.asarray(np.tril(np.ones((bins, bins)), -1) + within * np.eye(bins))


def _sum(cells: Floats, over: Floats, same: Floats) -> tuple[float, Floats]:
    """The sum over pairs, weighted by `over` [bins with the event, bins of the other] and by
    `same` for two events in an interval; and how it changes with each cell."""
    left, events = cells[:, :, 0], cells[:, :, 1]
    ended = left + events
    later = np.cumsum(ended[:, ::-1], axis=1)[:, ::-1] - ended
    earlier = np.cumsum(events, axis=1) - events
    against, beside = over @ (later + left / 2), same @ events
    slopes = np.stack([over.T @ (earlier + events / 2), against + over.T @ earlier + beside], 2)
    return float((events * (against + beside / 2)).sum()), slopes
