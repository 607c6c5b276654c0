"""From opened rounds to the next one, and to an estimate with both its errors.

A run learns the covariates' scale first (moments; for the Gram method their products too), then
scores at the best coefficients so far. Scores are mapped so that, as far as is known, a member's
score has the identity for its covariance: the noise, equal in every direction, is then spread as
the sampling error is. Every score gives a Newton target, and their mean is the next coefficients,
so that no round is lost. Newton's method proper takes the information itself, every round anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.regression.batch import Floats
from models.regression.families import Linear
from models.regression.member_vectors import (
    Gram,
    Moments,
    Newton,
    Round,
    Scores,
    newton_bounds,
    scores,
    summed,
    unpacked,
)
from models.regression.outcome import Model
from models.regression.population import Population, first_population, gram_map, with_gram

SHORT_STEP = 0.5  # the same where the likelihood is not concave
LARGEST_STEP = 1.5  # a Newton step's root mean square, in the predictor
RIDGE = 1e-9
LEAST_GAP = 1e-3  # between thresholds


@dataclass(frozen=True)
class Course:
    """How a run goes: public numbers. Norms are of a scaled member; `damping` divides steps."""

    method: str
    weights: tuple[int, ...]
    moments_clip: float
    gram_clip: float
    score_clip: float
    damping: float
    memory: int = 100  # of so many targets, the last ones, the mean is taken

    @property
    def kinds(self) -> tuple[str, ...]:
        """What each round asks."""
        match self.method:
            case "newton":
                return ("moments", *["newton"] * (len(self.weights) - 1))
            case "gram":
                return ("moments", "gram", *["scores"] * (len(self.weights) - 2))
            case _:
                return ("moments", *["scores"] * (len(self.weights) - 1))


@dataclass(frozen=True, eq=False)
class Opened:
    """One round's sums, in its own numbers (not grid units), and the noise on each."""

    asked: Round
    sums: Floats
    noise: float


@dataclass(frozen=True, eq=False)
class Standing:
    """What is known after some rounds. Covariances are of `theta`, [size, size] each."""

    theta: Floats
    population: Population
    whiten: Floats
    sampling: Floats
    privacy: Floats
    targets: tuple[Floats, ...] = ()
    step: float = math.inf  # the last step's length, in standard errors of sampling
    lifted: bool = False  # was a direction held up that the information does not determine?


def next_round(model: Model, course: Course, opened: Sequence[Opened]) -> Round:
    """What round `len(opened)` asks."""
    if not opened:
        return Moments(course.moments_clip)
    population = _population(model, opened)
    if course.method == "gram" and len(opened) == 1:
        return Gram(gram_map(population), course.gram_clip)
    if course.method == "newton":
        return Newton(standing(model, course, opened).theta)
    now = standing(model, course, opened)
    return Scores(now.theta, now.whiten * model.loudness, course.score_clip)


def standing(model: Model, course: Course, opened: Sequence[Opened]) -> Standing:
    """The estimate after `opened`, which holds the moments at least."""
    population = _population(model, opened)
    begin = model.begin_exactly if course.method == "newton" else model.begin
    theta = begin(population.outcome, population.offset)
    if model.precise:  # the variance is that of a row of weight 1
        theta[-1] += math.log(min(max(population.weight, 0.01), 1.0))
    whiten = whitening(population.information(model, theta))
    nothing = np.full((model.size, model.size), np.nan)
    now = Standing(theta, population, whiten, nothing, nothing)
    for each in opened:
        if isinstance(each.asked, Scores):
            now = _after_scores(model, course, now, each)
        elif isinstance(each.asked, Newton):
            now = _after_newton(model, now, each)
    return now


def _population(model: Model, opened: Sequence[Opened]) -> Population:
    population = first_population(model, opened[0].sums, opened[0].noise)
    for each in opened:
        if isinstance(each.asked, Gram):
            population = with_gram(population, each.asked.linear, each.sums, each.noise)
    return population


def whitening(information: Floats) -> Floats:
    """W with W' information W = 1, of one row."""
    size = len(information)
    scale = np.sqrt(np.maximum(np.diag(information), 1e-12))
    unit = information / np.outer(scale, scale)
    values, axes = np.linalg.eigh((unit + unit.T) / 2)
    floored = (axes * np.maximum(values, 1e-6)) @ axes.T
    root = np.linalg.cholesky(floored)
    return np.asarray(np.linalg.solve(root.T, np.eye(size)) / scale[:, None])


def _after_scores(model: Model, course: Course, now: Standing, each: Opened) -> Standing:
    asked = each.asked
    if not isinstance(asked, Scores):
        return now
    rows = now.population.rows
    gain, spread, centre = clipped_law(model, now.population, asked)
    loud = model.loudness
    inverse = np.linalg.inv(_firm(gain / np.outer(loud, loud))) / loud
    plain = asked.whiten / loud
    back = plain @ inverse
    step = inverse @ (each.sums / rows - centre) / course.damping
    step *= min(1.0, LARGEST_STEP / max(float(np.linalg.norm(step)), 1e-300))
    target = asked.theta + plain @ step
    targets = (*now.targets, target)[-course.memory :]
    theta = repaired(model, np.mean(targets, axis=0))
    noise = (each.noise / rows) ** 2 / len(targets)
    whiten = whitening(now.population.information(model, theta))
    moved = np.linalg.norm(np.linalg.solve(whiten, theta - now.theta))
    return Standing(
        theta=theta,
        population=now.population,
        whiten=whiten,
        sampling=back
        @ spread
        @ back.T
        / rows
        * small_sample(model, now.population)
        / model.largest_weight,
        privacy=back @ back.T * noise,
        targets=targets,
        step=float(moved) * math.sqrt(rows),
    )


def _firm(gain: Floats) -> Floats:
    """The symmetric part, with no direction far weaker than the mean one."""
    values, axes = np.linalg.eigh((gain + gain.T) / 2)
    usual = max(float(np.mean(values)), 0.05)
    return np.asarray((axes * np.clip(values, usual / 2, 2 * usual)) @ axes.T)


def clipped_law(model: Model, population: Population, asked: Scores) -> tuple[Floats, ...]:
    """What clipping does, under the law: (gain, covariance, mean) of one row's clipped score.

    The gain is how much a mapped coefficient moves the clipped score: by the identity of
    information, E[clipped score' score], where the second is the mapped score itself.
    """
    rows = model.pretend(population, asked.theta)
    whole = summed(scores(model, rows, asked.theta) @ asked.whiten, rows)
    norm = np.sqrt((whole**2).sum(axis=1))
    clipped = whole * np.minimum(1.0, asked.clip / np.maximum(norm, 1e-12))[:, None]
    points = rows.members
    centre = clipped.mean(axis=0) - whole.mean(axis=0)
    return clipped.T @ whole / points, clipped.T @ clipped / points, centre


def _after_newton(model: Model, now: Standing, each: Opened) -> Standing:
    asked = each.asked
    if not isinstance(asked, Newton):
        return now
    score, information, noise, blur = newton_sums(model, asked.theta, each)
    curve, lifted = positive(information, blur)
    solved = np.asarray(np.linalg.solve(curve, score), dtype=np.float64)
    step = model.eased(solved)
    length = math.sqrt(max(float(step @ curve @ step), 0.0))
    theta = repaired(model, asked.theta + _taken(model, now.population, asked.theta, step, length))
    inverse = np.asarray(np.linalg.inv(curve), dtype=np.float64)
    counted = _counted(model, now.population, float(each.sums[0] * math.sqrt(3)))
    return Standing(
        theta=theta,
        population=counted,
        whiten=now.whiten,
        sampling=inverse * small_sample(model, counted) / model.largest_weight,
        privacy=inverse @ inverse * noise**2,
        targets=(*now.targets, theta),
        step=length,
        lifted=lifted,
    )


def _counted(model: Model, population: Population, members: float) -> Population:
    """With the number of members, which a Newton round counts without clipping."""
    least = max(members, 2.0 * model.size)
    if model.most_rows > 1 or (model.weighted and not model.precise):
        return replace(population, members=least)
    return replace(population, members=least, rows=least)


def newton_sums(model: Model, theta: Floats, each: Opened) -> tuple[Floats, Floats, float, float]:
    """Score, information, and the noise on each number of the one and the other."""
    first, second = newton_bounds(model, theta)
    sums, tau, p = each.sums * math.sqrt(3), each.noise * math.sqrt(3), model.size
    information = unpacked(sums[p + 1 :] * second, p)
    return sums[1 : p + 1] * first, information, tau * first, tau * second


def _taken(
    model: Model, population: Population, theta: Floats, step: Floats, length: float
) -> Floats:
    """As much of a step as is safe; for a linear model all of it, and its variance at once."""
    if isinstance(model.family, Linear):
        taken = step.copy()
        taken[-1] = math.log(max(1 + taken[-1], 0.02))
        return taken
    rows = model.pretend(population, theta)
    eta = rows.x @ theta[: model.width] + rows.offset
    usual = float(np.sum(model.family.average(eta, theta[model.width :]).eta)) / rows.members
    largest = SHORT_STEP if model.family.uneven else LARGEST_STEP
    limit = largest * math.sqrt(max(usual, 1e-6) * population.rows)
    return step * min(1.0, limit / max(length, 1e-300))


def small_sample(model: Model, population: Population) -> float:
    """A linear model's variance is estimated with as many degrees of freedom less."""
    if not isinstance(model.family, Linear):
        return 1.0
    return population.rows / max(population.rows - model.width, 1.0)


def positive(matrix: Floats, noise: float) -> tuple[Floats, bool]:
    """The matrix with the size of its eigenvalues kept above the noise, and whether one was not.

    A negative one is far from the fit, where its size still says how far a step may go.
    """
    blur = noise * math.sqrt(len(matrix))
    scale = np.sqrt(np.maximum(np.diag(matrix), 2 * blur + 1e-12))
    unit = matrix / np.outer(scale, scale)
    values, axes = np.linalg.eigh((unit + unit.T) / 2)
    least = max(RIDGE, min(blur / float(np.median(scale) ** 2), 0.05))
    within = np.diag(matrix) < 2 * blur + 1e-12
    lifted = bool(np.any(np.abs(values) < least) or np.any(within))
    fixed = (axes * np.maximum(np.abs(values), least)) @ axes.T
    return np.asarray(fixed * np.outer(scale, scale), dtype=np.float64), lifted


def repaired(model: Model, theta: Floats) -> Floats:
    """Coefficients that are a state: finite, not beyond certainty, thresholds ascending."""
    fixed = np.clip(np.nan_to_num(theta, nan=0.0, posinf=0.0, neginf=0.0), -1e6, 1e6)
    if model.family.extras > 1:
        for k in range(model.width + 1, model.size):
            fixed[k] = max(fixed[k], fixed[k - 1] + LEAST_GAP)
    return np.asarray(fixed)
