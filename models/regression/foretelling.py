"""What standard error a coefficient will have, before anything is spent.

Of a covariate's standard deviation, on the scale on which the model is linear, so that neither the
covariates' spread nor their units matter; how much one member tells is taken as usual.
"""

from __future__ import annotations

import math

import numpy as np

from models.aggregates.expected import Expected
from models.regression.choosing import gram_noise
from models.regression.families import Linear, Logistic, NegativeBinomial, Ordinal
from models.regression.fitting import Course, usual_gain
from models.regression.outcome import Model
from models.regression.population import USUAL_CORRELATION
from models.regression.survival import PiecewiseHazard
from models.result import Z95

_KEPT = 0.65  # of a product, after clipping
_NEWTON_SPREAD = 0.3  # of a scaled column
_USUAL_ERROR = 0.25  # of a scaled outcome


def foretold(model: Model, course: Course, unit_noise: float, members: int) -> Expected:
    """`unit_noise` is the noise on a number to which each member adds at most 1, if the whole
    cost went into one opening."""
    scale, told, assumed = _usual(model)
    whole = course.whole
    asked = sum(
        weight
        for kind, weight in zip(course.kinds, course.weights, strict=True)
        if kind == course.kinds[-1]
    )
    if course.method == "newton":
        kept, rough = 1.0, 0.0
        noise = _newton(model, course) / math.sqrt(told) * unit_noise / members
    else:
        kept = usual_gain(model, course)
        rough = _rough(model, course, unit_noise, members)
        noise = course.score_clip * math.sqrt(whole / asked) * unit_noise / members / kept
    wide = Z95 * math.sqrt((1 + rough) / told)
    return Expected(
        noise * wide * _heavier(model),
        wide / math.sqrt(members * kept),
        f"{scale} per standard deviation of a covariate",
        f"{members:,} members, uncorrelated covariates, {assumed}",
        "a coefficient",
    )


def _newton(model: Model, course: Course) -> float:
    """The noise on a score with full bounds, of a column of a usual spread."""
    variance = _USUAL_ERROR**2
    score, _ = model.row_bounds(np.full(model.size, math.log(variance)))
    if isinstance(model.family, Linear):
        score *= math.sqrt(variance)
    parts = 4 if course.clustered else 3
    each = parts * course.whole / course.weights[-1]
    return score * model.most_rows * math.sqrt(each) / _NEWTON_SPREAD


def _heavier(model: Model) -> float:
    """Noise beside that on scores of equal size: slopes are weighted, counts tell unequally."""
    if model.precise:
        return 1.5
    return 1.3 if model.counts else 1.1


def _rough(model: Model, course: Course, unit_noise: float, members: int) -> float:
    """By how much variances grow since products of covariates are known roughly."""
    width = len(model.multiplied)
    if course.known is not None:
        return course.known.roughness**2 / 2 * (width + 1)
    noise = gram_noise(model, unit_noise, members) / math.sqrt(width) / _KEPT
    signal = USUAL_CORRELATION**2
    left = noise**2 * signal / (signal + noise**2 / 2)
    return left / 2 * (width + 1)


def _usual(model: Model) -> tuple[str, float, str]:
    """The scale of coefficients, a member's information on it, and what that takes for granted."""
    if isinstance(model, PiecewiseHazard):
        return "log hazard", 0.4, "an event of 40 % of them"
    match model.family:
        case Linear():
            return "standard deviations of the outcome's error", 1.0, "a normal error"
        case Logistic():
            return "log odds", 0.2, "an outcome of neither few nor nearly all"
        case Ordinal():
            return "log odds", 0.28, "classes of about equal size"
        case NegativeBinomial():
            return "log of the mean", 0.6, "counts with a mean of about 1"
        case _:
            return "log of the mean", 1.0, "counts with a mean of about 1"
