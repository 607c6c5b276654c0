"""Which way a regression is fitted, from public facts, and how its cost is divided.

- *newton*: scores and information, every round anew. Its noise grows with the dictionary's full
  bounds, so that it is chosen only where even data that tell little leave it small against the
  sampling error; the fit is then the pooled one.
- *gram*: one noisy matrix of products, then scores mapped by it. The usual way.
- *gradient*: scores mapped by means and variances alone; never chosen. With few members and little
  epsilon it predicts best, but it says nothing of single coefficients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from models.regression.families import Linear
from models.regression.fitting import Course
from models.regression.outcome import Glm, Model
from models.regression.population import Covariates

Way = Literal["gradient", "gram", "newton"]
NEWTON_ROUNDS = 7
GRAM_ROUNDS = 6
GRADIENT_ROUNDS = 7
_FIRST = (0.15, 0.18)  # parts of the cost for moments and products
_FIRST_OF_FEW = (0.20, 0.20)  # of few columns under much noise; less of it as there is less
_FEW_COLUMNS = 4
_MUCH = 0.4  # noise against the sampling error
_CLOSE, _WIDE = 0.65, 0.9  # clips where noise is as large as the sampling error
_GRADIENT_MOMENTS = 0.20
_OUTCOME = 0.04  # for the outcome's moments alone
_FINER = 10  # so that parts of small weights are whole too
SMALL = 0.25  # noise against the sampling error, of data that tell little: 3 % of an interval
CLEAR = 0.08  # noise on the information, of the same: rounds before the last have some six times it
LOUD = 0.5  # noise against products of columns
_LAST = 5.0  # how much more Newton's last round costs than all before it
_HARDLY_VARIES = 0.01  # variance of a scaled column: a level that one of a hundred has
_RARE = 0.05  # information of one row on its predictor, of a yes or an event that few have
_FEW = 0.2  # mean of a count, whatever its bound
_PRECISE = 0.01  # variance of a scaled outcome about its line


@dataclass(frozen=True)
class Choice:
    """`clip` is the score's, in units of the square root of the number of parameters."""

    way: Way
    clip: str
    why: str


def course_of(model: Model, way: Way, clip: float) -> Course:
    """The rounds of a run: their weights and the members' bounds."""
    free = [flat for at, flat in enumerate(model.flat) if model.constant(at) is None]
    columns = sum(0.25 if flat else 0.5 for flat in free)
    offset = model.largest_offset**2  # moments hold it as it is
    size = math.sqrt(2 + columns + model.usual_moments + offset)
    match way:
        case "newton":
            early = NEWTON_ROUNDS - 1
            weights = (1,) * (1 + early) + (math.ceil(_LAST * (1 + early)),)
        case "gram":
            usual = _CLOSE if isinstance(model.family, Linear) else _WIDE
            moments, gram = first_parts(model, (usual / clip) ** 2)
            each = (1 - moments - gram) / GRAM_ROUNDS
            weights = _whole(moments, gram, *[each] * GRAM_ROUNDS)
        case _:
            each = (1 - _GRADIENT_MOMENTS) / GRADIENT_ROUNDS
            weights = _whole(_GRADIENT_MOMENTS, *[each] * GRADIENT_ROUNDS)
    damping = 1.5 if way == "gradient" else 1.0
    bound = clip * float(np.linalg.norm(model.loudness))
    clustered = way == "newton" and not model.independent
    if clustered:  # rows are counted in full, as a standard error by member asks
        size = math.sqrt(2 + 2 * len(free) + model.moment_count + offset)
    gram_clip = float(len(model.multiplied))
    return Course(way, weights, size, gram_clip, bound, damping, clustered=clustered)


def reusing(model: Glm, course: Course, known: Covariates) -> Course:
    """The same course where an earlier fit opened the covariates' law: the outcome's moments
    alone, what comes after with as much noise as ever, and the rest of the cost is spared."""
    weights = tuple(_FINER * each for each in course.weights)
    later = weights[course.kinds.index("gram") + 1 :] if "gram" in course.kinds else weights[1:]
    outcome = min(round(_OUTCOME * sum(weights)), weights[0] // 2)
    return replace(
        course,
        weights=(outcome, *later),
        moments_clip=math.sqrt(2 + model.usual_moments + model.largest_offset**2),
        known=known,
        spared=sum(weights) - outcome - sum(later),
    )


def first_parts(model: Model, noise: float) -> tuple[float, float]:
    """The parts of the cost for moments and for products of columns.

    `noise` is that on scores against the sampling error. Where there is little of it, a small part
    is enough of few columns: what noise on moments does to a fit is of second order.
    """
    free = sum(model.constant(at) is None for at in range(model.width))
    if free > _FEW_COLUMNS:
        return _FIRST
    loud = min(1.0, math.sqrt(noise / _MUCH))
    return _FIRST_OF_FEW[0] * loud, _FIRST_OF_FEW[1] * loud


def _whole(*parts: float) -> tuple[int, ...]:
    return tuple(round(1200 * part) for part in parts)


def choose(model: Model, unit_noise: float, members: int, way: Way | None = None) -> Choice:
    """For a cohort of about `members`; `unit_noise` is the standard deviation of the noise on a
    number to which each member adds at most 1, if the whole cost went into one opening. Where
    `way` is written, the clip alone is chosen, as it would be in that way."""
    noise = _relative(model, unit_noise, members)
    newton, blur = newton_noise(model, unit_noise, members)
    if way is None and newton <= SMALL and blur <= CLEAR:
        return Choice(
            "newton",
            _clip(model, noise, 1.1),
            f"newton, since even if the data tell little the noise is about {newton:.2g} "
            f"of the sampling error with {members:,} members",
        )
    gram = gram_noise(model, unit_noise, members)
    clip = _clip(model, noise, 1.1 if gram <= LOUD else 0.7)
    if way is not None:
        return Choice(way, clip, f"{way}, as it was written")
    return Choice(
        "gram",
        clip,
        f"gram, since the noise on the products is about {gram:.0%} of them "
        f"with {members:,} members",
    )


def newton_noise(model: Model, unit_noise: float, members: int) -> tuple[float, float]:
    """The noise on a coefficient against its sampling error, and on its information relatively, in
    a fit by newton of data that tell little: of a column that hardly varies, of a rare outcome."""
    theta = np.full(model.size, math.log(_PRECISE))
    score, information = model.row_bounds(theta)
    tau = math.sqrt((3 if model.independent else 4) * (1 + _LAST) / _LAST) * unit_noise
    told = members * _HARDLY_VARIES * _least_told(model)
    full = tau * model.most_rows
    return full * score / math.sqrt(told), full * information / told


def _least_told(model: Model) -> float:
    """The information of a row on its predictor, where an outcome tells little."""
    if isinstance(model.family, Linear):
        return 1 / _PRECISE
    if model.counts:
        return _FEW
    return _RARE


def gram_noise(model: Model, unit_noise: float, members: int) -> float:
    """The noise on the products of columns, relative to them."""
    width = len(model.multiplied)
    _, part = first_parts(model, _relative(model, unit_noise, members))
    return math.sqrt(width) * width * unit_noise / math.sqrt(part) / members


def _clip(model: Model, noise: float, least: float) -> str:
    """Closer where there is more noise. A linear model's scores are symmetric, so that a close
    clip costs precision and no bias; so it does, nearly, where a fit is drawn to zero anyway."""
    linear = isinstance(model.family, Linear)
    close = linear or least <= 1
    found = (_CLOSE if close else _WIDE) / math.sqrt(noise)
    return f"{min(max(found, 0.7 if linear else least), 6.0):.2f}"


def _relative(model: Model, unit_noise: float, members: int) -> float:
    """Noise against the sampling error, of a score clipped at the usual norm."""
    return max(unit_noise * math.sqrt(model.size / members), 1e-9)
