"""Newton's method proper: every round opens the information with the score.

Whether a fit has got there, and what is left of the way, follows from its last step; where noise
leaves nothing to be said, it is said instead of the coefficients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from models.regression.batch import Floats, Mask
from models.regression.families import Linear
from models.regression.joining import LARGEST_STEP, repaired
from models.regression.member_vectors import (
    Newton,
    Round,
    newton_bounds,
    newton_places,
    unpacked,
)
from models.regression.outcome import Model
from models.regression.population import Population
from models.rows import Codes as Places

SHORT_STEP = 0.5  # a step's root mean square, where the likelihood is not concave
RIDGE = 1e-9
UNKNOWN = 1e4  # variance of the logarithm of a hazard of which nothing is known
USUAL_EFFECT = 0.5  # of a mapped coefficient, in the root of a row's information
LOUDEST = 0.1  # noise on a mapped coefficient, in the same
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
CAUSED = (
    "Nothing can be said of the coefficients, as follows from the members: another note says why, "
    "and more epsilon does not mend it."
)
FAINT = 0.01  # of a usual column's information: more a direction has in healthy data
CLEAR = 5.0  # standard deviations of noise that no direction of the information exceeds by chance


@dataclass(frozen=True, eq=False)
class Opened:
    """One round's sums, in its own numbers (not grid units), and the noise on each."""

    asked: Round
    sums: Floats
    noise: float


@dataclass(frozen=True, eq=False)
class Loose:
    """The inverse information `whole` [size, size], and the `part` of it along directions that were
    held up, as the information does not determine them."""

    whole: Floats
    part: Floats

    def of(self, matrix: Floats) -> Mask:
        """Which of `matrix @ theta` follow from such directions more than from any other."""
        whole, part = (np.diag(matrix @ each @ matrix.T) for each in (self.whole, self.part))
        return np.asarray(part > whole / 2)

    def among(self, free: Places, size: int) -> Loose:
        """The same of `size` coefficients, of which these are those at `free`."""
        there, full = np.ix_(free, free), np.zeros((2, size, size))
        full[0][there], full[1][there] = self.whole, self.part
        return Loose(full[0], full[1])


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
    loose: Loose | None = None  # where the information leaves something undetermined
    drowned: bool = False  # may noise alone have made a direction look undetermined?
    absent: tuple[int, ...] = ()  # coefficients of which nothing is known, kept as they began


def after_newton(model: Model, now: Standing, each: Opened, begun: Floats) -> Standing:
    """The next round asks at what was found, drawn towards `begun` as far as noise demands: where
    a round is drowned in it, so that it carries the next one nowhere."""
    asked = each.asked
    if not isinstance(asked, Newton):
        return now
    step = _step(model, now.population, asked, each)
    there = np.ix_(step.free, step.free)
    sampling, privacy = (np.zeros((model.size, model.size)) for _ in range(2))
    sampling[there], privacy[there] = step.sampling, step.privacy
    absent = np.setdiff1d(np.arange(model.size), step.free)
    sampling[absent, absent] = UNKNOWN
    theta = repaired(model, asked.theta + step.taken)
    return Standing(
        theta=theta,
        next=repaired(model, begun + nearer(theta - begun, privacy, now.whiten)),
        population=step.counted,
        whiten=now.whiten,
        sampling=sampling,
        privacy=privacy + np.outer(step.rest, step.rest),
        left=step.left,
        loose=step.loose and step.loose.among(step.free, model.size),
        drowned=step.drowned,
        lost=step.lost,
        absent=tuple(absent.tolist()),
    )


@dataclass(frozen=True, eq=False)
class Step:
    """One of Newton's steps among the coefficients `free`, with covariances of those alone."""

    free: Places
    taken: Floats
    rest: Floats  # of the way to the fit, by which it may still be off
    left: float
    counted: Population
    sampling: Floats
    privacy: Floats
    loose: Loose | None
    drowned: bool
    lost: str


def _step(model: Model, population: Population, asked: Newton, each: Opened) -> Step:
    score, information, noise, blur = newton_sums(model, asked.theta, each)
    free = _there(model, information, blur)
    curve, loose = positive(information[np.ix_(free, free)], blur)
    solved = np.zeros(model.size)
    solved[free] = np.linalg.solve(curve, score[free])
    taken, bend = _taken(model, population, asked.theta, model.eased(solved), curve, free)
    rest = _rest(model, solved, taken, bend)
    left = math.sqrt(max(float(rest[free] @ curve @ rest[free]), 0.0))
    inverse = np.asarray(np.linalg.inv(curve), dtype=np.float64)
    root = math.sqrt(asked.parts)
    counted = _counted(model, population, float(each.sums[0] * root))
    wide, most = _blurred(inverse, blur)
    loud = noise * math.sqrt(float(np.trace(inverse)) / len(inverse) / counted.rows)
    moved = taken[free]
    bent = blur**2 / 2 * (float(moved @ moved) * np.eye(len(moved)) + np.outer(moved, moved))
    sampling = inverse * small_sample(model, counted) / model.largest_weight
    if asked.clustered:
        sampling = _sandwich(model, counted, inverse, asked, each.sums * root)
    return Step(
        free=free,
        taken=taken,
        rest=rest,
        left=left,
        counted=counted,
        sampling=wide @ sampling @ wide.T,
        privacy=wide @ (inverse @ inverse * noise**2 + inverse @ bent @ inverse) @ wide.T,
        loose=loose,
        drowned=CLEAR * blur > FAINT * float(np.median(np.diag(information)[free])),
        lost=_unsaid(blurred=most > BLUR or loud > LOUDEST, left=left),
    )


def _there(model: Model, information: Floats, blur: float) -> Places:
    """The coefficients of which anything is known: all but those of the first columns, as many as
    may be without any row, whose information may be noise alone. If all of those are, none is
    left out, and the fit says of itself that nothing is known."""
    every = np.arange(model.size)
    heard = np.diag(information) > CLEAR * blur
    there = every[heard | (every >= model.vanishing)]
    return there if np.any(there < model.vanishing) else every


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
    counted = replace(population, members=least, counted=members)
    if model.most_rows > 1 or (model.weighted and not model.precise):
        return counted
    return replace(counted, rows=least)


def newton_sums(model: Model, theta: Floats, each: Opened) -> tuple[Floats, Floats, float, float]:
    """Score, information, and the noise on each number of the one and the other."""
    first, second = newton_bounds(model, theta)
    score, both = newton_places(model)
    parts = each.asked.parts if isinstance(each.asked, Newton) else 3
    sums, tau = each.sums * math.sqrt(parts), each.noise * math.sqrt(parts)
    information = unpacked(sums[both] * second, model.size)
    return sums[score] * first, information, tau * first, tau * second


def _taken(
    model: Model, population: Population, theta: Floats, step: Floats, curve: Floats, free: Places
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
    length = math.sqrt(max(float(step[free] @ curve @ step[free]), 0.0))
    moved = length / math.sqrt(max(usual, 1e-6) * population.rows)
    part = min(1.0, largest / max(moved, 1e-300))
    return step * part, min(part * moved / 2, 1.0)


def small_sample(model: Model, population: Population) -> float:
    """A linear model's variance is estimated with as many degrees of freedom less."""
    if not isinstance(model.family, Linear):
        return 1.0
    rows = population.rows if model.precise else population.rows * model.largest_weight
    return rows / max(rows - model.width, 1.0)


def positive(matrix: Floats, noise: float) -> tuple[Floats, Loose | None]:
    """The matrix with the size of its eigenvalues kept above the noise, and what of its inverse is
    of directions that could be nothing but noise.

    A negative one is far from the fit, where its size still says how far a step may go.
    """
    blur = noise * math.sqrt(len(matrix))
    scale = np.sqrt(np.maximum(np.diag(matrix), 2 * blur + 1e-12))
    unit = matrix / np.outer(scale, scale)
    values, axes = np.linalg.eigh((unit + unit.T) / 2)
    least = max(RIDGE, min(blur / float(np.median(scale) ** 2), 0.05))
    within = np.diag(matrix) < 2 * blur + 1e-12
    heard = CLEAR * noise * np.sum((axes / scale[:, None]) ** 2, axis=0)
    lifted = np.abs(values) < np.maximum(least, heard)
    kept = np.maximum(np.abs(values), least)
    fixed = np.asarray((axes * kept) @ axes.T * np.outer(scale, scale), dtype=np.float64)
    if not lifted.any() and not within.any():
        return fixed, None
    turn = axes / np.sqrt(kept) / scale[:, None]
    whole, part = turn @ turn.T, turn[:, lifted] @ turn[:, lifted].T
    part[within, within] = whole[within, within]
    return fixed, Loose(whole, part)


def nearer(way: Floats, variance: Floats, whiten: Floats) -> Floats:
    """A way that is known with `variance`, as far as usual effects are likelier than noise."""
    inverse = np.linalg.inv(whiten)
    prior = inverse.T @ inverse / USUAL_EFFECT**2
    return np.asarray(np.linalg.solve(np.eye(len(way)) + variance @ prior, way))
