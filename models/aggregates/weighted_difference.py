"""The difference of two arms' means over strata, weighted as the first arm is, from noisy sums.

In every stratum s of arm a (0: the others, 1: the treated) there are a count n and a sum t of
values in [-1, 1]; each arm's sum T and sum of squares Q come once more over all strata, where
less noise is in them. With c_s the mean of the others in stratum s,

    A = T_1 - sum_s n_1s c_s,    N = sum_s n_1s,    difference = A / N.

A difference d is kept if (A - d N)^2 <= z^2 (noise of A - d N + sampling), Fieller's set; noise by
the gradient of A and N with respect to every noisy number. Sampling is that of the treated about
c_s + d, and of the others' means: v_0 sum_s n_1s^2 / n_0s.

Where noise hides how many others a stratum has, its c_s is drawn towards the mean of all others:
the count below is held at `LEAST` standard deviations of its noise. That loses part of what
matching corrects, there alone, and never divides by noise.

Guarantee: coverage measured by `bench.bench_compare`.
Source: Fieller (1954); weights of the average effect on the treated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.aggregates.moments import quadratic
from models.result import NO_INFORMATION, Z95, Estimate

Floats = NDArray[np.float64]
LEAST = 3.0
OTHERS_WEIGHTED = "others, weighted as the treated"
_STEP = 1e-4
_LEAST_SPREAD = 0.0025  # no smaller variance is believed: a deviation of a fortieth of the range


@dataclass(frozen=True, eq=False)
class Arm:
    """Of one arm: counts and sums per stratum (shape [strata]), and the same over all of them.

    `sd` is that of the noise of a stratum's count or sum, `sd_members` and `sd_total` those of
    the numbers over all strata. `square` is the sum of squares over all strata.
    """

    counts: Floats
    sums: Floats
    members: float
    total: float
    square: float
    sd: float
    sd_members: float
    sd_total: float

    @property
    def strata(self) -> int:
        return len(self.counts)

    @property
    def number(self) -> float:
        """All members, from both their counts."""
        return float(_agreed(self.counts, self.members, self.sd, self.sd_members).sum())


@dataclass(frozen=True, eq=False)
class Agreed:
    """An arm whose strata and totals were made to agree."""

    counts: Floats
    sums: Floats
    members: float
    total: float
    square: float

    def spread(self, about: Floats | float) -> float:
        """Sum of squares about a value per stratum, within what it can be."""
        found = self.square - 2 * float((self.sums * about).sum())
        found += float((self.counts * np.square(about)).sum())
        members = max(self.members, 1.0)
        return min(max(found, _LEAST_SPREAD * members), members)


@dataclass(frozen=True, eq=False)
class Figures:
    """What the noisy numbers come to, in units of the values.

    `means` (shape [strata]) is c_s, `held` the others per stratum, never below LEAST sd, and
    `expected` the sum of the others' means, weighted as the treated.
    """

    others: Agreed
    treated: Agreed
    means: Floats
    held: Floats
    expected: float


def figures(others: Arm, treated: Arm) -> Figures:
    """Point estimates."""
    these, those = agreed(others), agreed(treated)
    centre = float(np.clip(these.total / max(these.members, 1.0), -1, 1))
    held = np.maximum(these.counts, max(LEAST * others.sd, 1.0))
    means = np.clip(centre + (these.sums - centre * these.counts) / held, -1, 1)
    return Figures(these, those, means, held, float((those.counts * means).sum()))


def agreed(arm: Arm) -> Agreed:
    """Least squares for numbers whose total was seen too, under other noise."""
    counts = _agreed(arm.counts, arm.members, arm.sd, arm.sd_members)
    sums = _agreed(arm.sums, arm.total, arm.sd, arm.sd_total)
    return Agreed(counts, sums, float(counts.sum()), float(sums.sum()), arm.square)


def _agreed(parts: Floats, whole: float, sd: float, sd_whole: float) -> Floats:
    gap = whole - float(parts.sum())
    return np.asarray(parts + gap * sd**2 / max(len(parts) * sd**2 + sd_whole**2, 1e-300))


@dataclass(frozen=True)
class Compared:
    """Four figures in units of the values, and how many strata were too thin to stand alone."""

    difference: Estimate
    treated: Estimate
    expected: Estimate
    others: Estimate
    thin: int


@dataclass(frozen=True)
class _Ratio:
    """`above` over the members of an arm, with the sampling variance of `above` beside it.

    `twice` is what the squares of noisy gradients count twice of the noise.
    """

    label: str
    above: Callable[[Figures], float]
    below: Callable[[Figures], float]
    sampling: float
    twice: float = 0.0
    widest: float = 1.0


def compared(others: Arm, treated: Arm) -> Compared:
    """The difference and the three means it is read beside, with their 95 % intervals."""
    found = figures(others, treated)
    number, rest = (lambda each: each.treated.members), (lambda each: each.others.members)
    of_means, twice = _of_means(found, treated.sd), _twice(found, others.sd, treated.sd)
    ratios = (
        _Ratio("difference", _difference, number, _of_difference(found) + of_means, twice, 2.0),
        _Ratio("treated", lambda each: each.treated.total, number, _of_total(found.treated)),
        _Ratio(
            OTHERS_WEIGHTED,
            lambda each: each.expected,
            number,
            _of_expected(found) + of_means,
            twice,
        ),
        _Ratio("others", lambda each: each.others.total, rest, _of_total(found.others)),
    )
    difference, mean, expected, crude = (_estimate(others, treated, each) for each in ratios)
    thin = int((found.others.counts < LEAST * others.sd).sum())
    return Compared(difference, mean, expected, crude, thin)


def _difference(found: Figures) -> float:
    return found.treated.total - found.expected


def _of_difference(found: Figures) -> float:
    value = _difference(found) / max(found.treated.members, 1.0)
    return found.treated.spread(found.means + min(max(value, -2.0), 2.0))


def _of_total(arm: Agreed) -> float:
    return arm.spread(min(max(arm.total / max(arm.members, 1.0), -1.0), 1.0))


def _of_expected(found: Figures) -> float:
    """The others' means, and which strata the treated happened to be in."""
    about = found.means - found.expected / max(found.treated.members, 1.0)
    mix = float((found.treated.counts * about**2).sum())
    return min(max(mix, 0.0), max(found.treated.members, 1.0))


def _of_means(found: Figures, sd: float) -> float:
    """v_0 sum n_1s^2 / n_0s, of counts freed of what noise of `sd` adds to a square."""
    each = found.others.spread(found.means) / max(found.others.members, 1.0)
    squares = np.maximum(found.treated.counts**2 - sd**2, 0.0)
    return each * float((squares / found.held).sum())


def _twice(found: Figures, sd_others: float, sd_treated: float) -> float:
    """sum var(n_1s) var(c_s): the noise of a product, which both gradients hold."""
    means = sd_others**2 * (1 + found.means**2) / found.held**2
    return sd_treated**2 * float(means.sum())


def _estimate(others: Arm, treated: Arm, ratio: _Ratio) -> Estimate:
    """Fieller's set of the ratio, within the widest range it can have."""
    found = figures(others, treated)
    top, members = ratio.above(found), ratio.below(found)
    above, below, variance = _gradients(others, treated, ratio)
    noise = [float((variance * each).sum()) for each in (above**2, above * below, below**2)]
    noise[0] = max(noise[0] - ratio.twice, noise[0] / 2)
    ends = quadratic(
        members**2 - Z95**2 * noise[2],
        2 * (top * members - Z95**2 * noise[1]),
        top**2 - Z95**2 * (noise[0] + ratio.sampling),
    )
    known = ends is not None and members > 0
    low, high = ends if ends and known else (-ratio.widest, ratio.widest)
    near = min(max(top / max(members, 1.0), -ratio.widest), ratio.widest)
    of_noise = max(noise[0] - 2 * near * noise[1] + near**2 * noise[2], 0.0)
    inside = low > -ratio.widest or high < ratio.widest
    return Estimate(
        cell=(ratio.label,),
        estimate=top / max(members, 1.0),
        se_sampling=math.sqrt(ratio.sampling) / max(members, 1.0),
        se_noise=math.sqrt(of_noise) / max(members, 1.0),
        low=min(max(low, -ratio.widest), ratio.widest),
        high=max(min(high, ratio.widest), -ratio.widest),
        note="" if known and inside else NO_INFORMATION,
    )


def _gradients(others: Arm, treated: Arm, ratio: _Ratio) -> tuple[Floats, Floats, Floats]:
    """Of both parts of a ratio for every noisy number, and the variance of each number."""
    start = np.concatenate([_flat(others), _flat(treated)])
    split = 2 * others.strata + 2

    def at(values: Floats) -> tuple[float, float]:
        moved = figures(_like(others, values[:split]), _like(treated, values[split:]))
        return ratio.above(moved), ratio.below(moved)

    step = _STEP * max(1.0, float(np.abs(start).max()))
    moves = step * np.eye(len(start))
    pairs = np.array([np.subtract(at(start + move), at(start - move)) for move in moves])
    slopes = pairs / (2 * step)
    return slopes[:, 0], slopes[:, 1], np.concatenate([_noise(others), _noise(treated)])


def _flat(arm: Arm) -> Floats:
    return np.concatenate([arm.counts, arm.sums, [arm.members, arm.total]])


def _noise(arm: Arm) -> Floats:
    """The variances of `_flat`."""
    own = np.full(2 * arm.strata, arm.sd**2)
    return np.concatenate([own, [arm.sd_members**2, arm.sd_total**2]])


def _like(arm: Arm, values: Floats) -> Arm:
    counts, sums = values[: arm.strata], values[arm.strata : -2]
    members, total = (float(each) for each in values[-2:])
    return replace(arm, counts=counts, sums=sums, members=members, total=total)
