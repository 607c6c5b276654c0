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
from models.regression.joining import LARGEST_STEP, Heard, held, joined, repaired
from models.regression.member_vectors import (
    Gram,
    Moments,
    Newton,
    Round,
    Scores,
    newton_bounds,
    newton_places,
    unpacked,
)
from models.regression.outcome import Model
from models.regression.population import (
    Covariates,
    Population,
    first_population,
    gram_map,
    with_gram,
)

CLUSTERED = "newton, clustered"
SHORT_STEP = 0.5  # a step's root mean square, where the likelihood is not concave
PASSES = 2
USUAL_EFFECT = 0.5  # of a mapped coefficient, in the root of a row's information
RIDGE = 1e-9
FAR = 0.5  # between estimate and where it was seen from, in the same: too far for a line
LOUDEST = 0.1  # noise on a mapped coefficient, in the same
HEAVY = 1.5  # noise on those of counts, which tell unequally, and of slopes, which are weighted
ASTRAY = (
    "The run diverged: noise carried the fit away, and nothing can be said of the coefficients. "
    "Ask with more epsilon, of more members, or by fewer terms."
)
UNSEEN = (
    "The way gradient serves prediction alone: it does not learn how covariates go together, and "
    "nothing can be said of single coefficients. Ask in the way gram."
)
BLURRED = (
    "Noise is too large for Newton's method, and nothing can be said of the coefficients. Ask in "
    "the way gram, or with more epsilon."
)
UNSETTLED = (
    "The fit had not converged when the last round was opened, and nothing can be said of the "
    "coefficients. Ask in the way gram, or with more epsilon."
)
FARTHEST_LEFT = 1.0  # of the way to the fit, in standard errors of sampling
BLUR = 0.5  # of the information, relatively and squared
CLEAR = 5.0  # standard deviations of noise that no direction of the information exceeds by chance
FARTHEST = 4.0  # of mapped coefficients from where the fit began, in the same


@dataclass(frozen=True)
class Course:
    """How a run goes: public numbers. Norms are of a scaled member; `damping` divides steps.

    Where the covariates' law is `known` from an earlier fit, the part `spared` of the cost is not
    paid again.
    """

    method: str
    weights: tuple[int, ...]
    moments_clip: float
    gram_clip: float
    score_clip: float
    damping: float
    known: Covariates | None = None
    spared: int = 0
    clustered: bool = False  # does the last of Newton's rounds hold members' rows together?

    @property
    def whole(self) -> int:
        """What all weights come to with the part that is spared."""
        return sum(self.weights) + self.spared

    @property
    def kinds(self) -> tuple[str, ...]:
        """What each round asks."""
        first = "moments" if self.known is None else "outcome"
        match self.method:
            case "newton":
                last = CLUSTERED if self.clustered else "newton"
                return (first, *["newton"] * (len(self.weights) - 2), last)
            case "gram" if self.known is None:
                return (first, "gram", *["scores"] * (len(self.weights) - 2))
            case _:
                return (first, *["scores"] * (len(self.weights) - 1))


@dataclass(frozen=True, eq=False)
class Opened:
    """One round's sums, in its own numbers (not grid units), and the noise on each."""

    asked: Round
    sums: Floats
    noise: float


@dataclass(frozen=True, eq=False)
class Standing:
    """What is known after some rounds. Covariances are of `theta`, [size, size] each; `next` are
    the coefficients to ask at."""

    theta: Floats
    next: Floats
    population: Population
    whiten: Floats
    sampling: Floats
    privacy: Floats
    lost: str = ""  # why nothing can be said of the coefficients
    left: float = math.inf  # of Newton's way to the fit, in standard errors of sampling
    lifted: bool = False  # was a direction held up that the information does not determine?


def next_round(model: Model, course: Course, opened: Sequence[Opened]) -> Round:
    """What round `len(opened)` asks."""
    if not opened:
        return Moments(course.moments_clip, course.known is not None)
    population = learnt(model, course, opened)
    if course.kinds[len(opened)] == "gram":
        return Gram(gram_map(population), course.gram_clip)
    if course.method == "newton":
        last = course.kinds[len(opened)] == CLUSTERED
        return Newton(standing(model, course, opened).next, clustered=last)
    now = standing(model, course, opened)
    return Scores(now.next, now.whiten * model.loudness, course.score_clip)


def standing(model: Model, course: Course, opened: Sequence[Opened]) -> Standing:
    """The estimate after `opened`, which holds the moments at least."""
    population = learnt(model, course, opened)
    begin = model.begin_exactly if course.method == "newton" else model.begin
    theta = begin(population.outcome, population.offset)
    if model.precise:  # the variance is that of a row of weight 1
        theta[-1] += math.log(min(max(population.weight, 0.01), 1.0))
    whiten = whitening(population.information(model, theta))
    nothing = np.full((model.size, model.size), np.nan)
    now = Standing(theta, theta, population, whiten, nothing, nothing)
    heard = [Heard(o.asked, o.sums, o.noise) for o in opened if isinstance(o.asked, Scores)]
    if heard:
        return _after_scores(model, course, now, heard)
    for each in opened:
        if isinstance(each.asked, Newton):
            now = _after_newton(model, now, each, theta)
    return now


def learnt(model: Model, course: Course, opened: Sequence[Opened]) -> Population:
    """The covariates' law after `opened`, which holds the moments at least."""
    population = first_population(model, opened[0].sums, opened[0].noise, course.known)
    for each in opened:
        if isinstance(each.asked, Gram):
            population = with_gram(model, population, each.asked, each.sums, each.noise)
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


def _after_scores(model: Model, course: Course, now: Standing, heard: Sequence[Heard]) -> Standing:
    """Seen from the last coefficients that were asked; after all rounds once more from what comes
    of it."""
    population, begun, near = now.population, now.theta, heard[-1].asked.theta
    share = small_sample(model, population) / (population.rows * model.largest_weight)
    whole = len(heard) == course.kinds.count("scores")
    for _ in range(PASSES if whole else 1):
        found = joined(model, population, heard, course.damping, near)
        found = held(found, begun, model.held(), share)
        theta = repaired(model, found.theta)
        near = _drawn(theta, begun, found.sampling * share + found.privacy, now.whiten)
        near = repaired(model, near)
    whiten = whitening(population.information(model, near))
    apart = float(np.linalg.norm(np.linalg.solve(whiten, theta - near)))
    loud = _loudness(model, course, heard[-1], population.rows) > LOUDEST
    astray = loud or apart > FAR
    return replace(
        now,
        theta=near if astray else theta,
        next=near,
        whiten=whiten,
        sampling=found.sampling * share,
        privacy=found.privacy,
        lost=ASTRAY if astray else _unseen(course, population),
    )


def _loudness(model: Model, course: Course, last: Heard, rows: float) -> float:
    """About the noise on a mapped coefficient, by public facts and the noised number of rows.

    Not by the fit's own errors: those that look small often are only that, and intervals of the
    fits that would be told hold the truth more seldom.
    """
    rounds = course.kinds.count("scores")
    heavier = HEAVY if model.counts or model.precise else 1.0
    return heavier * last.noise / rows / usual_gain(model, course) / math.sqrt(rounds)


def usual_gain(model: Model, course: Course) -> float:
    """How much of a score clipping usually leaves."""
    return 1 - math.exp(-1.5 * course.score_clip / math.sqrt(model.size))


def _unseen(course: Course, population: Population) -> str:
    """Without products of covariates nothing is known of how they go together."""
    return UNSEEN if course.method == "gradient" and len(population.correlation) > 1 else ""


def _drawn(theta: Floats, begun: Floats, variance: Floats, whiten: Floats) -> Floats:
    """Drawn towards where the fit began as far as the error demands, so that noise alone cannot
    carry the next round to where the law means nothing."""
    way = _nearer(theta - begun, variance, whiten)
    length = float(np.linalg.norm(np.linalg.solve(whiten, way)))
    return np.asarray(begun + way * min(1.0, FARTHEST / max(length, 1e-300)))


def _nearer(way: Floats, variance: Floats, whiten: Floats) -> Floats:
    """A way that is known with `variance`, as far as usual effects are likelier than noise."""
    inverse = np.linalg.inv(whiten)
    prior = inverse.T @ inverse / USUAL_EFFECT**2
    return np.asarray(np.linalg.solve(np.eye(len(way)) + variance @ prior, way))


def _after_newton(model: Model, now: Standing, each: Opened, begun: Floats) -> Standing:
    """The next round asks at what was found, drawn towards `begun` as far as noise demands: where
    a round is drowned in it, so that it carries the next one nowhere."""
    asked = each.asked
    if not isinstance(asked, Newton):
        return now
    score, information, noise, blur = newton_sums(model, asked.theta, each)
    curve, lifted = positive(information, blur)
    solved = np.asarray(np.linalg.solve(curve, score), dtype=np.float64)
    step = model.eased(solved)
    length = math.sqrt(max(float(step @ curve @ step), 0.0))
    taken, bend = _taken(model, now.population, asked.theta, step, length)
    theta = repaired(model, asked.theta + taken)
    rest = _rest(model, solved, taken, bend)
    left = math.sqrt(max(float(rest @ curve @ rest), 0.0))
    inverse = np.asarray(np.linalg.inv(curve), dtype=np.float64)
    root = math.sqrt(asked.parts)
    counted = _counted(model, now.population, float(each.sums[0] * root))
    wide, most = _blurred(inverse, blur)
    loud = noise * math.sqrt(float(np.trace(inverse)) / len(inverse) / counted.rows)
    bent = blur**2 / 2 * (float(step @ step) * np.eye(len(step)) + np.outer(step, step))
    sampling = inverse * small_sample(model, counted) / model.largest_weight
    if asked.clustered:
        sampling = _sandwich(model, counted, inverse, asked, each.sums * root)
    privacy = wide @ (inverse @ inverse * noise**2 + inverse @ bent @ inverse) @ wide.T
    return Standing(
        theta=theta,
        next=repaired(model, begun + _nearer(theta - begun, privacy, now.whiten)),
        population=counted,
        whiten=now.whiten,
        sampling=wide @ sampling @ wide.T,
        privacy=privacy + np.outer(rest, rest),
        left=left,
        lifted=lifted,
        lost=_unsaid(blurred=most > BLUR or loud > LOUDEST, left=left),
    )


def _unsaid(*, blurred: bool, left: float) -> str:
    if blurred:
        return BLURRED
    return UNSETTLED if left > FARTHEST_LEFT else ""


def _rest(model: Model, solved: Floats, taken: Floats, bend: float) -> Floats:
    """What is left of the way to the fit after a step: what was not taken of it, and as much of
    it as the information may have changed underway. A linear model is there at once."""
    if isinstance(model.family, Linear):
        return np.zeros_like(solved)
    return np.asarray(solved - (1 - bend) * taken)


def _sandwich(
    model: Model, population: Population, inverse: Floats, asked: Newton, sums: Floats
) -> Floats:
    """The covariance of sampling where a member's rows may be alike in any way.

    Source: Liang and Zeger (1986), Biometrika 73, 13-22; for G members, N rows and k coefficients
    times G / (G - 1) and (N - 1) / (N - k), as statsmodels has it.
    """
    first, _ = newton_bounds(model, asked.theta)
    _, both = newton_places(model)
    meat = unpacked(sums[both.stop :] * first**2, model.size)
    values, axes = np.linalg.eigh(inverse @ meat @ inverse)
    found = (axes * np.maximum(values, 0.0)) @ axes.T
    fitted = model.width if isinstance(model.family, Linear) else model.size
    members, rows = population.members, population.rows
    few = members / max(members - 1, 1.0) * (rows - 1) / max(rows - fitted, 1.0)
    return np.asarray(found * few)


def _blurred(inverse: Floats, blur: float) -> tuple[Floats, float]:
    """By what errors are multiplied, since the information is known with noise `blur` on each
    number: its inverse is (1 + D^2) of the true one on average, to second order; and the largest
    eigenvalue of D^2."""
    root = np.linalg.cholesky((inverse + inverse.T) / 2)
    square = root.T @ root
    extra = blur**2 / 2 * (np.trace(square) * square + square @ square)
    values, axes = np.linalg.eigh(extra)
    wide = root @ (axes * np.sqrt(1 + values)) @ axes.T @ np.linalg.inv(root)
    return np.asarray(wide), float(values[-1])


def _counted(model: Model, population: Population, members: float) -> Population:
    """With the number of members, which a Newton round counts without clipping."""
    least = max(members, 2.0 * model.size)
    if model.most_rows > 1 or (model.weighted and not model.precise):
        return replace(population, members=least)
    return replace(population, members=least, rows=least)


def newton_sums(model: Model, theta: Floats, each: Opened) -> tuple[Floats, Floats, float, float]:
    """Score, information, and the noise on each number of the one and the other."""
    first, second = newton_bounds(model, theta)
    score, both = newton_places(model)
    parts = each.asked.parts if isinstance(each.asked, Newton) else 3
    sums, tau = each.sums * math.sqrt(parts), each.noise * math.sqrt(parts)
    information = unpacked(sums[both] * second, model.size)
    return sums[score] * first, information, tau * first, tau * second


def _taken(
    model: Model, population: Population, theta: Floats, step: Floats, length: float
) -> tuple[Floats, float]:
    """As much of a step as is safe; for a linear model all of it, and its variance at once. And
    about how much of the information changes on that way: half of how far predictors move."""
    if isinstance(model.family, Linear):
        taken = step.copy()
        taken[-1] = math.log(max(1 + taken[-1], 0.02))
        return taken, 0.0
    rows = model.pretend(population, theta)
    eta = rows.x @ theta[: model.width] + rows.offset
    usual = float(np.sum(model.family.average(eta, theta[model.width :]).eta)) / rows.members
    largest = SHORT_STEP if model.family.uneven else LARGEST_STEP
    moved = length / math.sqrt(max(usual, 1e-6) * population.rows)
    part = min(1.0, largest / max(moved, 1e-300))
    return step * part, min(part * moved / 2, 1.0)


def small_sample(model: Model, population: Population) -> float:
    """A linear model's variance is estimated with as many degrees of freedom less."""
    if not isinstance(model.family, Linear):
        return 1.0
    return population.rows / max(population.rows - model.width, 1.0)


def positive(matrix: Floats, noise: float) -> tuple[Floats, bool]:
    """The matrix with the size of its eigenvalues kept above the noise, and whether one could be
    nothing but noise.

    A negative one is far from the fit, where its size still says how far a step may go.
    """
    blur = noise * math.sqrt(len(matrix))
    scale = np.sqrt(np.maximum(np.diag(matrix), 2 * blur + 1e-12))
    unit = matrix / np.outer(scale, scale)
    values, axes = np.linalg.eigh((unit + unit.T) / 2)
    least = max(RIDGE, min(blur / float(np.median(scale) ** 2), 0.05))
    within = np.diag(matrix) < 2 * blur + 1e-12
    heard = CLEAR * noise * np.sum((axes / scale[:, None]) ** 2, axis=0)
    lifted = bool(np.any(np.abs(values) < np.maximum(least, heard)) or np.any(within))
    fixed = (axes * np.maximum(np.abs(values), least)) @ axes.T
    return np.asarray(fixed * np.outer(scale, scale), dtype=np.float64), lifted
