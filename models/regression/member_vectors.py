"""What one member adds in each kind of round, before it becomes integers.

Guarantee: every row of `vectors` is finite and has L2 norm at most 1, whatever the rows and the
state hold (`in_ball` scales by the norm, and drops what is not finite); and no bit of it depends
on the other members of the batch, nor on how many they are (`models.rowwise`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from models.regression.batch import Batch, Floats
from models.regression.columns import (
    empty,
    packed_places,
    packed_products,
    product,
    squared_norms,
)
from models.regression.outcome import Model, ModelRows
from models.rowwise import Array


@dataclass(frozen=True)
class Moments:
    """Counts, and sums of columns, squares and outcome. `clip` is in those numbers.

    The first is one for the member and is never clipped: the others are, to what it leaves.
    `outcome_alone`: nothing of the columns, which an earlier fit opened.
    """

    clip: float
    outcome_alone: bool = False


@dataclass(frozen=True, eq=False)
class Gram:
    """Sums of products of columns mapped by `x @ linear`, of those that the model multiplies; the
    matrix of products has norm `clip`."""

    linear: Floats
    clip: float


@dataclass(frozen=True, eq=False)
class Scores:
    """Sums of scores at `theta`, mapped by `score @ whiten`, each clipped to norm `clip`."""

    theta: Floats
    whiten: Floats
    clip: float


@dataclass(frozen=True, eq=False)
class Newton:
    """Sums of scores and information at `theta`, each within its public bound; with `clustered`
    of each member's score times itself too."""

    theta: Floats
    clustered: bool = False

    @property
    def parts(self) -> int:
        """Into how many parts of equal norm a member's vector is divided."""
        return 4 if self.clustered else 3


Round = Moments | Gram | Scores | Newton


def length(model: Model, asked: Round) -> int:
    """Numbers that a round opens."""
    match asked:
        case Moments(_, outcome_alone):
            return len(moment_places(model, outcome_alone))
        case Gram():
            return packed_length(len(model.multiplied))
        case Scores():
            return model.size
        case Newton():
            return 1 + model.size + (asked.parts - 2) * packed_length(model.size)
        case _:
            assert_never(asked)


def vectors(model: Model, asked: Round, batch: Batch) -> Floats:
    """[members, length]: what each member adds, in the unit ball."""
    with np.errstate(all="ignore"):
        first = isinstance(asked, Moments | Gram)
        rows = model.first_rows(batch) if first else model.rows(batch)
        match asked:
            case Moments(clip, outcome_alone):
                return _counted(_moments(model, rows, outcome_alone), clip)
            case Gram(linear, clip):
                kept = product(rows.x, linear[:, model.multiplied])
                products = empty(len(rows.y), packed_length(kept.shape[1]))
                packed_products(kept, rows.weight, products)
                return in_ball(summed(products, rows), clip)
            case Scores(theta, whiten, clip):
                return in_ball(summed(product(scores(model, rows, theta), whiten), rows), clip)
            case Newton():
                return _newton(model, rows, asked)
            case _:
                assert_never(asked)


def in_ball(matrix: Floats, clip: float, radius: float = 1.0, out: Floats | None = None) -> Floats:
    """Rows divided by `clip`, those beyond it scaled down to norm 1, times `radius`; zero where
    not finite. `out` is written to where it is given, and may be `matrix`."""
    norm = np.sqrt(squared_norms(matrix))
    scale = radius / np.maximum(norm, clip)
    result: Floats = np.multiply(matrix, scale[:, None], out=out)
    if not np.isfinite(norm).all():
        result[~np.isfinite(norm)] = 0.0
    return result


def _counted(matrix: Floats, clip: float) -> Floats:
    """As `in_ball`, but the first column, of which no number is above 1 in size, stays as it is
    and the others are scaled down to what it leaves; both have norm 1 at most together."""
    one = min(1 / clip, 1.0)
    left = math.sqrt(1 - one**2)
    result = empty(*matrix.shape)
    result[:, 0] = np.where(matrix[:, 0] > 0, one, 0.0)
    in_ball(matrix[:, 1:], max(left / one, 1e-300), left, result[:, 1:])
    return result


def summed(matrix: Array, rows: ModelRows) -> Floats:
    """[rows, d] to [members, d]. As many rows as members may still be many of one and none of
    another."""
    if np.array_equal(rows.member, np.arange(rows.members)):
        return np.asarray(matrix)
    total = empty(rows.members, matrix.shape[1])
    total[:] = 0.0
    if len(rows.member):
        starts = np.flatnonzero(np.diff(rows.member, prepend=-1))
        total[rows.member[starts]] = np.add.reduceat(matrix, starts, axis=0)
    return total


def scores(model: Model, rows: ModelRows, theta: Floats) -> Floats:
    """[rows, size]: the weighted gradient of each row's log-likelihood."""
    b, kappa = theta[: model.width], theta[model.width :]
    found = model.family.score(rows.y, product(rows.x, b) + rows.offset, kappa)
    by_x = rows.x * (found.eta * rows.weight)[:, None]
    if not model.family.extras:
        return by_x
    return np.concatenate([by_x, found.kappa * rows.weight[:, None]], axis=1)


def informations(model: Model, rows: ModelRows, theta: Floats) -> Floats:
    """[rows, packed size]: minus the second derivatives, weighted."""
    b, kappa = theta[: model.width], theta[model.width :]
    found = model.family.information(rows.y, product(rows.x, b) + rows.offset, kappa)
    d, p = model.width, model.size
    result = empty(len(rows.y), packed_length(p))
    packed_products(rows.x, found.eta * rows.weight, result)
    if not model.family.extras:
        return result
    places = packed_places(p, packed_length(p))
    mixed = found.mixed * (rows.weight * math.sqrt(2.0))[:, None]
    for at in range(d):
        last = slice(places[at + 1] - model.family.extras, places[at + 1])
        np.multiply(mixed, rows.x[:, at, None], out=result[:, last])
    result[:, places[d] :] = packed(found.kappa) * rows.weight[:, None]
    return result


def _newton(model: Model, rows: ModelRows, asked: Newton) -> Floats:
    """One for the member, the score, the information and the score times itself, each within its
    part of the ball."""
    theta, part = asked.theta, math.sqrt(1 / asked.parts)
    first, second = newton_bounds(model, theta)
    there = (summed(rows.weight[:, None], rows) > 0).astype(np.float64)
    result, score, both = empty(rows.members, length(model, asked)), *newton_places(model)
    result[:, :1] = there * part
    of_member = summed(scores(model, rows, theta), rows)
    in_ball(of_member, first, part, result[:, score])
    in_ball(summed(informations(model, rows, theta), rows), second, part, result[:, both])
    if asked.clustered:
        square = empty(rows.members, packed_length(model.size))
        packed_products(of_member, np.ones(rows.members), square)
        in_ball(square, first**2, part, result[:, both.stop :])
    return result


def newton_places(model: Model) -> tuple[slice, slice]:
    """Where the score and the information stand; the score times itself comes last."""
    end = 1 + model.size
    return slice(1, end), slice(end, end + packed_length(model.size))


def newton_bounds(model: Model, theta: Floats) -> tuple[float, float]:
    """Public bounds of a member's score and information at `theta`: the dictionary's, in full."""
    score, information = model.row_bounds(theta)
    return score * model.most_rows, information * model.most_rows


def _moments(model: Model, rows: ModelRows, outcome_alone: bool) -> Floats:
    places = moment_places(model, outcome_alone)
    weight = rows.weight[:, None]
    there = (summed(weight, rows) > 0).astype(np.float64)
    curved = [at for at in range(model.width) if f"xx{at}" in places]
    kept = [at for at in range(model.width) if f"x{at}" in places]
    parts = [np.ones((len(rows.y), 1)), rows.x[:, kept], rows.x[:, curved] ** 2]
    parts += (
        [model.moments(rows), rows.offset[:, None]] if "offset" in places else [model.moments(rows)]
    )
    sums = summed(np.concatenate(parts, axis=1) * weight, rows) / model.most_rows
    return np.concatenate([there, sums], axis=1)


def moment_places(model: Model, outcome_alone: bool = False) -> dict[str, int]:
    """Where each number of a moments round stands."""
    names = ["members", "rows"]
    columns = () if outcome_alone else range(model.width)
    free = [at for at in columns if model.constant(at) is None]
    names += [f"x{at}" for at in free]
    names += [f"xx{at}" for at in free if not model.flat[at]]
    names += [f"y{at}" for at in range(model.moment_count)]
    names += ["offset"] if model.offsets else []
    return {name: at for at, name in enumerate(names)}


def packed_length(size: int) -> int:
    return size * (size + 1) // 2


def packed(matrices: Floats) -> Floats:
    """[n, s, s] symmetric to [n, s(s+1)/2]: the L2 norm of a row is the Frobenius norm."""
    upper, lower = np.triu_indices(matrices.shape[-1])
    scale = np.where(upper == lower, 1.0, math.sqrt(2.0))
    return np.asarray(matrices[..., upper, lower] * scale)


def unpacked(row: Floats, size: int) -> Floats:
    """The symmetric matrix that `packed` wrote."""
    upper, lower = np.triu_indices(size)
    scale = np.where(upper == lower, 1.0, math.sqrt(0.5))
    matrix = np.zeros((size, size))
    matrix[upper, lower] = matrix[lower, upper] = row * scale
    return matrix
