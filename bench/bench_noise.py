"""How much noise a release carries: the distributed sum beside a trusted curator's.

Every trial is one opening: the members' integer vectors, made for the plan's own delta_grid, plus
one real share of noise per node. The curator adds one discrete Gaussian of the same rho. The
root mean square error over many trials, relative to the curator's, is what privacy without a
curator costs. Beside it: noise added by each node on its own, and a curator who uses the
analytic Gaussian of the same (epsilon, delta), which is what giving up the rho ledger would save.

Margin 0 gives no protection against a lost or colluding node. It exists here for comparison only.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from dp_accounting import get_sigma_gaussian
from numpy.typing import NDArray

from privacy.accounting.conversion import DEFAULT_DELTA, rho_of_epsilon
from privacy.discrete_gaussian import noise_share
from privacy.mechanism import GaussianSum, plan_mechanism

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

EPSILON = Fraction(1)
NETWORKS = (3, 10, 50)
MEMBERS = 600
TOP = 100.0
SLACK = 1.03


@dataclass(frozen=True)
class Statistic:
    """`total`: the exact grid total at a delta_grid. `estimate`: [trials, d] totals to values."""

    name: str
    length: int
    total: Callable[[int], Integers]
    estimate: Callable[[Floats, int], Floats]
    truth: float


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Rows of RMSE ratios; 50,000 trials each when quick, else 200,000 (ratios to 0.2 %)."""
    trials = 50_000 if quick else 200_000
    return [row for statistic in _statistics() for row in _compare(statistic, trials)]


def _statistics() -> list[Statistic]:
    values = np.random.default_rng(0).beta(2, 5, MEMBERS) * TOP

    def total_sum(delta_grid: int) -> Integers:
        return np.array([np.rint(values / TOP * delta_grid).astype(np.int64).sum()])

    def total_moments(delta_grid: int) -> Integers:
        half = math.isqrt(delta_grid**2 // 2)
        centred = np.rint((values / TOP * 2 - 1) * half).astype(np.int64)
        return np.array([MEMBERS * half, centred.sum()])

    return [
        Statistic(
            "count",
            1,
            lambda delta_grid: np.array([MEMBERS * delta_grid]),
            lambda totals, delta_grid: totals[:, 0] / delta_grid,
            MEMBERS,
        ),
        Statistic(
            "sum",
            1,
            total_sum,
            lambda totals, delta_grid: totals[:, 0] / delta_grid * TOP,
            float(values.sum()),
        ),
        Statistic(
            "mean",
            2,
            total_moments,
            lambda totals, _: (1 + totals[:, 1] / totals[:, 0]) * TOP / 2,
            float(values.mean()),
        ),
    ]


def _compare(statistic: Statistic, trials: int) -> Iterator[dict[str, Any]]:
    rho = rho_of_epsilon(EPSILON, DEFAULT_DELTA)
    curator = plan_mechanism(rho, nodes=1, margin=0)
    baseline = _rmse(statistic, curator, shares=1, trials=trials)

    def row(what: str, rmse: float, limit: float | None, **more: int) -> dict[str, Any]:
        ratio = rmse / baseline
        return {
            "what": f"{statistic.name}: {what}",
            "value": ratio,
            "unit": "x RMSE of a trusted curator",
            "target": None if limit is None else f"<= {limit:.3f}",
            "ok": limit is None or ratio <= limit,
            "rmse": rmse,
            "trials": trials,
            **more,
        }

    yield row("trusted curator, analytic Gaussian", _analytic_rmse(statistic, trials), None)
    for nodes in NETWORKS:
        for margin in (0, max(1, nodes // 3)):
            event = plan_mechanism(rho, nodes, margin)
            limit = SLACK * math.sqrt(nodes / (nodes - margin))
            rmse = _rmse(statistic, event, shares=nodes, trials=trials)
            label = f"{nodes} nodes, margin {margin}"
            yield row(label, rmse, limit, nodes=nodes, margin=margin, survivors=nodes)
        least = nodes - margin
        rmse = _rmse(statistic, event, shares=least, trials=trials)
        label = f"{nodes} nodes, margin {margin}, {margin} lost"
        yield row(label, rmse, SLACK, nodes=nodes, margin=margin, survivors=least)
        rmse = _rmse(statistic, curator, shares=nodes, trials=trials)
        yield row(f"{nodes} nodes, noise at each node", rmse, None, nodes=nodes)


def _rmse(statistic: Statistic, event: GaussianSum, *, shares: int, trials: int) -> float:
    """Error of `trials` openings with `shares` real shares in each; `event` fixes the grid."""
    totals = np.tile(statistic.total(event.delta_grid), (trials, 1))
    for _ in range(shares):
        drawn = noise_share(os.urandom, event.log2_sigma, trials * statistic.length)
        totals += drawn.reshape(trials, statistic.length)
    return _error(statistic, totals.astype(np.float64), event.delta_grid)


def _analytic_rmse(statistic: Statistic, trials: int) -> float:
    """The least Gaussian noise for exactly (epsilon, delta); continuous, for comparison only."""
    delta_grid = 2**20
    sigma = delta_grid * get_sigma_gaussian(float(EPSILON), float(DEFAULT_DELTA))
    noise = np.random.default_rng().normal(0, sigma, (trials, statistic.length))
    return _error(statistic, statistic.total(delta_grid) + noise, delta_grid)


def _error(statistic: Statistic, totals: Floats, delta_grid: int) -> float:
    estimates = statistic.estimate(totals, delta_grid)
    return float(np.sqrt(((estimates - statistic.truth) ** 2).mean()))
