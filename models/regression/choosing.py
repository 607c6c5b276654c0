"""Which of three ways a regression is fitted, from public facts, and how its cost is divided.

- *newton*: scores and information, every round anew. Noise must be small against the sampling
  error even with the dictionary's full bounds; the fit is then the pooled one.
- *gram*: one noisy matrix of products, then scores mapped by it. The usual way.
- *gradient*: scores mapped by means and variances alone, for few members and little epsilon. Best
  for prediction there; its intervals take the covariates for uncorrelated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from models.regression.fitting import Course
from models.regression.outcome import Model

Way = Literal["gradient", "gram", "newton"]
NEWTON_ROUNDS = 7
GRAM_ROUNDS = 6
GRADIENT_ROUNDS = 8
_MOMENTS, _GRAM = 0.10, 0.25  # parts of the cost
_GRADIENT_MOMENTS = 0.20
_LAST = 5.0  # how much more Newton's last round costs than all before it
_USUAL_INFORMATION = 0.1  # of a row and a scaled column, against the largest


@dataclass(frozen=True)
class Choice:
    """`clip` is the score's, in units of the square root of the number of parameters."""

    way: Way
    clip: str
    why: str


def course_of(model: Model, way: Way, clip: float) -> Course:
    """The rounds of a run: their weights and the members' bounds."""
    flat = sum(model.flat)
    moments = math.sqrt(1 + 0.25 * flat + 0.5 * (model.width - flat) + 0.25 * model.moment_count)
    match way:
        case "newton":
            early = NEWTON_ROUNDS - 1
            weights = (1,) * (1 + early) + (math.ceil(_LAST * (1 + early)),)
        case "gram":
            each = (1 - _MOMENTS - _GRAM) / GRAM_ROUNDS
            weights = _whole(_MOMENTS, _GRAM, *[each] * GRAM_ROUNDS)
        case _:
            each = (1 - _GRADIENT_MOMENTS) / GRADIENT_ROUNDS
            weights = _whole(_GRADIENT_MOMENTS, *[each] * GRADIENT_ROUNDS)
    damping = 1.5 if way == "gradient" else 1.0
    return Course(way, weights, moments, float(model.width), clip * math.sqrt(model.size), damping)


def _whole(*parts: float) -> tuple[int, ...]:
    return tuple(round(1200 * part) for part in parts)


def choose(model: Model, unit_noise: float, members: int) -> Choice:
    """For a cohort of about `members`; `unit_noise` is the standard deviation of the noise on a
    number to which each member adds at most 1, if the whole cost went into one opening."""
    clip = f"{min(max(0.9 / math.sqrt(_relative(model, unit_noise, members)), 1.1), 6.0):.2f}"
    bound = math.sqrt(model.bound_squared) * model.most_rows
    part = _LAST / (1 + _LAST)
    full = bound * math.sqrt(3 / part) * unit_noise
    newton = full / math.sqrt(_USUAL_INFORMATION**2 * members)
    if newton <= 0.5:
        return Choice(
            "newton",
            clip,
            f"newton, since even with full bounds the noise is about {newton:.2g} "
            f"of the sampling error with {members:,} members",
        )
    gram = model.width * unit_noise / math.sqrt(_GRAM) * math.sqrt(model.width) / members
    if gram <= 0.5:
        return Choice(
            "gram",
            clip,
            f"gram, since the noise on the products is about {gram:.0%} of them "
            f"with {members:,} members",
        )
    return Choice(
        "gradient",
        clip,
        f"gradient, since the noise on products of covariates would be about {gram:.0%} of them "
        f"with {members:,} members",
    )


def _relative(model: Model, unit_noise: float, members: int) -> float:
    """Noise against the sampling error, of a score clipped at the usual norm."""
    return max(unit_noise * math.sqrt(model.size / members), 1e-9)
