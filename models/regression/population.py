"""The covariates' law as the released totals describe it, and what it says of a fit.

Numbers are taken for normal, columns of two values for cut normal scores (`made_up`).
It serves to choose what is asked next (how scores are mapped, how far a step goes); an estimate
rests on the scores that were released.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from models.regression import made_up
from models.regression.batch import Floats
from models.regression.member_vectors import Gram, moment_places, unpacked
from models.regression.outcome import Model
from models.regression.unclear import Unclear, unclear

PRIOR_VARIANCE = 0.1  # of a number scaled to [-1, 1], before anything is known
PRIOR_SPREAD = 0.05  # and how far from it variances usually are
LEAST_VARIANCE = 0.003
USUAL_CORRELATION = 0.15  # at the least, however small they look under noise
CORRELATIONS = np.array([0.03, 0.1, 0.2, 0.4, 0.7])  # sizes that are usual
_SORTED = 30  # steps of the search for how often each is
CLEAR = 3.0  # standard deviations of noise
UNKNOWN = 0.7  # the error of a product of standardised columns of which nothing is known


@dataclass(frozen=True, eq=False)
class Covariates:
    """What an earlier fit opened of a row's x: `mean` [d], `covariance` [d, d], the error of a
    product of two columns of variance 1, and how many members that was of, with its noise.

    `unsure` [d] is the error of variances, relatively, before products are known.
    """

    mean: Floats
    covariance: Floats
    roughness: float
    members: float = math.nan
    noise: float = 0.0
    unsure: Floats = field(default_factory=lambda: np.zeros(0))
    unclear: Unclear = field(default_factory=Unclear)

    def others(self, members: float, noise: float) -> float:
        """At least so large a part of `members`, known with `noise`, or of those, is not of both:
        that of another outcome other values may be missing. 0 where noise may be all of it."""
        apart = abs(members - self.members) - CLEAR * math.hypot(noise, self.noise)
        return max(apart, 0.0) / max(members, self.members)


@dataclass(frozen=True, eq=False)
class Population:
    """`rows` in all (noised) of `members`; `mean` [d] and `covariance` [d, d] of a row's x.

    `noise` is the standard deviation of the noise on a sum of x over its rows, of rows.
    `size` points are made up; `low` [d] is the lower of a column's two values, NaN for a number.
    Where weights are precisions, `rows` are the members with a row
    and `weight` is their mean weight. `roughness` is the error of a product of two columns of
    variance 1; `unsure` as of Covariates. `members` is a few at the least; `counted` is as opened.
    """

    rows: float
    members: float
    mean: Floats
    covariance: Floats
    offset: float
    outcome: Floats
    noise: float
    size: int
    low: Floats
    weight: float = 1.0
    roughness: float = UNKNOWN
    unsure: Floats = field(default_factory=lambda: np.zeros(0))
    unclear: Unclear = field(default_factory=Unclear)
    counted: float = math.nan

    @cached_property
    def points(self) -> Floats:
        """[size * REPEATS, d]: rows of this law."""
        return made_up.members(self.mean, self.covariance, self.low, self.size)

    @property
    def normal(self) -> Floats:
        """[size * REPEATS]: a standard normal number for the outcome at each point."""
        return made_up.outcomes(self.size)

    @property
    def correlation(self) -> Floats:
        """[f, f]: of the columns that vary."""
        free = np.flatnonzero(np.diag(self.covariance) > 0)
        scale = np.sqrt(np.diag(self.covariance)[free])
        return np.asarray(self.covariance[np.ix_(free, free)] / np.outer(scale, scale))

    def information(self, model: Model, theta: Floats) -> Floats:
        """[size, size]: expected, of one row."""
        d, rows = model.width, model.pretend(self, theta)
        x = rows.x
        found = model.family.average(x @ theta[:d] + rows.offset, theta[d:])
        full = np.zeros((model.size, model.size))
        full[:d, :d] = (x * found.eta[:, None]).T @ x
        full[d:, :d] = found.mixed.T @ x
        full[:d, d:] = full[d:, :d].T
        full[d:, d:] = found.kappa.sum(axis=0)
        return full / rows.members


def first_population(
    model: Model, sums: Floats, noise: float, known: Covariates | None = None
) -> Population:
    """From the sums of a moments round, each with `noise`; of the outcome alone where the law of
    the covariates is `known`."""
    at = moment_places(model, known is not None)
    least = 2.0 * model.size
    members = max(float(sums[at["members"]]), least)
    clipped = float(sums[at["rows"]]) * model.most_rows  # as what is summed over rows is
    rows = max(clipped, least)
    per = model.most_rows / rows
    law = known or _uncorrelated(model, sums, per, noise * per)
    apart = known.others(members, noise) if known else 0.0
    outcome = np.array([sums[at[f"y{k}"]] * per for k in range(model.moment_count)])
    offset = float(sums[at["offset"]] * per) if "offset" in at else 0.0
    weight = rows / members if model.precise else 1.0
    alone = model.most_rows == 1 and not model.weighted
    rows = members if model.precise or alone else rows
    return Population(
        rows,
        members,
        law.mean,
        law.covariance,
        offset,
        outcome,
        noise,
        model.sketch_size,
        _lower_values(model),
        weight,
        math.hypot(law.roughness, apart),
        law.unsure,
        law.unclear,
        float(sums[at["members"]]),
    )


def _uncorrelated(model: Model, sums: Floats, per: float, tau: float) -> Covariates:
    """Means and variances; how columns go together is not known yet."""
    at = moment_places(model)
    mean, variance, unsure = np.zeros((3, model.width))
    for column in range(model.width):
        constant = model.constant(column)
        if constant is not None:
            mean[column] = constant
            continue
        mean[column] = float(np.clip(sums[at[f"x{column}"]] * per, -1, 1))
        variance[column], error = _variance(model, column, mean[column], sums, per, tau)
        unsure[column] = error / variance[column]
    covariance = _by_shares(model, mean, np.diag(variance))
    return Covariates(mean, covariance, UNKNOWN, unsure=unsure)


def _by_shares(model: Model, mean: Floats, covariance: Floats) -> Floats:
    """With the covariances of levels of one factor, of which a row has one: their shares say it."""
    found = covariance.copy()
    for group in map(list, model.exclusive):
        share = np.clip(mean[group] - np.array(model.shifts)[group], 0.02, 0.98)
        share /= max(1.0, float(share.sum()))
        apart = ~np.eye(len(group), dtype=bool)
        found[np.ix_(group, group)] -= apart * np.outer(share, share)
    return found


def _lower_values(model: Model) -> Floats:
    """[d]: the lower of a column's two values, NaN for a number."""
    return np.array(
        [low if two else math.nan for two, low in zip(model.flat, model.shifts, strict=True)]
    )


def _variance(
    model: Model, column: int, mean: float, sums: Floats, per: float, tau: float
) -> tuple[float, float]:
    """A column's variance and the error of that."""
    if model.flat[column]:
        low = model.shifts[column]
        share = float(np.clip(mean - low, 0.02, 0.98))
        return share * (1 - share), abs(1 - 2 * share) * tau
    found = float(sums[moment_places(model)[f"xx{column}"]]) * per - mean**2
    kept = PRIOR_SPREAD**2 / (PRIOR_SPREAD**2 + tau**2)
    guess = PRIOR_VARIANCE + kept * (found - PRIOR_VARIANCE)
    return float(np.clip(guess, LEAST_VARIANCE, 1.0)), math.sqrt(kept) * tau


def gram_map(population: Population) -> Floats:
    """[d, d]: `x @ map` has variance 1 and, where there is a constant, mean 0, as far as known."""
    scale = np.sqrt(np.diag(population.covariance))
    ones = np.flatnonzero((scale == 0) & (population.mean == 1))
    linear = np.diag(1 / np.where(scale > 0, scale, 1.0))
    if len(ones):
        linear[ones[0], :] -= np.where(scale > 0, population.mean * np.diag(linear), 0.0)
    return linear


def with_gram(
    model: Model, population: Population, asked: Gram, sums: Floats, noise: float
) -> Population:
    """After a Gram round: the covariance, its correlations shrunk as noise demands.

    `sums` is packed, each number with `noise`. What clipping took away is given back under the
    law as it was known. Correlations of levels of one factor are those that their shares leave;
    the others are posterior means (`_sorted_out`), and their matrix is made positive.
    """
    columns = model.multiplied
    free = [at for at in columns if model.constant(at) is None]
    if not free:
        return population
    linear, count = asked.linear[:, columns], population.rows * population.weight
    weight = model.weights(population)
    before, clipped, kept = _clipped_products(population.points @ linear, weight, asked.clip)
    gram = before + (unpacked(sums, len(columns)) / count - clipped) / kept
    moved = population.mean @ linear
    there = np.ix_(np.isin(columns, free), np.isin(columns, free))
    second = (gram - np.outer(moved, moved))[there]
    tau = noise / count / float(np.mean(kept[there]))
    spread, error = _shrunk_diagonal(np.diag(second), tau, population.unsure[free])
    off = second / np.sqrt(np.outer(spread, spread))
    known = _known_pairs(model, population)[np.ix_(free, free)]
    correlation, left = _shrunk_correlation(off, tau / math.sqrt(2), known)
    scale = np.sqrt(spread) / np.diag(asked.linear)[free]
    off_mean = population.noise * model.most_rows / count * np.diag(asked.linear)[free]
    covariance = np.zeros_like(population.covariance)
    covariance[np.ix_(free, free)] = correlation * np.outer(scale, scale)
    return replace(
        population,
        covariance=covariance,
        roughness=_roughness(left, error, len(free)),
        unclear=unclear(free, second, tau, off_mean, known),
    )


def _roughness(left: float, error: float, size: int) -> float:
    """Of products of `size` columns with error `left` and squares with `error` together."""
    return math.sqrt(2 * ((size - 1) * left**2 + error**2) / (size + 1))


def _clipped_products(z: Floats, weight: Floats, clip: float) -> tuple[Floats, Floats, Floats]:
    """Under the law: weighted mean products of mapped columns `z`, the same clipped, and how much
    of a change of each is kept."""
    square, whole = z**2, weight.sum()
    norm = weight * square.sum(axis=1)
    inside = (weight * np.minimum(1.0, clip / np.maximum(norm, 1e-12)))[:, None]
    by_weight = weight[:, None]
    kept = (square * inside).T @ square / np.maximum((square * by_weight).T @ square, 1e-12)
    return (z * by_weight).T @ z / whole, (z * inside).T @ z / whole, np.maximum(kept, 0.1)


def _shrunk_diagonal(found: Floats, tau: float, unsure: Floats) -> tuple[Floats, float]:
    """Variances against what they were taken for, which was `unsure` [f] or more where they lie
    further apart; and their error. All are shrunk alike, as their products are divided by them."""
    spread = max(float(np.mean((found - 1) ** 2)) - tau**2, float(np.mean(unsure**2)), 1e-9)
    kept = spread / (spread + tau**2)
    return np.clip(1 + kept * (found - 1), 0.1, 10.0), math.sqrt(kept) * tau


def _known_pairs(model: Model, population: Population) -> Floats:
    """[d, d]: correlations that follow from shares alone; NaN for all others."""
    found = np.full_like(population.covariance, math.nan)
    scale = np.sqrt(np.diag(population.covariance))
    for group in model.exclusive:
        place = np.ix_(group, group)
        found[place] = population.covariance[place] / np.outer(scale, scale)[place]
    return found


def _shrunk_correlation(off: Floats, tau: float, known: Floats) -> tuple[Floats, float]:
    """Positive definite, with ones on its diagonal; and the error that is left of `tau`."""
    size = len(off)
    upper = np.triu(np.isnan(known), 1)
    matrix = np.nan_to_num(known)
    matrix[upper], left = _sorted_out(np.clip(off[upper], -2.0, 2.0), tau)
    matrix = np.triu(matrix, 1) + np.triu(matrix, 1).T + np.eye(size)
    values, axes = np.linalg.eigh(matrix)
    floor = min(max(0.5 * tau * math.sqrt(size), 1e-4), 0.6)
    repaired = (axes * np.maximum(values, floor)) @ axes.T
    return np.asarray((repaired + repaired.T) / 2), left


def _sorted_out(found: Floats, tau: float) -> tuple[Floats, float]:
    """Posterior means of numbers [k] each with noise `tau`, and their root mean variance.

    The prior is a mixture of normal laws of CORRELATIONS' sizes, weighted as the numbers suggest:
    few large correlations among many small ones stay as they are, and the small ones go.
    Source: Stephens (2017), Biostatistics 18, 275-294.
    """
    total = CORRELATIONS**2 + tau**2
    density = np.exp(-(found[:, None] ** 2) / (2 * total)) / np.sqrt(total)
    weight = np.full(len(CORRELATIONS), 1 / len(CORRELATIONS))
    for _ in range(_SORTED):
        part = density * weight
        part /= part.sum(axis=1, keepdims=True)
        weight = (part.sum(axis=0) + 1.0) / (len(found) + len(CORRELATIONS))
    kept = CORRELATIONS**2 / total
    mean = part @ kept * found
    variance = part @ (kept * tau**2) + part @ kept**2 * found**2 - mean**2
    return mean, math.sqrt(max(float(variance.mean()), 0.0)) if len(found) else 0.0
