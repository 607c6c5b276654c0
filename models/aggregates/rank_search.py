"""The search for quantiles in rounds: where to cut next, and what all rounds tell of a rank.

A round counts members between cut points, with independent noise in every cell. With S(c) the
members below a cut and S(end) all of them, a cell's count is a difference of two S; least
squares over all rounds give every S with its covariance. A quantile q lies where the excess
S(c) - q S(end) passes zero. The law of the crossing's place is P(place <= c) = T(excess / sd),
sd holding noise and sampling and T being Student's law of two degrees of freedom (whose
distribution function is algebraic, and whose tails never rule a place out). The next cuts are at
its quartiles; where an earlier cut is near one, that is measured again, which adds to what is
known of it.

Guarantee: additions, products, quotients and square roots of doubles in one fixed order, each
rounded as IEEE 754 says, so that every machine chooses the same cuts.
Source: after the noisy binary search of Burnashev and Zigangirov (1974); the rest is derived
above. Measured in `bench.bench_quantiles`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.result import Z95

Floats = NDArray[np.float64]
LEVELS = (0.25, 0.5, 0.75)  # where a search round cuts each quantile's law
HEAVY = 2.5  # half-widths of members in a cell, above which it is not divided
ENDS = (-2.3, 0.0, 2.3)  # standard deviations of the excess: just beyond a 95 % interval
NEAR = 0.125  # an earlier cut within this of a level stands for it


@dataclass(frozen=True, eq=False)
class Counted:
    """One round: noisy members in each cell between consecutive cuts, shape [cuts + 1]."""

    cuts: tuple[int, ...]
    members: Floats
    noise_sd: float


@dataclass(frozen=True, eq=False)
class Ranks:
    """Members below every cut of every round, the last entry being all members.

    `covariance` (shape [cuts + 1, cuts + 1]) is that of the noise in `below`.
    """

    cuts: tuple[int, ...]
    steps: int
    below: Floats
    covariance: Floats

    @property
    def members(self) -> float:
        """The noisy number of all members, one at least."""
        return max(float(self.below[-1]), 1.0)

    def excess(self, q: float) -> tuple[Floats, Floats]:
        """Shape [cuts]: members below a cut beyond the share `q`, and the noise's variance."""
        spread = self.covariance
        own = spread.diagonal()[:-1]
        noise = own - 2 * q * spread[:-1, -1] + q * q * spread[-1, -1]
        return self.below[:-1] - q * self.below[-1], np.maximum(noise, 1e-12)

    def score(self, q: float) -> Floats:
        """Shape [cuts + 2]: excess over its sd at every cut and both ends; never falling."""
        excess, noise = self.excess(q)
        excess = np.array([-q * self.members, *excess, (1 - q) * self.members])
        spread = np.array([0.0, *noise, 0.0]) + self.members * q * (1 - q)
        score = excess / np.sqrt(spread)
        rising = np.maximum.accumulate(score)
        return np.asarray((rising + np.minimum.accumulate(score[::-1])[::-1]) / 2)


def law(score: Floats) -> Floats:
    """Student's distribution function with two degrees of freedom."""
    return np.asarray(0.5 + score / (2 * np.sqrt(2 + score * score)))


def first_cuts(number: int, steps: int) -> tuple[int, ...]:
    """Evenly spread cuts: nothing is known yet."""
    return tuple(steps * (at + 1) // (number + 1) for at in range(number))


def next_cuts(
    found: Ranks, quantiles: Sequence[float], number: int, closing: bool
) -> tuple[int, ...]:
    """`number` different cuts, at the levels of each quantile's law and beside them."""
    wanted = dict.fromkeys(place for q in quantiles for place in _places(found, q, closing))
    chosen = dict.fromkeys(list(wanted)[:number])
    others = _beside(list(chosen), found.steps)
    while len(chosen) < number:
        chosen[next(others)] = None
    return tuple(sorted(chosen))


def _places(found: Ranks, q: float, closing: bool) -> list[int]:
    """Where to cut for one quantile; an earlier cut where one is near."""
    score = found.score(q)
    places = [0, *found.cuts, found.steps]
    if closing:
        return [_place(places, score, 0, each) for each in ENDS]
    reached = law(score)
    reached[0], reached[-1] = 0.0, 1.0
    return [_place(places, reached, NEAR, each) for each in LEVELS]


def _place(places: Sequence[int], line: Floats, near: float, level: float) -> int:
    """The place where a line that never falls reaches `level`, or an earlier cut near it."""
    nearest = int(np.argmin(np.abs(line[1:-1] - level))) + 1
    if abs(float(line[nearest]) - level) <= near:
        return places[nearest]
    at = min(max(int(np.argmax(line >= level)), 1), len(places) - 1)
    share = float((level - line[at - 1]) / max(line[at] - line[at - 1], 1e-12))
    place = math.floor(places[at - 1] + share * (places[at] - places[at - 1]) + 0.5)
    return min(max(place, 1), places[-1] - 1)


def _beside(chosen: Sequence[int], steps: int) -> Iterator[int]:
    """Every place, those next to a chosen one first."""
    for distance in range(1, steps):
        for place in (each + sign * distance for each in chosen for sign in (-1, 1)):
            if 0 < place < steps:
                yield place


def ranks(rounds: Sequence[Counted], steps: int) -> Ranks:
    """Least squares over all rounds for the members below every cut."""
    nodes = [*sorted({cut for each in rounds for cut in each.cuts}), steps]
    place = {cut: at for at, cut in enumerate(nodes)}
    size = len(nodes)
    system = np.zeros((size, 2 * size + 1))  # normal equations, identity, right-hand side
    system[:, size : 2 * size] = np.eye(size)
    for each in rounds:
        weight = 1 / (each.noise_sd * each.noise_sd)
        ends = [-1, *(place[cut] for cut in (*each.cuts, steps))]
        for (low, high), members in zip(pairwise(ends), each.members.tolist(), strict=True):
            _add_cell(system, low, high, weight, members)
    _eliminate(system)
    return Ranks(tuple(nodes[:-1]), steps, system[:, -1].copy(), system[:, size : 2 * size].copy())


def _add_cell(system: Floats, low: int, high: int, weight: float, members: float) -> None:
    """One observed difference S(high) - S(low); S is 0 at low = -1."""
    system[high, high] += weight
    system[high, -1] += weight * members
    if low >= 0:
        system[low, low] += weight
        system[low, high] -= weight
        system[high, low] -= weight
        system[low, -1] -= weight * members


def _eliminate(system: Floats) -> None:
    """Gauss and Jordan, in place; no sum is left to a library that may order it otherwise."""
    for pivot in range(len(system)):
        system[pivot] /= system[pivot, pivot]
        column = system[:, pivot].copy()
        column[pivot] = 0.0
        system -= column[:, None] * system[pivot]


@dataclass(frozen=True)
class Located:
    """A quantile's position on the grid with its 95 % interval.

    The variances are of the excess at the estimate, in members squared. `coarse` says that an
    end of the interval is the edge of a cell with too many members to place it within.
    """

    position: float
    low: float
    high: float
    noise: float
    sampling: float
    coarse: bool


def locate(found: Ranks, q: float) -> Located:
    """Where the excess passes zero, and where its error still allows that it does.

    Within a cell members are taken to lie evenly. A cell of more members than the interval's
    half-width is not divided: there the interval ends with the cell.
    """
    excess, noise = found.excess(q)
    rising = _rising(excess.tolist(), (1 / noise).tolist())
    members, total_noise = found.members, float(found.covariance[-1, -1])
    line = np.array([min(-q * members, rising[0]), *rising, max((1 - q) * members, rising[-1])])
    noises = np.array([q * q * total_noise, *noise, (1 - q) ** 2 * total_noise])
    sampling = members * q * (1 - q)
    half = Z95 * np.sqrt(noises + sampling)
    places = [0, *found.cuts, found.steps]
    above = np.minimum.accumulate((line + half)[::-1])[::-1]
    below = np.maximum.accumulate(line - half)
    _, position = _crossing(places, line)
    start, low = _crossing(places, above)
    end, high = _crossing(places, below)
    heavy = [at > 0 and line[at] - line[at - 1] > HEAVY * half[at] for at in (start, end)]
    return Located(
        position=position,
        low=places[start - 1] if heavy[0] else low,
        high=places[end] if heavy[1] else high,
        noise=float(np.interp(position, places, noises)),
        sampling=sampling,
        coarse=any(heavy),
    )


def _crossing(places: Sequence[int], line: Floats) -> tuple[int, float]:
    """The cell's upper end and the position where a line that never falls reaches zero."""
    if line[-1] < 0:
        return len(places) - 1, float(places[-1])
    at = int(np.argmax(line >= 0))
    if at == 0:
        return 0, float(places[0])
    share = float(-line[at - 1] / (line[at] - line[at - 1]))
    return at, places[at - 1] + share * (places[at] - places[at - 1])


def _rising(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The nearest values, by weighted squares, that never fall: neighbours are pooled."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        pool = (value, weight, 1)
        while pools and pools[-1][0] >= pool[0]:
            last = pools.pop()
            both = last[1] + pool[1]
            pool = ((last[0] * last[1] + pool[0] * pool[1]) / both, both, last[2] + pool[2])
        pools.append(pool)
    return [value for value, _, many in pools for _ in range(many)]
