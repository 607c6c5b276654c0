"""Survival by group: one table of time bins and outcomes, from which every figure follows.

A member is in one cell of (groups, bin of time, level of event): one count, so the released
table has sensitivity 1 whatever is computed from it. Times beyond the last edge count as
followed to it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from models.aggregates import counts
from models.aggregates.columns import cell_column, checked_cells, gridded, short_name
from models.aggregates.expected import Expected
from models.aggregates.group_tests import Ratio, hazard_ratio, log_rank
from models.aggregates.life_table import Floats, LifeTable, area, crossing, restricted_mean
from models.aggregates.request import Labels, Request
from models.aggregates.wording import word, words
from models.changed import changed
from models.contribution import CellCounts
from models.noise_law import NoiseLaw
from models.result import NO_INFORMATION, Z95, Estimate, Result
from privacy.contract.dictionary import ColumnRef, ColumnType, Dictionary
from privacy.errors import BadInput

Refs = tuple[ColumnRef, ...]
SURVIVAL, MEDIAN, MEAN = "survival", "median survival", "restricted mean"
CHI_SQUARE, P_VALUE, RATIO = "log-rank chi-square", "log-rank p-value", "hazard ratio"


class Survival(Request):
    """Survival to each of `edges`, by group, with median, restricted mean and comparison.

    `time` is a bounded number that starts at the first edge; `edges` are its declared bins
    unless written. `happened` is the level of `event` that means that it did ("true" unless
    written); all other levels are censorings. The first group is what others are compared with.
    """

    kind: Literal["survival"] = "survival"
    time: str
    event: str
    by: tuple[str, ...] = ()
    edges: tuple[str, ...] = ()
    happened: str = "true"
    by_size: ClassVar[bool] = True

    def normalised(self, dictionary: Dictionary) -> Self:
        time = dictionary.resolve(self.time)
        event = cell_column(dictionary, self.event)
        groups = tuple(cell_column(dictionary, name) for name in self.by)
        for ref in (time, event, *groups):
            _one_row(ref)
        if not event.column.levels:
            raise BadInput(
                f"{event.name!r} is a number, and no event",
                where="event",
                instead="use a boolean or categorical column",
            )
        if self.happened not in event.column.levels:
            raise BadInput(
                f"{event.name!r} has no level {self.happened!r}",
                where="happened",
                instead="write one of " + ", ".join(event.column.levels),
            )
        edges = self.edges or time.column.bins
        checked_cells((*groups, _grid(time, edges), event))
        names = tuple(ref.name for ref in groups)
        return changed(self, time=time.name, event=event.name, by=names, edges=edges)

    def shape(self, dictionary: Dictionary) -> Shape:
        """What is counted, and how the counts are read."""
        time, event = dictionary.resolve(self.time), dictionary.resolve(self.event)
        groups = tuple(map(dictionary.resolve, self.by))
        happened = event.column.levels.index(self.happened)
        return Shape(groups, _grid(time, self.edges), event, self.edges, happened)

    def cells(self, dictionary: Dictionary) -> Labels:
        return self.shape(dictionary).labels

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> CellCounts:
        return counts.contribution(self.shape(dictionary).refs, delta_grid)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        shape = self.shape(dictionary)
        weight = self.contribution(dictionary, law.mechanism.delta_grid).weight
        members = np.array(totals, dtype=np.float64) / weight
        rows = figures(shape, shape.life_tables(members, law.sd_grid / weight))
        names = [short_name(dictionary, ref) for ref in shape.refs]
        by = ("figure", *names[:-1])
        return Result(self.kind, by, rows, unit="", floor=0.0, notes=_notes(shape, names))

    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        if members is None:
            return None
        weight = self.contribution(dictionary, law.mechanism.delta_grid).weight
        return _expected(self.shape(dictionary), law.sd_grid / weight, members)

    def expected_cells(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> tuple[Expected | None, ...]:
        """That of the curve; what medians and ratios come to depends on how it falls."""
        found = self.expected(dictionary, law, members)
        return tuple(found if cell[0] == "survival" else None for cell in self.cells(dictionary))

    def words(self) -> str:
        until = f" up to {self.edges[-1]}" if self.edges else ""
        groups = f", by {words(self.by)}" if self.by else ""
        return f"Estimates survival until {word(self.event)} by {word(self.time)}{until}{groups}"

    def method(self) -> str:
        return (
            "Survival is estimated from one noisy table of events and censorings per bin of time "
            "(Kaplan-Meier, members censored within a bin counting for half of it; never rising), "
            "with score intervals that hold Greenwood's variance and the noise. The log-rank "
            "test and the Mantel-Haenszel hazard ratio hold the noise to first order."
        )


@dataclass(frozen=True)
class Shape:
    """The table's dimensions: groups, bins of time (one more beyond the last edge, where the
    declared bounds reach further), levels of the event."""

    groups: Refs
    time: ColumnRef
    event: ColumnRef
    edges: tuple[str, ...]
    happened: int

    @property
    def refs(self) -> Refs:
        return (*self.groups, self.time, self.event)

    @property
    def bins(self) -> int:
        return len(self.edges) - 1

    @property
    def numbers(self) -> Floats:
        """Shape [bins + 1]: the edges in the column's unit."""
        return np.array([float(edge) for edge in self.edges])

    @property
    def group_labels(self) -> tuple[tuple[str, ...], ...]:
        return tuple(itertools.product(*(ref.column.cell_labels for ref in self.groups)))

    @property
    def labels(self) -> Labels:
        """Of every figure, in the order of `figures`."""
        every, whole = self.group_labels, ("",) * len(self.groups)
        curves = [(SURVIVAL, *group, edge) for group in every for edge in self.edges[1:]]
        unit = f" ({self.time.column.unit})" if self.time.column.unit else ""
        medians = [(MEDIAN + unit, *group, "") for group in every]
        means = [(MEAN + unit, *group, self.edges[-1]) for group in every]
        tests = [(CHI_SQUARE, *whole, ""), (P_VALUE, *whole, "")] if len(every) > 1 else []
        ratios = [(RATIO, *group, "") for group in every[1:]]
        return (*curves, *medians, *means, *tests, *ratios)

    def life_tables(self, members: Floats, noise_sd: float) -> list[LifeTable]:
        """One table per group from the noisy counts of all cells, in row-major order."""
        levels = len(self.event.column.levels)
        every = members.reshape(len(self.group_labels), -1, levels)
        events = every[:, :, self.happened]
        others = every.sum(axis=2) - events
        after = every[:, self.bins :].sum(axis=(1, 2))
        return [
            LifeTable(
                events=events[group, : self.bins],
                censored=others[group, : self.bins],
                after=float(after[group]),
                noise_sd=noise_sd,
                other_levels=levels - 1,
            )
            for group in range(len(every))
        ]


def figures(shape: Shape, tables: Sequence[LifeTable]) -> tuple[Estimate, ...]:
    """Every figure of the answer, in the order of `Shape.labels`."""
    labels = iter(shape.labels)
    rows = [row for table in tables for row in _curve(table, labels)]
    rows += [_median(next(labels), table, shape.numbers) for table in tables]
    rows += [_restricted(next(labels), table, np.diff(shape.numbers)) for table in tables]
    if len(tables) > 1:
        tested = log_rank(tables)
        for value in (0.0, 1.0) if tested is None else tested:
            note = NO_INFORMATION if tested is None else ""
            rows.append(Estimate(next(labels), value, 0.0, 0.0, value, value, note))
    rows += [_ratio(next(labels), hazard_ratio(table, tables[0])) for table in tables[1:]]
    return tuple(rows)


def _curve(table: LifeTable, labels: Iterator[tuple[str, ...]]) -> list[Estimate]:
    low, high = table.interval()
    return [
        Estimate(
            cell=label,
            estimate=float(table.survival[at]),
            se_sampling=math.sqrt(float(table.sampling_variance[at])),
            se_noise=math.sqrt(float(table.noise_variance[at])),
            low=float(low[at]),
            high=float(high[at]),
            note="" if table.known[at] else NO_INFORMATION,
        )
        for at, label in zip(range(table.bins), labels, strict=False)
    ]


def _median(label: tuple[str, ...], table: LifeTable, edges: Floats) -> Estimate:
    """Where the curve is at one half; its interval is where the interval of the curve holds it.

    The end of the last bin stands for a time that is not reached, and the note says so. Of
    bins that noise hides nothing is known: the lower end is where they begin at the latest.
    """
    low, high = table.interval()
    seen = int(table.known.sum())
    first, last = float(edges[0]), float(edges[-1])
    found, end = crossing(table.survival, edges), crossing(high, edges)
    start = crossing(low[:seen], edges[: seen + 1])
    ends = float(edges[seen]) if start is None else start, last if end is None else end
    spread = (ends[1] - ends[0]) / (2 * Z95)
    at = int(np.argmin(np.abs(table.survival - 0.5)))
    noise, sampling = float(table.noise_variance[at]), float(table.sampling_variance[at])
    share = noise / (noise + sampling) if noise + sampling > 0 else 0.0
    note = "not reached" if found is None else "upper end not reached" if end is None else ""
    return Estimate(
        cell=label,
        estimate=last if found is None else found,
        se_sampling=spread * math.sqrt(1 - share),
        se_noise=spread * math.sqrt(share),
        low=ends[0],
        high=ends[1],
        note=NO_INFORMATION if ends == (first, last) else note,
    )


def _restricted(label: tuple[str, ...], table: LifeTable, widths: Floats) -> Estimate:
    """The mean time to the last edge; where noise hides a part, the areas under the bounds."""
    value, sampling, noise = restricted_mean(table, widths)
    half = Z95 * math.sqrt(sampling + noise)
    low, high = max(value - half, 0.0), min(value + half, float(widths.sum()))
    note = ""
    if not table.known.all():
        lower, upper = table.interval()
        low, high = area(lower[table.known], widths[table.known]), area(upper, widths)
        note = "a part is hidden by noise" if table.known.any() else NO_INFORMATION
    return Estimate(label, value, math.sqrt(sampling), math.sqrt(noise), low, high, note)


def _ratio(label: tuple[str, ...], ratio: Ratio) -> Estimate:
    note = "" if ratio.known else NO_INFORMATION
    errors = ratio.se_sampling, ratio.se_noise
    return Estimate(label, ratio.value, *errors, ratio.low, ratio.high, note)


def _notes(shape: Shape, names: Sequence[str]) -> tuple[str, ...]:
    notes = [
        f"Members with {' or '.join(names)} missing are in no bin.",
        "Members who leave within a bin count for half of it.",
    ]
    if shape.groups:
        first = ", ".join(shape.group_labels[0])
        notes.append(f"Hazard ratios are against {first}; bins that noise hides are left out.")
    return tuple(notes)


def _expected(shape: Shape, noise_sd: float, members: int) -> Expected:
    """Of survival to the last edge, if half of each group come to it and nobody leaves."""
    groups = len(shape.group_labels)
    steps = np.arange(shape.bins + 1) / shape.bins
    left = members / groups * 0.5**steps
    table = LifeTable(
        events=-np.diff(left),
        censored=np.zeros(shape.bins),
        after=float(left[-1]),
        noise_sd=noise_sd,
        other_levels=len(shape.event.column.levels) - 1,
    )
    among = f" evenly in {groups} groups" if groups > 1 else ""
    assumption = f"{members:,} members{among}, half of whom come to {shape.edges[-1]}"
    figure = f"survival to {shape.edges[-1]}"
    if not table.known.all():
        return Expected(math.inf, math.inf, "", assumption, figure)
    noise, sampling = float(table.noise_variance[-1]), float(table.sampling_variance[-1])
    return Expected(Z95 * math.sqrt(noise), Z95 * math.sqrt(sampling), "", assumption, figure)


def _one_row(ref: ColumnRef) -> None:
    if ref.many:
        raise BadInput(
            f"{ref.name!r} has many rows per member",
            instead="survival takes columns of tables with one row per member",
        )
    if ref.column.type is ColumnType.TEXT:
        raise BadInput(f"{ref.name!r} is a text column, which no analysis may name")


def _grid(time: ColumnRef, edges: tuple[str, ...]) -> ColumnRef:
    """`time` in bins that reach from its lower to its upper bound. Raises BadInput."""
    if not edges:
        raise BadInput(f"{time.name!r} has no bins", instead="write the edges: grid=[0, 6, 12]")
    inner = gridded(time, edges)
    lower, upper = time.column.lower or "", time.column.upper or ""
    if float(edges[0]) != float(lower):
        raise BadInput(
            f"the first edge is not where {time.name!r} starts",
            where="edges",
            instead=f"start with {lower}",
        )
    return gridded(time, (*edges, upper)) if float(edges[-1]) < float(upper) else inner
