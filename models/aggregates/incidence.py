"""Incidence: events over person-time, by group, with standardised rates.

With E events in T person-time, both noisy, a rate is kept if
(E - rate T)^2 <= z^2 (rate T + noise of E + rate^2 noise of T): a quadratic in the rate.

Assumes: events follow a Poisson law given the person-time.
Source: the score interval of a Poisson rate, with noise terms added; Dobson et al. (1991) for
carrying the interval of the crude rate over to the standardised one.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from models.aggregates import counts
from models.aggregates.columns import bounds_of, cell_columns, short_name, value_column
from models.aggregates.expected import Expected
from models.aggregates.moments import largest, quadratic
from models.aggregates.request import Labels, Request
from models.aggregates.wording import word, words
from models.changed import changed
from models.contribution import BoundedValue, Monomial, Products, Summary
from models.digits import many
from models.noise_law import NoiseLaw
from models.result import NO_INFORMATION, Z95, Estimate, Result, normal_estimate
from privacy.contract.dictionary import ColumnRef, ColumnType, Dictionary
from privacy.errors import BadInput

ALL = "all"
_COUNT = 8  # the members are counted at this part of the weight, for the least cohort


class Incidence(Request):
    """Events per person-time; `weights` are the standard population's, one per group."""

    by_size: ClassVar[bool] = True
    kind: Literal["incidence"] = "incidence"
    events: str
    time: str
    by: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    per: int = 1

    def normalised(self, dictionary: Dictionary) -> Self:
        events, time = _events_column(dictionary, self.events), value_column(dictionary, self.time)
        groups = cell_columns(dictionary, self.by)
        for ref in (events, time, *groups):
            if ref.many:
                raise BadInput(
                    f"{ref.name!r} has many rows per member",
                    instead="use columns of a table with one row per member",
                )
        if time.column.bounds is None or time.column.bounds[0] < 0:
            raise BadInput(f"{time.name!r} may be below 0 and is no person-time", where="time")
        if self.per < 1:
            raise BadInput("per is at least 1", where="per")
        _check_weights(self.weights, len(counts.cell_labels(groups)))
        by = tuple(ref.name for ref in groups)
        return changed(self, events=events.name, time=time.name, by=by)

    def groups(self, dictionary: Dictionary) -> tuple[ColumnRef, ...]:
        return tuple(map(dictionary.resolve, self.by))

    def cells(self, dictionary: Dictionary) -> Labels:
        return counts.cell_labels(self.groups(dictionary))

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> Products:
        refs = (dictionary.resolve(self.events), dictionary.resolve(self.time))

        def build(scale: int) -> Products:
            variables = tuple(_about_zero(ref, scale) for ref in refs)
            monomials = (Monomial((0,)), Monomial((1,)))
            weight = max(scale // _COUNT, min(scale, 1))
            return Products(self.groups(dictionary), variables, weight, monomials)

        return largest(build, delta_grid)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        shape = self.contribution(dictionary, law.mechanism.delta_grid)
        found = _observed(shape, totals, law)
        names = tuple(short_name(dictionary, ref) for ref in self.groups(dictionary))
        unit = dictionary.resolve(self.time).column.unit or "unit of time"
        notes = (
            "Members with events, time or a group missing are left out.",
            f"Rates are events per {_time(self.per, unit)}; intervals take events for Poisson.",
        )
        rows = self._rows(self.cells(dictionary), found)
        return Result(self.kind, ("figure", *names), rows, unit="", floor=0.0, notes=notes)

    def _rows(self, cells: Labels, found: Sequence[_Observed]) -> tuple[Estimate, ...]:
        """Every group, then all of them, then the standardised rate."""
        crude = _together(found)
        margin = (ALL,) * len(self.by)
        pairs = [*zip(cells, found, strict=True)] if self.by else []
        rows = [
            row for cell, each in [*pairs, (margin, crude)] for row in each.rows(cell, self.per)
        ]
        if self.weights:
            weights = [float(each) for each in self.weights]
            cell = ("standardised rate", *margin)
            rows.append(_standardised(cell, found, weights, crude, self.per))
        return tuple(rows)

    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        """That of one group's rate, where one in ten members has an event in half the time."""
        if members is None:
            return None
        shape = self.contribution(dictionary, law.mechanism.delta_grid)
        sizes = members / shape.cells
        events, most = (each.half_width for each in shape.variables)
        time, number = sizes * most / 2, sizes / 10
        noise_events = law.sd_grid * events / shape.scale
        noise_time = law.sd_grid * most / shape.scale
        among = f" in {shape.cells:,} groups of one size" if shape.cells > 1 else ""
        assumption = (
            f"{many(members, 'member')}{among}, an event in one of ten, half the declared time each"
        )
        if time <= Z95 * noise_time:
            return Expected(math.inf, math.inf, "", assumption)
        noise = math.hypot(noise_events, number / time * noise_time) / time
        factor = Z95 * self.per
        return Expected(factor * noise, factor * math.sqrt(number) / time, "", assumption)

    def words(self) -> str:
        groups = f" by {words(self.by)}" if self.by else ""
        return f"Estimates the rate of {word(self.events)} over {word(self.time)}{groups}"

    def method(self) -> str:
        return (
            "Rates are noisy events over noisy person-time with score intervals that take "
            "events for Poisson and hold the noise; standardised rates are weighted with "
            "Dobson's interval."
        )


@dataclass(frozen=True)
class _Observed:
    """Noisy events and person-time of one group, with the noise's standard deviations."""

    events: float
    time: float
    events_noise: float
    time_noise: float

    @property
    def rate(self) -> float:
        return self.events / max(self.time, self.time_noise, sys.float_info.min)

    def noise(self) -> float:
        """Standard deviation that the noise gives the rate."""
        base = max(self.time, self.time_noise, sys.float_info.min)
        return math.hypot(self.events_noise, self.rate * self.time_noise) / base

    def sampling(self) -> float:
        base = max(self.time, self.time_noise, sys.float_info.min)
        return math.sqrt(max(self.events, 0.0)) / base

    def interval(self) -> tuple[float, float] | None:
        z2 = Z95**2
        if self.time <= Z95 * self.time_noise or self.time <= 0:
            return None
        events = max(self.events, -Z95 * self.events_noise)
        ends = quadratic(
            self.time**2 - z2 * self.time_noise**2,
            2 * events * self.time + z2 * self.time,
            events**2 - z2 * self.events_noise**2,
        )
        return None if ends is None else (max(ends[0], 0.0), max(ends[1], 0.0))

    def rows(self, cell: tuple[str, ...], per: int) -> tuple[Estimate, ...]:
        return (
            _rate(("rate", *cell), self.rate, self.sampling(), self.noise(), self.interval(), per),
            normal_estimate(("events", *cell), self.events, self.events_noise),
            normal_estimate(("person-time", *cell), self.time, self.time_noise),
        )


def _observed(shape: Products, totals: Sequence[int], law: NoiseLaw) -> list[_Observed]:
    """Events and person-time of every group, in their units."""
    events, time = (each.half_width / shape.scale for each in shape.variables)
    numbers = np.array(totals, dtype=np.float64).reshape(shape.cells, shape.width)[:, 1:]
    return [
        _Observed(float(e) * events, float(t) * time, law.sd_grid * events, law.sd_grid * time)
        for e, t in numbers
    ]


def _rate(
    cell: tuple[str, ...],
    rate: float,
    sampling: float,
    noise: float,
    ends: tuple[float, float] | None,
    per: int,
) -> Estimate:
    low, high = ends or (0.0, sys.float_info.max / per)
    note = "" if ends else NO_INFORMATION
    return Estimate(cell, rate * per, sampling * per, noise * per, low * per, high * per, note)


def _together(found: Sequence[_Observed]) -> _Observed:
    many = math.sqrt(len(found))
    return _Observed(
        sum(each.events for each in found),
        sum(each.time for each in found),
        found[0].events_noise * many,
        found[0].time_noise * many,
    )


def _time(per: int, unit: str) -> str:
    """1 year, 100 years."""
    return f"{per:,} {unit}" if per > 1 else unit.removesuffix("s")


def _standardised(
    cell: tuple[str, ...],
    found: Sequence[_Observed],
    weights: Sequence[float],
    crude: _Observed,
    per: int,
) -> Estimate:
    """Weighted rates; the crude rate's interval, stretched by the ratio of standard errors."""
    shares = [weight / sum(weights) for weight in weights]
    rate = sum(part * each.rate for part, each in zip(shares, found, strict=True))
    sampling = math.hypot(*(p * each.sampling() for p, each in zip(shares, found, strict=True)))
    noise = math.hypot(*(p * each.noise() for p, each in zip(shares, found, strict=True)))
    ends = crude.interval()
    spread = math.hypot(crude.sampling(), crude.noise())
    known = all(each.interval() for p, each in zip(shares, found, strict=True) if p > 0)
    if ends is None or not known or spread <= 0:
        return _rate(cell, rate, sampling, noise, None, per)
    factor = math.hypot(sampling, noise) / spread
    low = max(rate - factor * (crude.rate - ends[0]), 0.0)
    high = max(rate + factor * (ends[1] - crude.rate), 0.0)
    return _rate(cell, rate, sampling, noise, (low, high), per)


def _events_column(dictionary: Dictionary, name: str) -> ColumnRef:
    """A boolean, or a bounded number that is never below 0."""
    ref = dictionary.resolve(name)
    if ref.column.type is ColumnType.BOOLEAN:
        return ref
    ref = value_column(dictionary, name)
    if bounds_of(ref.column)[0] < 0:
        raise BadInput(f"{ref.name!r} may be below 0 and counts no events", where="events")
    return ref


def _about_zero(ref: ColumnRef, scale: int) -> BoundedValue:
    """0 to the upper bound, of which a member uses one side."""
    boolean = ref.column.type is ColumnType.BOOLEAN
    upper = 1.0 if boolean else bounds_of(ref.column)[1]
    return BoundedValue(ref, Summary.VALUE, 0.0, upper, scale, 0, False)


def _check_weights(weights: tuple[str, ...], cells: int) -> None:
    if not weights:
        return
    where = "weights"
    if len(weights) != cells:
        raise BadInput(f"{len(weights)} weights for {cells} groups", where=where)
    try:
        numbers = [float(each) for each in weights]
    except ValueError:
        raise BadInput("a weight is no number", where=where) from None
    if any(not math.isfinite(each) or each < 0 for each in numbers) or sum(numbers) <= 0:
        raise BadInput("weights are at least 0, and one is above", where=where)
