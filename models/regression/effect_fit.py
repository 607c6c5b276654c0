"""From the openings of a comparison to what is asked next, and to both arms' means.

The propensity's coefficients come with noise, and so do the arms' first means. The last round
opens the mean of every member's influence on the result at just these numbers, and one step by it
takes their first-order error away: the noise that is left is that of the last round, and products
of two small errors. The influence holds the propensity's scores, so its mean square is the whole
sampling error, as a stacked estimating equation gives it.

Source: Lunceford and Davidian (2004), Statistics in Medicine 23, 2937-2960 (the influence);
van der Vaart (1998), Asymptotic Statistics, section 5.7 (one step).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from models.opening import Opening
from models.regression.batch import Floats
from models.regression.effect_vectors import (
    ARMS_PARTS,
    INFLUENCE_PARTS,
    SLOPES_PARTS,
    SUMS,
    Arms,
    Influence,
    Slopes,
    Stage,
    balance_length,
    curved_columns,
    free_columns,
)
from models.regression.fitting import whitening
from models.regression.joining import Doubt
from models.regression.newton import Standing
from models.regression.special import logistic
from models.regression.treated import Propensity

LEAST_SHARE = 0.01  # of an arm's mean weight, below which nothing is divided by it
LEAST_STAYING = 0.02
THIN = 3.0  # standard deviations of noise above which an arm's weight is believed
_MEANS, _SQUARES = 5.0, 16.0  # clips, in usual sizes and their squares
_USUAL_SIZE = 3.0
_NEARBY = 0.1  # in the linear predictor
EXTREME = 0.7  # of the usual part of members with extreme chances may be missed
TURN = np.array([[-1.0, 1.0], [1.0, 1.0]])  # (others, treated) to (difference, sum)


@dataclass(frozen=True, eq=False)
class Summed:
    """A stage's sums in its own numbers, and the noise on each number of its two parts."""

    stage: Stage
    sums: Floats
    noise: tuple[float, ...]
    lost: tuple[str, ...] = ()

    @classmethod
    def of(cls, stage: Stage, opening: Opening, lengths: tuple[int, ...]) -> Self:
        """`lengths` are those of the stage's parts."""
        unit = 1 / opening.law.mechanism.delta_grid
        scale = np.repeat(units(stage), lengths)
        noise = tuple(opening.law.sd_grid * unit * each for each in units(stage))
        sums = np.array(opening.totals, dtype=np.float64) * unit * scale
        return cls(stage, sums, noise, opening.lost)


@dataclass(frozen=True, eq=False)
class ArmSums:
    """Others first. `weight` and `share` are held away from 0; `thin` says where that mattered."""

    weight: Floats
    mu: Floats
    share: Floats
    mu_noise: Floats
    weight_noise: float
    thin: bool


@dataclass(frozen=True, eq=False)
class Contrast:
    """`values`: (difference, sum) of both arms' means, inside; covariances [2, 2] of them."""

    values: Floats
    sampling: Floats
    privacy: Floats


def units(stage: Stage) -> tuple[float, ...]:
    """What 1 in the unit ball stands for, in each part."""
    clips: tuple[float, ...]
    parts: tuple[float, ...]
    match stage:
        case Arms():
            clips, parts = (stage.main_clip, stage.balance_clip), ARMS_PARTS
        case Slopes():
            clips, parts = (stage.slope_clip, stage.size_clip), SLOPES_PARTS
        case Influence():
            clips, parts = (stage.mean_clip, stage.square_clip, 1.0), INFLUENCE_PARTS
    return tuple(clip / math.sqrt(part) for clip, part in zip(clips, parts, strict=True))


def first_stage(model: Propensity, now: Standing, *, full: bool) -> Arms:
    """`full`: nothing is clipped that the dictionary allows."""
    largest, size = model.weighting.largest, model.bound_squared
    if full:
        told = 1 + size + size**2 + size * largest**2
        return Arms(now.theta, math.sqrt(2) * largest, math.sqrt(told))
    curved, usual = set(curved_columns(model)), model.weighting.usual
    size = sum(0.4 if at in curved else 0.25 for at in free_columns(model))
    told = 1 + size * (2 + usual**2 / 4)
    return Arms(now.theta, math.sqrt(2) * usual, math.sqrt(told))


def second_stage(model: Propensity, now: Standing, first: Summed, *, full: bool) -> Slopes:
    arms, population = arm_sums(now, first), now.population
    information = population.information(model, now.theta)
    if full:
        information = np.asarray(np.linalg.inv(now.sampling), dtype=np.float64) / population.rows
    whiten = whitening(information)
    reach = float(np.max((1 + np.abs(arms.mu)) / arms.share))
    size, slope = model.weighting.largest * reach, 2 * math.sqrt(model.width)
    if full:
        longest = float(np.linalg.norm(whiten)) * math.sqrt(model.bound_squared)
        slope = model.weighting.steepest * reach * longest
    else:
        size = min(size, _USUAL_SIZE)
    return Slopes(now.theta, arms.mu, arms.share, whiten, slope, size)


def third_stage(
    model: Propensity, now: Standing, first: Summed, second: Summed, *, full: bool
) -> Influence:
    asked, d = second.stage, model.width
    if not isinstance(asked, Slopes):
        raise TypeError("the second stage has slopes")
    rows, arms = now.population.rows, arm_sums(now, first)
    gamma = (second.sums[: 2 * d].reshape(2, d) / rows) @ asked.whiten.T
    reach = model.weighting.largest * float(np.max((1 + np.abs(arms.mu)) / arms.share))
    most = reach + math.sqrt(model.bound_squared) * float(np.linalg.norm(gamma, axis=1).sum())
    usual = max(float(second.sums[-1]), 0.0) / rows + second.noise[1] / rows
    mean, square = most * math.sqrt(1 + SUMS**2), 2 * most**2
    if not full:
        mean = min(mean, _MEANS * usual * math.sqrt(1 + SUMS**2))
        square = min(square, 2 * _SQUARES * usual**2)
    return Influence(asked.theta, asked.mu, asked.share, gamma, mean, square)


def arm_sums(now: Standing, first: Summed) -> ArmSums:
    rows, noise = now.population.rows, first.noise[0]
    least = max(THIN * noise, LEAST_SHARE * rows)
    weight = np.maximum(first.sums[:2], least)
    mu = np.clip(first.sums[2:4] / weight, -1.0, 1.0)
    spread = noise**2 * (1 + mu**2) / weight**2
    thin = bool((first.sums[:2] < least).any())
    return ArmSums(weight, mu, weight / rows, spread, noise, thin)


def contrast(model: Propensity, now: Standing, stages: Sequence[Summed], *, full: bool) -> Contrast:
    """Both arms' means after the last step, as their difference and sum; where `full`, the
    propensity's information was opened itself."""
    first, second, third = stages
    rows, arms = now.population.rows * _stayed(first, third), arm_sums(now, first)
    mean = third.sums[:2] * [1.0, 1 / SUMS] / rows
    values = TURN @ arms.mu + mean
    one, both, two = third.sums[2:5] / rows
    square = np.array([[one, both / math.sqrt(2)], [both / math.sqrt(2), two]])
    sampling = _positive(square - np.outer(mean, mean)) / rows
    tau = third.noise[0] / rows
    privacy = np.diag([tau**2, (tau / SUMS) ** 2])
    privacy = privacy + _second_order(now, arms, second)
    if not full:
        privacy = privacy + _of_information(model, now, second) + _of_bend(model, now, second)
    return Contrast(values, sampling, privacy)


def _stayed(first: Summed, third: Summed) -> float:
    """The part of the members who are still there in the last round."""
    if set(third.lost) <= set(first.lost):
        return 1.0
    length = (len(first.sums) - 4) // 2
    members = max(float(first.sums[4] + first.sums[4 + length]), 1.0)
    return float(np.clip(third.sums[-1] / members, LEAST_STAYING, 1.0))


def _second_order(now: Standing, arms: ArmSums, second: Summed) -> Floats:
    """What one step leaves: products of noise, on weights and means, on slopes and scores."""
    asked = second.stage
    if not isinstance(asked, Slopes):
        raise TypeError("the second stage has slopes")
    of_means = float((arms.mu_noise * (arms.weight_noise / arms.weight) ** 2).sum())
    back = np.linalg.inv(asked.whiten)
    moved = float(np.trace(back @ now.privacy @ back.T))
    of_slopes = 2 * (second.noise[0] / now.population.rows) ** 2 * max(moved, 0.0)
    return np.eye(2) * (of_means + of_slopes)


def _of_information(model: Propensity, now: Standing, second: Summed) -> Floats:
    """What the step is off by since the propensity's information is known roughly: it goes by
    (1 + D) times the way from the coefficients to the best ones."""
    asked, d, rows = second.stage, model.width, now.population.rows
    if not isinstance(asked, Slopes):
        raise TypeError("the second stage has slopes")
    back = np.linalg.inv(asked.whiten)
    about = back @ (now.privacy + now.sampling) @ back.T
    moved = Doubt(model, now.population, asked.whiten).of(about)
    slopes = TURN @ second.sums[: 2 * d].reshape(2, d) / rows
    return np.asarray(slopes @ moved @ slopes.T)


def _of_bend(model: Propensity, now: Standing, second: Summed) -> Floats:
    """What the step is off by since weights are no line in the propensity's coefficients: half
    their second derivative, under the covariates' law, times the squared way to the best ones; and
    an allowance for members with extreme chances, whose parts are clipped most."""
    asked, rows = second.stage, now.population.rows
    if not isinstance(asked, Slopes):
        raise TypeError("the second stage has slopes")
    back, points = np.linalg.inv(asked.whiten), now.population.points
    away = max(float(np.trace(back @ (now.privacy + now.sampling) @ back.T)), 0.0)
    eta = points @ asked.theta
    size = ((points @ asked.whiten) ** 2).mean(axis=1)
    usual = max(float(second.sums[-1]), 0.0) / rows / 2  # of each arm
    bends = []
    for arm, share in enumerate(asked.share):
        given = np.full(len(eta), float(arm))
        high, low = (model.weighting.of(eta + step, given)[1] for step in (_NEARBY, -_NEARBY))
        chance = logistic(eta if arm else -eta)
        bends.append(float(np.mean(chance * np.abs(high - low) * size)) / (2 * _NEARBY * share))
    bent = math.hypot(*bends) * away * usual / 2
    trimmed = EXTREME * model.weighting.extreme(eta) * usual
    return np.eye(2) * (bent**2 + trimmed**2)


def _positive(matrix: Floats) -> Floats:
    values, axes = np.linalg.eigh((matrix + matrix.T) / 2)
    least = max(float(values[-1]), 0.0) * 1e-3 + 1e-12
    return np.asarray((axes * np.maximum(values, least)) @ axes.T)


@dataclass(frozen=True, eq=False)
class Balance:
    """Standardised differences of means per free column [d'], and the noise on each."""

    before: Floats
    after: Floats
    before_noise: Floats
    after_noise: Floats


def balance(model: Propensity, now: Standing, first: Summed) -> Balance:
    """(mean of the treated - mean of the others) / root of the mean of both variances."""
    free, curved, length = free_columns(model), curved_columns(model), balance_length(model)
    arms, noise = arm_sums(now, first), first.noise[1]
    told = first.sums[4:].reshape(2, length)
    members = np.maximum(told[:, :1], max(THIN * noise, 1.0))
    means = told[:, 1 : 1 + len(free)] / members
    squares = told[:, 1 + len(free) : 1 + len(free) + len(curved)] / members
    spread = _spread(model, means, squares)
    weight = arms.weight[:, None]
    weighted = told[:, 1 + len(free) + len(curved) :] / weight
    plain = noise**2 * ((1 + means**2) / members**2).sum(axis=0)
    moved = ((noise**2 + weighted**2 * arms.weight_noise**2) / weight**2).sum(axis=0)
    return Balance(
        (means[1] - means[0]) / spread,
        (weighted[1] - weighted[0]) / spread,
        np.sqrt(plain) / spread,
        np.sqrt(moved) / spread,
    )


def _spread(model: Propensity, means: Floats, squares: Floats) -> Floats:
    """[d']: the root of the mean variance of both arms, never nearly 0."""
    free, curved = free_columns(model), curved_columns(model)
    variance = np.zeros_like(means)
    for place, column in enumerate(free):
        if column in curved:
            variance[:, place] = squares[:, curved.index(column)] - means[:, place] ** 2
        else:
            share = np.clip(means[:, place] - model.shifts[column], 0.0, 1.0)
            variance[:, place] = share * (1 - share)
    return np.asarray(np.sqrt(np.maximum(variance.mean(axis=0), 1e-3)))
