"""Proportional hazards as a Poisson regression on a public grid of time.

Within an interval the baseline hazard is constant; a member adds, for every interval at risk, the
time at risk (as exposure) and whether the event came. With a fine grid it is Cox's model, but the
score of one member depends on that member alone, while Cox's depends on everybody at risk.

Source: Holford (1980), Biometrics 36, 299-305; Laird and Olivier (1981), JASA 76, 231-240.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from models.regression.batch import Batch, Floats, Mask
from models.regression.coding import known_rows, number_values
from models.regression.design import Design
from models.regression.families import Family, Poisson
from models.regression.outcome import Model, ModelRows, Sketch
from models.regression.syntax import Levels, Number
from models.rows import Codes
from privacy.contract.dictionary import ColumnRef

INSTANT = 1e-6  # of an interval: the least time at risk of who has an event in it
_SPREAD = 0.7548776662466927  # of an even sequence unlike the others
_SURELY, _LEAST = 1 - 1e-9, 1e-12
USUAL_RATIO = 1.0  # the logarithm of an interval's hazard to that seen at first
LARGEST_HAZARD = 10.0  # cumulative, of a member, near the fit


@dataclass(frozen=True)
class PiecewiseHazard(Model):
    """`edges` ascend from the beginning of time; beyond the last nobody is followed.

    `start` is the column with the beginning of a row's time at risk, 0 where there is none; a row
    whose end is not after it is left out.
    `sites` is the number of organisations with a baseline each; 1 for one baseline.
    """

    design: Design
    stop: Number
    event: Levels
    happened: int
    edges: tuple[float, ...]
    start: Number | None = None
    sites: int = 1
    family: Family = field(default_factory=Poisson, init=False)
    weighted: bool = field(default=False, init=False)
    most_rows: int = field(init=False)
    largest_weight: float = field(default=1.0, init=False)

    def __post_init__(self) -> None:
        most = max(ref.table.max_rows_per_member for ref in self.columns)
        object.__setattr__(self, "most_rows", most)

    @cached_property
    def columns(self) -> frozenset[ColumnRef]:
        own = {self.stop.column, self.event.column}
        start = set() if self.start is None else {self.start.column}
        return self.design.columns | own | start

    @property
    def intervals(self) -> int:
        return len(self.edges) - 1

    @property
    def baselines(self) -> int:
        return self.intervals * self.sites

    @property
    def width(self) -> int:
        return self.baselines + self.design.width

    @property
    def names(self) -> tuple[str, ...]:
        return self.design.names

    @property
    def tells_apart(self) -> bool:
        return self.sites > 1 or self.design.formula.by_site

    @property
    def lines_per_row(self) -> int:
        return self.intervals

    @property
    def bound_squared(self) -> float:
        return 1.0 + self.design.bound_squared

    def row_bounds(self, theta: Floats) -> tuple[float, float]:
        bound = self.bound_squared
        return (1.0 + LARGEST_HAZARD) * math.sqrt(bound), LARGEST_HAZARD * bound

    @property
    def flat(self) -> tuple[bool, ...]:
        return (True,) * self.baselines + self.design.flat

    @property
    def shifts(self) -> tuple[float, ...]:
        return (0.0,) * self.baselines + self.design.shifts

    @property
    def exclusive(self) -> tuple[tuple[int, ...], ...]:
        first = self.baselines
        return tuple(tuple(first + at for at in group) for group in self.design.exclusive)

    @property
    def offsets(self) -> bool:
        return False

    @property
    def counts(self) -> bool:
        """An event comes once at most."""
        return False

    @property
    def vanishing(self) -> int:
        return self.baselines

    @property
    def independent(self) -> bool:
        return True

    def constant(self, column: int) -> float | None:
        """The first baseline stands in for a constant, so that products of covariates are taken
        about their means."""
        return float(column == 0) if column < self.baselines else None

    def rows(self, batch: Batch) -> ModelRows:
        found = self.design.rows(batch)
        known, start, stop, event = self._times(batch, found.known)
        site = np.full(batch.rows, max(batch.site, 0) if self.sites > 1 else 0)
        return self._at_risk(found.x, start, stop, event, known, batch.member, batch.members, site)

    def _times(self, batch: Batch, known: Mask) -> tuple[Mask, Floats, Floats, Mask]:
        """Who is known, from when to when each row is at risk, and whether it ends in the event."""
        known = known & known_rows(self.stop, batch) & known_rows(self.event, batch)
        start = np.full(batch.rows, self.edges[0])
        if self.start is not None:
            known &= known_rows(self.start, batch)
            start = np.maximum(number_values(self.start, batch), self.edges[0])
        stop = number_values(self.stop, batch)
        event = (batch.of(self.event.column) == self.happened) & (stop <= self.edges[-1])
        stop = np.minimum(stop, self.edges[-1])
        after = stop >= start if self.start is None else stop > start
        known &= after & (stop >= self.edges[0])
        return known, start, stop, event & known

    def _at_risk(
        self,
        x: Floats,
        start: Floats,
        stop: Floats,
        event: Mask,
        known: Mask,
        member: Codes,
        members: int,
        site: Codes,
    ) -> ModelRows:
        """One row per given row and interval at risk, with the baseline of its `site`."""
        low, high = np.array(self.edges[:-1]), np.array(self.edges[1:])
        time = np.minimum(stop[:, None], high) - np.maximum(start[:, None], low)
        ends = event[:, None] & (np.arange(self.intervals) == self.interval_of(stop)[:, None])
        time = np.where(ends, np.maximum(time, INSTANT * (high - low)), time)
        line, interval = np.nonzero((time > 0) & known[:, None])
        wide = np.zeros((len(line), self.width))
        wide[np.arange(len(line)), interval + site[line] * self.intervals] = 1.0
        wide[:, self.baselines :] = x[line]
        return ModelRows(
            x=wide,
            y=ends[line, interval].astype(np.float64),
            offset=np.log(time[line, interval]),
            weight=np.ones(len(line)),
            member=member[line],
            members=members,
        )

    def interval_of(self, time: Floats) -> Codes:
        """The interval that ends at `time` or holds it."""
        place = np.searchsorted(np.array(self.edges), time, side="left") - 1
        return np.clip(place, 0, self.intervals - 1)

    def first_rows(self, batch: Batch) -> ModelRows:
        """Covariates as they are; the outcome is the interval of the end and how it ended, or that
        the row stayed to the last edge."""
        found = self.design.rows(batch)
        known, _, stop, event = self._times(batch, found.known)
        wide = np.zeros((batch.rows, self.width))
        wide[:, self.baselines :] = found.x
        wide[:, 0] = 1.0
        use = known.astype(np.float64)
        stayed = ~event & (stop >= self.edges[-1])
        code = np.where(stayed, 2 * self.intervals, 2 * self.interval_of(stop) + event)
        return ModelRows(
            wide * use[:, None],
            code.astype(np.float64),
            np.zeros(batch.rows),
            use,
            batch.member,
            batch.members,
        )

    def ends(self, codes: Floats) -> Floats:
        """Interval and kind of each end, as `first_rows` codes them; whoever stayed to the last
        edge left in the last interval without the event."""
        return np.where(codes >= 2 * self.intervals, 2.0 * self.intervals - 2, codes)

    @property
    def moment_count(self) -> int:
        return 2 * self.intervals + 1

    @property
    def usual_moments(self) -> float:
        return 1.0

    @property
    def sketch_size(self) -> int:
        return 192

    def moments(self, rows: ModelRows) -> Floats:
        return np.asarray(rows.y[:, None] == np.arange(self.moment_count), dtype=np.float64)

    def begin(self, mean: Floats, offset: float) -> Floats:
        """Each interval's hazard, drawn towards the mean one."""
        ends = self._ends(mean)
        time = (ends.there - (ends.left + ends.events) / 2) * np.diff(self.edges)
        usual = max(float(ends.events.sum()), 0.01) / max(float(time.sum()), 1e-9)
        prior = 0.1
        hazard = (ends.events + prior * usual * np.diff(self.edges)) / (
            time + prior * np.diff(self.edges)
        )
        theta = np.zeros(self.size)
        theta[: self.baselines] = np.tile(np.log(hazard), self.sites)
        return theta

    def held(self) -> Floats:
        """Baselines' ratios to one another, within a factor of e about: a level that is common to
        all is free."""
        k, precision = self.baselines, np.zeros((self.size, self.size))
        precision[:k, :k] = (np.eye(k) - 1 / k) / USUAL_RATIO**2
        return precision

    def eased(self, step: Floats) -> Floats:
        """A hazard rises by the logarithm of events over those expected: Newton's own step far
        overshoots where few were expected."""
        taken = step.copy()
        taken[: self.baselines] = np.log1p(np.maximum(step[: self.baselines], 0.0)) + np.minimum(
            step[: self.baselines], 0.0
        )
        return taken

    def _ends(self, mean: Floats) -> Ends:
        """How members' time ends, from the noised shares of each end."""
        parts = np.clip(mean, 0.0, 1.0)
        parts = parts / max(float(parts.sum()), 1e-9)
        left, events = parts[:-1].reshape(self.intervals, 2).T
        later = np.cumsum((left + events)[::-1])[::-1]
        return Ends(left, events, later + parts[-1])

    def seen(self, mean: Floats, noise: float) -> Mask:
        """[intervals]: whether more members end there or later than noise alone might make of
        nobody, where each of `mean` has `noise`."""
        ended = mean[:-1].reshape(self.intervals, 2).sum(axis=1)
        there = np.cumsum(ended[::-1])[::-1] + mean[-1]
        terms = 2.0 * np.arange(self.intervals, 0, -1) + 1
        return np.asarray(there > 2 * noise * np.sqrt(terms))

    def pretend(self, sketch: Sketch, theta: Floats) -> ModelRows:
        """Members who enter at the beginning, and leave as those did who left, as far as known:
        both times are drawn from a law, so that scores have the mean 0 of scores."""
        x, n = sketch.points[:, self.baselines :], len(sketch.points)
        ends = self._ends(sketch.outcome)
        one, two = _uniforms(sketch.normal)
        site = np.floor(self.sites * np.modf(np.arange(1, n + 1) * _SPREAD)[0]).astype(np.int64)
        baseline = theta[: self.baselines].reshape(self.sites, -1)[site]
        eta = np.clip(baseline + (x @ theta[self.baselines :])[:, None], -30, 30)
        fails = self._reached(np.exp(eta) * np.diff(self.edges), -np.log(one))
        leave = np.clip(ends.left / np.maximum(ends.there - ends.events / 2, 1e-9), 0.0, _SURELY)
        leaves = self._reached(np.tile(-np.log1p(-leave), (n, 1)), -np.log(two))
        stop = np.minimum(np.minimum(fails, leaves), self.edges[-1])
        event = (fails <= leaves) & (fails <= self.edges[-1])
        start = np.full(n, self.edges[0])
        known = np.ones(n, dtype=bool)
        return self._at_risk(x, start, stop, event, known, np.arange(n), n, site)

    def _reached(self, steps: Floats, needed: Floats) -> Floats:
        """[n]: when a sum that grows evenly by `steps` [n, intervals] within each interval is as
        much as `needed` [n]; infinite where it never is."""
        after = np.cumsum(steps, axis=1)
        place = (needed[:, None] > after).sum(axis=1)
        there = np.minimum(place, self.intervals - 1)
        lines = np.arange(len(needed))
        step = np.maximum(steps[lines, there], _LEAST)
        part = np.clip(1 - (after[lines, there] - needed) / step, 0.0, 1.0)
        low, high = np.array(self.edges[:-1]), np.array(self.edges[1:])
        time = low[there] + part * (high - low)[there]
        return np.where(place < self.intervals, time, np.inf)


@dataclass(frozen=True, eq=False)
class Ends:
    """Shares of members [intervals] each: who left, who had the event, who was there at first."""

    left: Floats
    events: Floats
    there: Floats


def _uniforms(normal: Floats) -> tuple[Floats, Floats]:
    """Two even sequences: ranks of the given numbers, and a recurrence along them."""
    n = len(normal)
    first = (np.argsort(np.argsort(normal)) + 0.5) / n
    second = np.modf(np.arange(1, n + 1) * 0.5698402909980532)[0]
    return first, second
