"""What several rounds of noisy scores say together of the coefficients.

Every round asked scores at other coefficients. Under the law of covariates that was opened, each
sum has an expectation and a slope at the latest coefficients, and so a Newton target. Targets are
averaged, those of rounds far off less; how far they lie apart, beyond their noise, widens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.regression.batch import Floats
from models.regression.member_vectors import Scores, scores, summed
from models.regression.outcome import Model
from models.regression.population import Population

LARGEST_STEP = 1.5  # a step's root mean square, in the predictor
MISFIT = 0.1  # a law of covariates is so far off, relatively, at the least


@dataclass(frozen=True, eq=False)
class Heard:
    """One round's scores: the sums in their own numbers, and the noise on each."""

    asked: Scores
    sums: Floats
    noise: float


@dataclass(frozen=True, eq=False)
class Target:
    """One round's Newton target and where it comes from. `back` carries a mean score into it."""

    theta: Floats
    back: Floats
    spread: Floats
    error: float
    away: Floats
    capped: bool


@dataclass(frozen=True, eq=False)
class Joined:
    """Covariances are of `theta`, [size, size]; `sampling` as of one row."""

    theta: Floats
    sampling: Floats
    privacy: Floats
    scatter: float
    capped: bool


def joined(
    model: Model, population: Population, heard: Sequence[Heard], damping: float, near: Floats
) -> Joined:
    """All rounds' targets, seen from the coefficients `near`, as one."""
    found = [target(model, population, each, damping, near) for each in heard]
    last, rough = found[-1], math.hypot(population.roughness, MISFIT)
    slack = np.array([rough**2 * float(each.away @ each.away) for each in found])
    noise = np.array([each.error**2 for each in found])
    weights = 1 / (noise + slack + 1e-300)
    weights /= weights.sum()
    theta = sum(w * each.theta for w, each in zip(weights, found, strict=True))
    privacy = sum(
        w**2 * each.error**2 * each.back @ each.back.T
        for w, each in zip(weights, found, strict=True)
    )
    away = sum(w * each.away for w, each in zip(weights, found, strict=True))
    bent = rough**2 / 2 * (float(away @ away) * np.eye(len(away)) + np.outer(away, away))
    plain = heard[-1].asked.whiten / model.loudness
    scatter = _scatter(found, weights, noise + slack, theta)
    return Joined(
        theta=np.asarray(theta),
        sampling=last.back @ last.spread @ last.back.T,
        privacy=np.asarray(privacy) * max(scatter, 1.0) + plain @ bent @ plain.T,
        scatter=scatter,
        capped=last.capped,
    )


def _scatter(
    found: Sequence[Target], weights: Floats, variance: Floats, theta: Floats
) -> float:
    """How far targets lie apart, squared, in units of what noise explains; 1 as expected."""
    if len(found) < 2:
        return 1.0
    squares = [
        float(np.sum(np.linalg.solve(each.back, each.theta - theta) ** 2)) / v
        for each, v in zip(found, variance, strict=True)
    ]
    return sum(squares) / ((len(found) - 1) * len(theta))


def target(
    model: Model, population: Population, heard: Heard, damping: float, near: Floats
) -> Target:
    """One round's Newton target, from the coefficients `near`."""
    asked, rows, loud = heard.asked, population.rows, model.loudness
    gain, spread, mean = clipped_law(model, population, asked, near)
    inverse = np.linalg.inv(firm(gain / np.outer(loud, loud))) / loud
    plain = asked.whiten / loud
    step = inverse @ (heard.sums / rows - mean) / damping
    length = float(np.linalg.norm(step))
    step *= min(1.0, LARGEST_STEP / max(length, 1e-300))
    return Target(
        theta=near + plain @ step,
        back=plain @ inverse,
        spread=spread,
        error=heard.noise / rows,
        away=np.asarray(np.linalg.solve(plain, near - asked.theta)),
        capped=length > LARGEST_STEP,
    )


def firm(gain: Floats) -> Floats:
    """The symmetric part, with no direction far weaker or stronger than the mean one."""
    values, axes = np.linalg.eigh((gain + gain.T) / 2)
    usual = max(float(np.mean(values)), 0.05)
    return np.asarray((axes * np.clip(values, usual / 4, 4 * usual)) @ axes.T)


def clipped_law(
    model: Model, population: Population, asked: Scores, theta: Floats
) -> tuple[Floats, ...]:
    """(gain, covariance, mean) of one row's clipped score, where outcomes have the law of `theta`.

    The gain is how much a mapped coefficient moves the clipped score: by the identity of
    information, E[clipped score' score], where the second is the mapped score at `theta`. That
    has mean 0, and what it has beside that in the made-up rows is taken from the mean.
    """
    rows = model.pretend(population, theta)
    whole = summed(scores(model, rows, theta) @ asked.whiten, rows)
    clipped = summed(scores(model, rows, asked.theta) @ asked.whiten, rows)
    norm = np.sqrt((clipped**2).sum(axis=1))
    clipped *= np.minimum(1.0, asked.clip / np.maximum(norm, 1e-12))[:, None]
    points, beside = rows.members, whole.mean(axis=0)
    gain = clipped.T @ whole / points
    square = whole.T @ whole / points + 1e-9 * np.eye(len(beside))
    mean = clipped.mean(axis=0) - gain @ np.linalg.solve(square, beside)
    return gain, clipped.T @ clipped / points - np.outer(mean, mean), mean
