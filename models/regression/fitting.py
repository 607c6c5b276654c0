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
from models.regression.joining import Heard, held, joined, repaired
from models.regression.member_vectors import (
    Gram,
    Moments,
    Newton,
    Round,
    Scores,
)
from models.regression.newton import LOUDEST, Opened, Standing, after_newton, nearer, small_sample
from models.regression.outcome import Model
from models.regression.population import (
    Covariates,
    Population,
    first_population,
    gram_map,
    with_gram,
)

CLUSTERED = "newton, clustered"
PASSES = 2
FAR = 0.5  # between estimate and where it was seen from, in the root of a row's information
HEAVY = 1.5  # noise on those of counts, which tell unequally, and of slopes, which are weighted
ASTRAY = (
    "The run diverged: noise carried the fit away, and nothing can be said of the coefficients. "
    "Ask with more epsilon, of more members, or by fewer terms."
)
UNSEEN = (
    "The way gradient serves prediction alone: it does not learn how covariates go together, and "
    "nothing can be said of single coefficients. Ask in the way gram."
)
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


def next_round(model: Model, course: Course, opened: Sequence[Opened]) -> Round:
    """What round `len(opened)` asks."""
    if not opened:
        return Moments(course.moments_clip, course.known is not None)
    kind = course.kinds[len(opened)]
    if kind == "gram":
        return Gram(gram_map(learnt(model, course, opened)), course.gram_clip)
    now = standing(model, course, opened)
    if course.method == "newton":
        return Newton(now.next, clustered=kind == CLUSTERED)
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
            now = after_newton(model, now, each, theta)
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
    way = nearer(theta - begun, variance, whiten)
    length = float(np.linalg.norm(np.linalg.solve(whiten, way)))
    return np.asarray(begun + way * min(1.0, FARTHEST / max(length, 1e-300)))
