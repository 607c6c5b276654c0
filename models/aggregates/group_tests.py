"""Comparing noisy life tables: log-rank test and Mantel-Haenszel hazard ratio.

Both are sums over bins of what groups would share if their hazards were equal (or in one
ratio). Every statement's variance is its sampling variance plus the noise variance that
follows to first order from its Jacobian with respect to every noisy count. Only bins in which
all groups are still visible are used: noise alone decides which.

Source: Mantel (1966); Greenland and Robins (1985) for rates; the ratio's interval inverts
the score test of A - ratio * B = 0 (Fieller 1954), which needs no positive B.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.aggregates.life_table import Floats, LifeTable
from models.result import Z95

LIMITS = (1e-3, 1e3)  # of a hazard ratio's interval


@dataclass(frozen=True)
class Ratio:
    """A hazard ratio with its errors on its own scale; `known` is false without information."""

    value: float
    se_sampling: float
    se_noise: float
    low: float
    high: float
    known: bool


NOTHING = Ratio(1.0, 0.0, 0.0, *LIMITS, known=False)


def chi_square_tail(value: float, degrees: int) -> float:
    """P(X > value) for a chi-square of whole `degrees` of freedom (exact finite sums)."""
    half = max(value, 0.0) / 2
    if degrees % 2:
        total, start = math.erfc(math.sqrt(half)), 0.5
    else:
        total, start = math.exp(-half), 1.0
    for step in range((degrees - 1) // 2):
        power = start + step
        total += math.exp(power * math.log(half) - half - math.lgamma(power + 1)) if half else 0.0
    return min(total, 1.0)


def log_rank(tables: Sequence[LifeTable]) -> tuple[float, float] | None:
    """(chi-square, p-value) that all groups share one hazard; None where too little is visible.

    Assumes: all tables have the same bins and are of disjoint members.
    """
    used = _used(tables)
    if not used:
        return None
    events = np.array([table.events[:used] for table in tables])
    exposed = np.array([table.exposed[:used] for table in tables])
    pooled, every = _smooth_events(tables, used), exposed.sum(axis=0)
    share, total = exposed / every, events.sum(axis=0)
    excess = (events - share * total).sum(axis=1)[:-1]
    spread = pooled * np.clip((every - pooled) / np.maximum(every - 1, 1.0), 0.0, 1.0)
    sampling = np.diag((share * spread).sum(axis=1)) - (share * spread) @ share.T
    roots = [_log_rank_root(table, at, share, total / every) for at, table in enumerate(tables)]
    noise = sum(root @ root.T for root in roots)
    variance = (sampling + noise)[:-1, :-1]
    if np.linalg.matrix_rank(variance) < len(tables) - 1:
        return None
    chi_square = float(excess @ np.linalg.solve(variance, excess))
    return chi_square, chi_square_tail(chi_square, len(tables) - 1)


def _log_rank_root(table: LifeTable, at: int, share: Floats, hazard: Floats) -> Floats:
    """Shape [groups, counts of the table]: how its noise moves every group's excess."""
    own = np.eye(len(share))[:, at][:, None]
    return _chain(table, own - share, -hazard * (own - share), events_in_exposure=1.0)


def hazard_ratio(table: LifeTable, reference: LifeTable) -> Ratio:
    """The hazard in `table` over that in `reference`, by rates within bins.

    Its interval is that of all ratios a noise-aware score test keeps, within LIMITS.
    """
    used = _used((table, reference))
    if not used:
        return NOTHING
    pair = _Pair(table, reference, used)
    above = float(pair.parts(0.0).sum())
    below = above - float(pair.parts(1.0).sum())
    if not (above > 0 and below > 0):
        return NOTHING
    start, step = pair.noise_root(0.0), pair.noise_root(1.0) - pair.noise_root(0.0)
    noise = np.array([(start**2).sum(), 2 * (start * step).sum(), (step**2).sum()])
    value, sampling = above / below, pair.sampling()
    low, high = _ends(
        below**2 - Z95**2 * noise[2],
        -2 * above * below - Z95**2 * (sampling + noise[1]),
        above**2 - Z95**2 * noise[0],
    )
    noise_variance = float(noise @ [1.0, value, value**2])
    errors = math.sqrt(value * sampling) / below, math.sqrt(noise_variance) / below
    known = low > LIMITS[0] or high < LIMITS[1]
    return Ratio(value, *errors, low, high, known) if known else NOTHING


def _ends(square: float, line: float, constant: float) -> tuple[float, float]:
    """Where the quadratic in the ratio is at most 0, next to the estimate, within LIMITS.

    The estimate itself is kept, so `line` is below 0 wherever the quadratic has no upper end.
    """
    root = -line + math.sqrt(max(line**2 - 4 * square * constant, 0.0))
    high = root / (2 * square) if square > 0 else math.inf
    return _held(2 * constant / root), _held(high)


def _held(ratio: float) -> float:
    return min(max(ratio, LIMITS[0]), LIMITS[1])


@dataclass(frozen=True, eq=False)
class _Pair:
    """A - ratio * B and its errors, over the bins in use."""

    table: LifeTable
    reference: LifeTable
    used: int

    @property
    def times(self) -> tuple[Floats, Floats]:
        """Bins of time lived through by members of each group, each shape [used]."""
        first, second = (
            np.maximum(each.exposed - each.events / 2, 1.0)[: self.used]
            for each in (self.table, self.reference)
        )
        return first, second

    @property
    def events(self) -> tuple[Floats, Floats]:
        return self.table.events[: self.used], self.reference.events[: self.used]

    def parts(self, ratio: float) -> Floats:
        """Shape [used]: each bin's share of A - ratio * B."""
        (first, second), (events, others) = self.times, self.events
        return np.asarray((events * second - ratio * others * first) / (first + second))

    def sampling(self) -> float:
        """The sampling variance of A - ratio * B, over the ratio."""
        first, second = self.times
        pooled = _smooth_events((self.table, self.reference), self.used)
        return float((pooled * first * second / (first + second) ** 2).sum())

    def noise_root(self, ratio: float) -> Floats:
        """Shape [2 (2 bins + 1)]: linear in the ratio; its square is the noise variance."""
        (first, second), (events, others) = self.times, self.events
        both, parts = first + second, self.parts(ratio)
        of_table = _chain(self.table, second / both, (-ratio * others - parts) / both)
        of_reference = _chain(self.reference, -ratio * first / both, (events - parts) / both)
        return np.hstack([of_table[0], of_reference[0]])


def _chain(
    table: LifeTable, by_event: Floats, by_exposure: Floats, events_in_exposure: float = 0.5
) -> Floats:
    """Shape [lines, 2 bins + 1]: derivatives by every count of a table, times its noise.

    `by_event` and `by_exposure` (shape [lines, used] or [used]) are derivatives by the events
    and by the exposure of a bin. An event counts for `events_in_exposure` of its own bin's
    exposure, a censoring for half, and both wholly for all earlier bins.
    """
    event_lines, exposure_lines = np.atleast_2d(by_event), np.atleast_2d(by_exposure)
    lines, used = exposure_lines.shape
    room = np.zeros((lines, table.bins - used))
    own = np.hstack([exposure_lines, room])
    direct = np.hstack([np.broadcast_to(event_lines, (lines, used)), room])
    through = np.cumsum(own, axis=1)
    of_event = direct + through - (1 - events_in_exposure) * own
    of_censored = through - own / 2
    parts = [of_event, of_censored, through[:, -1:]]
    return np.asarray(np.hstack(parts) * table.count_sds)


def _used(tables: Sequence[LifeTable]) -> int:
    return int(np.logical_and.reduce([table.known for table in tables]).sum())


def _smooth_events(tables: Sequence[LifeTable], used: int) -> Floats:
    """Shape [used]: events per bin of all groups, never negative."""
    return np.asarray(sum((each.smooth_hazard * each.exposed)[:used] for each in tables))
