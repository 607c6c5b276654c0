"""What several rounds of noisy scores say together of the coefficients.

Every round asked scores at other coefficients. Under the law of covariates that was opened, each
sum has an expectation and a slope at the latest coefficients, and so a Newton target. Their mean
is the estimate; how far they lie apart, beyond what is expected, widens its interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.regression.batch import Floats
from models.regression.member_vectors import Scores, scores, summed
from models.regression.outcome import Model, ModelRows
from models.regression.population import Population

LARGEST_STEP = 1.5  # a step's root mean square, in the predictor
REACH = 0.5  # from a round's own coefficients, in the same: the law is told to be a line so far
LEAST_GAP = 0.02  # between thresholds
FEWEST = 3  # targets in a mean, so that a direction known badly does not swing
MOST_UNEVEN = 2.0
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


@dataclass(frozen=True, eq=False)
class Joined:
    """Covariances are of `theta`, [size, size]; `sampling` as of one row."""

    theta: Floats
    sampling: Floats
    privacy: Floats
    scatter: float


def joined(
    model: Model, population: Population, heard: Sequence[Heard], damping: float, near: Floats
) -> Joined:
    """All rounds' targets, seen from the coefficients `near`, as one."""
    law = Law(model, population)
    found = [target(law, each, damping, near) for each in heard]
    plain = heard[-1].asked.whiten / model.loudness
    doubt = Doubt(model, population, plain, uneven(model, population, near))
    kept, last = _kept(found, doubt), found[-1]
    theta = np.asarray(sum(each.theta for each in kept)) / len(kept)
    privacy = sum(each.error**2 * each.back @ each.back.T for each in kept) / len(kept) ** 2
    bent = plain @ doubt.of(_away(kept)) @ plain.T
    scatter = _scatter(kept, doubt, theta)
    wide = doubt.widening()
    return Joined(
        theta=theta,
        sampling=wide @ last.back @ last.spread @ last.back.T @ wide.T,
        privacy=wide @ (np.asarray(privacy) * max(scatter, 1.0) + bent) @ wide.T,
        scatter=scatter,
    )


def _kept(found: Sequence[Target], doubt: Doubt) -> Sequence[Target]:
    """All of them, or the last ones where that halves the error."""
    latest = [found[at:] for at in range(max(1, len(found) - FEWEST + 1))]
    best = min(latest, key=lambda kept: _expected(kept, doubt))
    return best if _expected(best, doubt) < _expected(found, doubt) / 2 else found


def _away(kept: Sequence[Target]) -> Floats:
    away = np.asarray(sum(each.away for each in kept)) / len(kept)
    return np.outer(away, away)


def _expected(kept: Sequence[Target], doubt: Doubt) -> float:
    """The squared error of these targets' mean, beside sampling: fewer have more noise, the last
    ones less doubt, and those that went to and fro lie apart by more than either."""
    noise = sum(each.error**2 for each in kept) / len(kept) ** 2 * len(doubt.plain)
    theta = np.asarray(sum(each.theta for each in kept)) / len(kept)
    apart = max(_scatter(kept, doubt, theta), 1.0)
    return float(noise * apart + np.trace(doubt.of(_away(kept))))


def uneven(model: Model, population: Population, theta: Floats) -> float:
    """By how much more a count's information depends on products of columns than other outcomes'
    does: those with a large mean tell most, and who has one follows from the products too."""
    if not model.counts:
        return 1.0
    return 1.0 + min(float(np.var(population.points @ theta[: model.width])), MOST_UNEVEN)


class Doubt:
    """What it does to a fit that products of columns are known roughly.

    The mapped information is then off by D = m' E m, where m maps coefficients to those of
    standardised columns and E is symmetric with independent normal errors. `more` is by how much
    the variance of E is larger than that of the products.
    """

    def __init__(
        self, model: Model, population: Population, plain: Floats, more: float = 1.0
    ) -> None:
        free = np.flatnonzero(np.diag(population.covariance) > 0)
        scale = np.sqrt(np.diag(population.covariance))[free]
        mapped = scale[:, None] * plain[free]
        usual = np.trace(mapped.T @ population.correlation @ mapped) / max(len(free), 1)
        self.plain = plain
        self.mapped = mapped / math.sqrt(max(float(usual), 1e-300))
        self.variance = more * population.roughness**2 / 2

    def of(self, matrix: Floats) -> Floats:
        """The mean of D matrix D, and a misfit of the law in every direction alike."""
        moved = self.mapped @ matrix @ self.mapped.T
        inner = np.trace(moved) * np.eye(len(moved)) + moved
        alike = np.trace(matrix) * np.eye(len(matrix)) + matrix
        return np.asarray(
            self.variance * self.mapped.T @ inner @ self.mapped + MISFIT**2 / 2 * alike
        )

    def widening(self) -> Floats:
        """[size, size]: by what errors are multiplied, since the inverse of (1 + D) is
        (1 + D^2) on average, to second order."""
        one = np.eye(len(self.plain))
        inner = np.trace(self.mapped @ self.mapped.T) * np.eye(len(self.mapped))
        inner = inner + self.mapped @ self.mapped.T
        extra = self.variance * self.mapped.T @ inner @ self.mapped
        values, axes = np.linalg.eigh(one + (extra + extra.T) / 2)
        root = (axes * np.sqrt(values)) @ axes.T
        return np.asarray(self.plain @ root @ np.linalg.inv(self.plain))


def _scatter(found: Sequence[Target], doubt: Doubt, theta: Floats) -> float:
    """How far targets lie apart, squared, in units of what is expected; 1 as expected."""
    if len(found) < 2:
        return 1.0
    total = 0.0
    for each in found:
        off = np.linalg.solve(each.back, each.theta - theta)
        usual = each.error**2 * np.eye(len(off)) + doubt.of(np.outer(each.away, each.away))
        total += float(off @ np.linalg.solve(usual, off))
    return total / ((len(found) - 1) * len(theta))


@dataclass(frozen=True, eq=False)
class Made:
    """Made-up rows, and of their members' scores: themselves [n, size], mean, mean products."""

    rows: ModelRows
    scores: Floats
    mean: Floats
    square: Floats


class Law:
    """Made-up members whose outcomes have the law of some coefficients, made once for all rounds
    that are seen from the same ones."""

    def __init__(self, model: Model, population: Population) -> None:
        self.model, self.population = model, population
        self._made: dict[bytes, Made] = {}

    def at(self, theta: Floats) -> Made:
        key = theta.tobytes()
        if key not in self._made:
            rows = self.model.pretend(self.population, theta)
            found = summed(scores(self.model, rows, theta), rows)
            mean = found.mean(axis=0)
            square = found.T @ found / len(found) - np.outer(mean, mean)
            self._made[key] = Made(rows, found, mean, square)
        return self._made[key]


def target(law: Law, heard: Heard, damping: float, near: Floats) -> Target:
    """One round's Newton target, from the coefficients `near`, or as near to them as the round's
    own allow."""
    model = law.model
    asked, rows, loud = heard.asked, law.population.rows, model.loudness
    plain = asked.whiten / loud
    away = np.asarray(np.linalg.solve(plain, near - asked.theta))
    part = REACH / max(float(np.linalg.norm(away)), 1e-300)
    seen = near if part >= 1 else repaired(model, asked.theta + part * (near - asked.theta))
    gain, spread, mean = clipped_law(law, asked, seen)
    inverse = np.linalg.inv(firm(gain / np.outer(loud, loud))) / loud
    step = inverse @ (heard.sums / rows - mean) / damping
    step *= min(1.0, LARGEST_STEP / max(float(np.linalg.norm(step)), 1e-300))
    moved = plain @ step
    return Target(
        theta=seen + (model.eased(moved) if model.family.uneven else moved),
        back=plain @ inverse,
        spread=spread,
        error=heard.noise / rows,
        away=away,
    )


def repaired(model: Model, theta: Floats) -> Floats:
    """Coefficients that are a state: finite, not beyond certainty, thresholds ascending."""
    fixed = np.clip(np.nan_to_num(theta, nan=0.0, posinf=0.0, neginf=0.0), -1e6, 1e6)
    if model.family.extras > 1:
        for k in range(model.width + 1, model.size):
            fixed[k] = max(fixed[k], fixed[k - 1] + LEAST_GAP)
    return np.asarray(fixed)


def firm(gain: Floats) -> Floats:
    """The symmetric part, with no direction far weaker or stronger than the mean one."""
    values, axes = np.linalg.eigh((gain + gain.T) / 2)
    usual = max(float(np.mean(values)), 0.05)
    return np.asarray((axes * np.clip(values, usual / 4, 4 * usual)) @ axes.T)


def clipped_law(law: Law, asked: Scores, theta: Floats) -> tuple[Floats, ...]:
    """(gain, covariance, mean) of one row's clipped score, where outcomes have the law of `theta`.

    The gain is how much a mapped coefficient moves the clipped score: by the identity of
    information, E[clipped score' score], where the second is the mapped score at `theta`. That
    has mean 0, and what it has beside that in the made-up rows is taken from the mean.
    """
    made, map_ = law.at(theta), asked.whiten
    clipped = summed(scores(law.model, made.rows, asked.theta), made.rows) @ map_
    norm = np.sqrt(np.einsum("ij,ij->i", clipped, clipped))
    clipped *= np.minimum(1.0, asked.clip / np.maximum(norm, 1e-12))[:, None]
    points, beside, mean = len(clipped), made.mean @ map_, clipped.mean(axis=0)
    gain = clipped.T @ made.scores @ map_ / points - np.outer(mean, beside)
    square = map_.T @ made.square @ map_
    mean = mean - gain @ (np.linalg.pinv(square, hermitian=True) @ beside)
    return gain, clipped.T @ clipped / points - np.outer(mean, mean), mean


def held(found: Joined, begun: Floats, firmly: Floats, share: float) -> Joined:
    """Drawn towards `begun` where a model is held to it with the precision `firmly`; what is not
    known of the difference is counted with the noise. `share` is of one row's sampling."""
    if not firmly.any():
        return found
    sampling = found.sampling * share
    whole = sampling + found.privacy
    kept = np.asarray(np.linalg.inv(np.eye(len(begun)) + whole @ firmly), dtype=np.float64)
    left = found.privacy + whole @ firmly @ whole
    return Joined(
        theta=begun + kept @ (found.theta - begun),
        sampling=kept @ sampling @ kept.T / share,
        privacy=kept @ left @ kept.T,
        scatter=found.scatter,
    )
