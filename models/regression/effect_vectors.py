"""What one member adds in the rounds of a comparison that follow those of the propensity.

With x a row of the propensity model, A whether treated, e its chance, w the weight, y the outcome
within [-1, 1], mu_a an arm's weighted mean and V_a its mean weight per member:

    Arms       w and w y of the member's arm; beside them what balance is read from
    Slopes     how both arms' means move with the propensity's coefficients: w' (y - mu_a) / V_a
               times x; and |w (y - mu_a) / V_a|, the usual size of what follows
    Influence  psi_a = w (y - mu_a) / V_a [in arm a] + gamma_a' x (A - e), products of them, and 1

The mean of psi_a is what mu_a still lacks, and its square gives the sampling error of mu_a, that of
the fitted propensity included.

Guarantee: as `models.regression.member_vectors`, whatever the state: parts of the squared norm add
up to 1, and each part lies in its ball.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from models.regression.batch import Batch, Floats
from models.regression.columns import product
from models.regression.member_vectors import in_ball
from models.regression.special import logistic
from models.regression.treated import Propensity

ARMS_PARTS = (0.5, 0.5)  # of the squared norm: what is compared, and balance
SLOPES_PARTS = (0.6, 0.4)  # slopes, and the usual size
INFLUENCE_PARTS = (0.78, 0.19, 0.03)  # means, their squares, and who is there
SUMS = 0.5  # how loud the sum of both arms speaks, next to their difference


@dataclass(frozen=True, eq=False)
class Arms:
    """Clips are in the parts' own numbers."""

    theta: Floats
    main_clip: float
    balance_clip: float


@dataclass(frozen=True, eq=False)
class Slopes:
    """`mu` [2] and `share` [2] (V above), others first; `whiten` [d, d] maps x."""

    theta: Floats
    mu: Floats
    share: Floats
    whiten: Floats
    slope_clip: float
    size_clip: float


@dataclass(frozen=True, eq=False)
class Influence:
    """`gamma` [2, d], others first."""

    theta: Floats
    mu: Floats
    share: Floats
    gamma: Floats
    mean_clip: float
    square_clip: float


Stage = Arms | Slopes | Influence


@dataclass(frozen=True, eq=False)
class _Rows:
    """x [n, d], one row per member; `arm` [n, 2] is who is in which arm, others first."""

    x: Floats
    arm: Floats
    y: Floats
    weight: Floats
    slope: Floats
    residual: Floats


def free_columns(model: Propensity) -> list[int]:
    """All but the constant."""
    return [at for at in range(model.width) if model.constant(at) is None]


def curved_columns(model: Propensity) -> list[int]:
    """Those whose squares tell something new."""
    return [at for at in free_columns(model) if not model.flat[at]]


def balance_length(model: Propensity) -> int:
    """Of one arm: members, columns, their squares, and weighted columns."""
    return 1 + 2 * len(free_columns(model)) + len(curved_columns(model))


def stage_length(model: Propensity, number: int) -> int:
    """Numbers that stage 0, 1 or 2 opens."""
    return sum(part_lengths(model, number))


def part_lengths(model: Propensity, number: int) -> tuple[int, ...]:
    """Of each part of a stage's vector."""
    return ((4, 2 * balance_length(model)), (2 * model.width, 1), (2, 3, 1))[number]


def stage_vectors(model: Propensity, asked: Stage, batch: Batch) -> Floats:
    """[members, length]: what each member adds, in the unit ball."""
    with np.errstate(all="ignore"):
        rows = _rows(model, asked.theta, batch)
        match asked:
            case Arms():
                return _arms(model, asked, rows)
            case Slopes():
                return _slopes(asked, rows)
            case Influence():
                return _influence(asked, rows)
            case _:
                assert_never(asked)


def _rows(model: Propensity, theta: Floats, batch: Batch) -> _Rows:
    found = model.rows(batch)
    eta = product(found.x, theta)
    weight, slope = model.weighting.of(eta, found.y)
    arm = np.stack([(1 - found.y) * found.weight, found.y * found.weight], axis=1)
    y = model.response.values(batch)
    residual = (found.y - logistic(eta)) * found.weight
    return _Rows(found.x, arm, y, weight * found.weight, slope * found.weight, residual)


def _joined(parts: tuple[float, ...], *blocks: Floats) -> Floats:
    """Blocks in their unit balls, as one vector in the unit ball."""
    scaled = [block * math.sqrt(part) for part, block in zip(parts, blocks, strict=True)]
    return np.concatenate(scaled, axis=1)


def _arms(model: Propensity, asked: Arms, rows: _Rows) -> Floats:
    own = rows.arm * rows.weight[:, None]
    main = np.concatenate([own, own * rows.y[:, None]], axis=1)
    x, squares = rows.x[:, free_columns(model)], rows.x[:, curved_columns(model)] ** 2
    ones = np.ones((len(x), 1))
    told = np.concatenate([ones, x, squares, x * rows.weight[:, None]], axis=1)
    both = np.concatenate([told * rows.arm[:, :1], told * rows.arm[:, 1:]], axis=1)
    blocks = in_ball(main, asked.main_clip), in_ball(both, asked.balance_clip)
    return _joined(ARMS_PARTS, *blocks)


def _first(asked: Slopes | Influence, rows: _Rows) -> Floats:
    """[n, 2]: (y - mu_a) / V_a in the member's arm, 0 in the other."""
    return np.asarray(rows.arm * (rows.y[:, None] - asked.mu) / asked.share)


def _slopes(asked: Slopes, rows: _Rows) -> Floats:
    first = _first(asked, rows)
    mapped = product(rows.x, asked.whiten) * rows.slope[:, None]
    both = np.concatenate([mapped * first[:, :1], mapped * first[:, 1:]], axis=1)
    size = np.abs(first[:, 0] + first[:, 1]) * rows.weight
    blocks = in_ball(both, asked.slope_clip), in_ball(size[:, None], asked.size_clip)
    return _joined(SLOPES_PARTS, *blocks)


def _influence(asked: Influence, rows: _Rows) -> Floats:
    psi = _first(asked, rows) * rows.weight[:, None]
    psi = psi + product(rows.x, np.ascontiguousarray(asked.gamma.T)) * rows.residual[:, None]
    difference, both = psi[:, 1] - psi[:, 0], psi[:, 1] + psi[:, 0]
    means = np.stack([difference, SUMS * both], axis=1)
    squares = [difference**2, math.sqrt(2) * difference * both, both**2]
    squared = in_ball(np.stack(squares, axis=1), asked.square_clip)
    there = rows.arm.sum(axis=1)[:, None]
    return _joined(INFLUENCE_PARTS, in_ball(means, asked.mean_clip), squared, there)
