"""Accelerated failure times from noisy life tables: how much longer one group's time is.

With log T = a + b [group] + s e, where e has a standard law, survival to t is
S((log t - a - b) / s). In bin k of a group, of n_k exposed members (those censored within it count
for half) e_k have the event, with chance h_k = 1 - S(t_k) / S(t_k-1). The likelihood of these is
maximised by Fisher scoring over all groups with one s. Its score is linear in the counts, so that
noise leaves it unbiased, and adds to its variance what each count's noise adds to it.

Bins in which noise hides who is at risk are left out, as in `models.aggregates.life_table`.

Guarantee: a function of a release alone: it costs nothing more.
Source: Kalbfleisch and Prentice (2002), The Statistical Analysis of Failure Time Data, chapter 3;
Prentice and Gloeckler (1978), Biometrics 34, 57-67 (grouped times).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np

from models.aggregates.life_table import Floats, LifeTable

Law = Literal["weibull", "exponential", "lognormal", "loglogistic"]
_STEPS, _NEAR = 200, 1e-10
_LEAST, _FAR = 1e-12, 30.0
_LARGEST_STEP = 1.0


@dataclass(frozen=True, eq=False)
class Fitted:
    """`values`: a, the b of every group but the first, and log s (0, without error, where the
    law says so). `sampling` and `noise` are their covariances."""

    law: Law
    values: Floats
    sampling: Floats
    noise: Floats
    converged: bool

    @property
    def groups(self) -> int:
        return len(self.values) - 1

    def centre(self, group: int) -> Floats:
        """The derivative of a group's a + b by all values; times them, that centre itself."""
        row = np.zeros(len(self.values))
        row[0] = 1.0
        if group:
            row[group] = 1.0
        return row


def fitted(law: Law, tables: Sequence[LifeTable], edges: Floats) -> Fitted:
    """The law of all groups together. `edges` has shape [bins + 1]."""
    theta = _start(law, tables, edges)
    free = len(theta) - (law == "exponential")
    converged = False
    for _ in range(_STEPS):
        score, information = _sums(law, theta, tables, edges)
        step = np.zeros_like(theta)
        step[:free] = np.linalg.solve(_firm(information[:free, :free]), score[:free])
        theta = theta + step * min(1.0, _LARGEST_STEP / max(float(np.abs(step).max()), 1e-300))
        if not np.isfinite(theta).all() or np.abs(theta).max() > _FAR:
            break
        if float(np.abs(step).max()) < _NEAR:
            converged = True
            break
    return _finished(law, theta, tables, edges, free, converged=converged)


def _finished(
    law: Law,
    theta: Floats,
    tables: Sequence[LifeTable],
    edges: Floats,
    free: int,
    *,
    converged: bool,
) -> Fitted:
    size = len(theta)
    sampling, noise = np.zeros((size, size)), np.zeros((size, size))
    if converged:
        _, information = _sums(law, theta, tables, edges)
        inverse = np.linalg.inv(_firm(information[:free, :free]))
        root = np.hstack([_noise_root(law, theta, at, tables, edges) for at in range(len(tables))])
        carried = inverse @ root[:free]
        sampling[:free, :free], noise[:free, :free] = inverse, carried @ carried.T
    return Fitted(law, theta, sampling, noise, converged)


def _start(law: Law, tables: Sequence[LifeTable], edges: Floats) -> Floats:
    """One exponential for all: events over time at risk."""
    theta = np.zeros(len(tables) + 1)
    widths = np.diff(edges)
    events = sum(float(table.events[table.known].sum()) for table in tables)
    time = sum(float((table.exposed * widths)[table.known].sum()) for table in tables)
    theta[0] = math.log(max(time, 1e-9) / max(events, 1.0))
    theta[-1] = 0.0 if law == "exponential" else -0.1
    return theta


def _sums(
    law: Law, theta: Floats, tables: Sequence[LifeTable], edges: Floats
) -> tuple[Floats, Floats]:
    """Score [p] and Fisher information [p, p]."""
    score = np.zeros(len(theta))
    information = np.zeros((len(theta), len(theta)))
    for group, table in enumerate(tables):
        hazard, slope = _hazards(law, theta, group, edges)
        exposed = table.at_risk - table.censored / 2
        weighted = slope * (table.known / (hazard * (1 - hazard)))[:, None]
        score += weighted.T @ (table.events - exposed * hazard)
        information += (weighted * np.maximum(exposed, 0.0)[:, None]).T @ slope
    return score, information


def _noise_root(
    law: Law, theta: Floats, group: int, tables: Sequence[LifeTable], edges: Floats
) -> Floats:
    """Shape [p, 2 bins + 1]: how each count of a group moves the score, times its noise."""
    table = tables[group]
    hazard, slope = _hazards(law, theta, group, edges)
    weighted = slope * (table.known / (hazard * (1 - hazard)))[:, None]
    lost = weighted * hazard[:, None]
    before = np.cumsum(lost, axis=0)
    rows = np.concatenate([weighted - before, lost / 2 - before, -before[-1:]])
    return np.asarray((rows * table.count_sds[:, None]).T)


def _hazards(law: Law, theta: Floats, group: int, edges: Floats) -> tuple[Floats, Floats]:
    """Chance of the event in each bin [bins], and its derivative by theta [bins, p]."""
    centre = theta[0] + (theta[group] if group else 0.0)
    scale = math.exp(float(np.clip(theta[-1], -_FAR, _FAR)))
    with np.errstate(divide="ignore"):
        z = np.clip((np.log(np.maximum(edges, 0.0)) - centre) / scale, -700.0, 700.0)
    log_survival, rate = _law(law, z)
    slope = np.zeros((len(edges), len(theta)))
    slope[:, 0] = rate / scale
    if group:
        slope[:, group] = rate / scale
    slope[:, -1] = rate * z
    hazard = -np.expm1(np.diff(log_survival))
    held = np.clip(hazard, _LEAST, 1 - _LEAST)
    return held, (1 - held)[:, None] * -np.diff(slope, axis=0)


def _law(law: Law, z: Floats) -> tuple[Floats, Floats]:
    """log S(z), and minus its derivative by z (the hazard on this scale)."""
    match law:
        case "weibull" | "exponential":
            rate = np.exp(np.minimum(z, _FAR))
            return -rate, rate
        case "loglogistic":
            return -np.logaddexp(0.0, z), 1 / (1 + np.exp(-z))
        case "lognormal":
            return _normal(z)
        case _:
            assert_never(law)


def _normal(z: Floats) -> tuple[Floats, Floats]:
    """Of the normal law; beyond 30 deviations as at 30."""
    held = np.clip(z, -_FAR, _FAR)
    tail = np.array([math.erfc(each / math.sqrt(2)) / 2 for each in held])
    density = np.exp(-(held**2) / 2) / math.sqrt(2 * math.pi)
    return np.log(tail), density / tail


def _firm(information: Floats) -> Floats:
    """Without a direction of which nothing is known."""
    values, axes = np.linalg.eigh((information + information.T) / 2)
    least = max(float(values[-1]), 1e-9) * 1e-10
    return np.asarray((axes * np.maximum(values, least)) @ axes.T)


def median_of(law: Law) -> float:
    """The standard law's median of e."""
    return math.log(math.log(2)) if law in ("weibull", "exponential") else 0.0
