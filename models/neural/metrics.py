"""Figures of a network's performance, with intervals, from noised tables of scores.

Sampling error is that of the members, noise that of every cell; both by the delta method. Binning
the score costs the area under the curve a little: pairs in one bin count half.

Source: DeLong, DeLong and Clarke-Pearson 1988 for the sampling error of the area.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.neural.calibration import Straightening, straightened
from models.neural.outcome import Amount, Event, Level, Outcome
from models.neural.scoring import Bins, Tables, group_name
from models.result import NO_INFORMATION, Z95, Estimate, normal_estimate

Doubles = NDArray[np.float64]
FEWEST = 3.0  # a group's total below this many standard deviations of its noise says nothing


@dataclass(frozen=True)
class Table:
    """One noised table: `cells` [bins, 2] in members, `sd` of the noise of each cell."""

    bins: Bins
    cells: Doubles
    sd: float

    @property
    def total(self) -> float:
        return float(self.cells.sum())

    @property
    def readable(self) -> bool:
        sums = self.cells.sum(axis=0)
        return bool((sums > max(FEWEST * self.sd * math.sqrt(self.bins.count), 1.0)).all())


def straightening(
    tables: Tables, outcome: Outcome, totals: NDArray[np.int64], delta_grid: int
) -> Straightening:
    """How an event's risk is straightened, from the table of all members; else not at all."""
    if not isinstance(outcome, Event):
        return Straightening()
    block = tables.cut(totals / tables.weight(delta_grid))[0]
    return straightened(tables.bins[0], tables.outcome_tables(block)[0])


def metrics(
    tables: Tables,
    outcome: Outcome,
    totals: NDArray[np.int64],
    delta_grid: int,
    sd_grid: float,
    straight: Straightening | None = None,
) -> tuple[Estimate, ...]:
    """Estimates of every group, all members first; `cell` is (group, figure).

    Risks of an event are straightened first, if that is asked for.
    """
    weight = tables.weight(delta_grid)
    if isinstance(outcome, Event) and straight is not None:
        tables = replace(tables, bins=(straight.bins(tables.bins[0]),))
    found: list[Estimate] = []
    for (column, level), block in zip(tables.groups, tables.cut(totals / weight), strict=True):
        group = group_name(column, level)
        parts = tables.outcome_tables(block)
        for place, (bins, cells) in enumerate(zip(tables.bins, parts, strict=True)):
            table = Table(bins, cells, sd_grid / weight)
            of = f" of {outcome.column.column.levels[place]}" if isinstance(outcome, Level) else ""
            if isinstance(outcome, Amount):
                found += _amounts(table, outcome, group)
            else:
                found += _events(table, group, of, with_bins=group == tables.groups[0][0])
    return tuple(found)


def _events(table: Table, group: str, of: str, *, with_bins: bool) -> list[Estimate]:
    members = normal_estimate(
        (group, f"members{of}"), table.total, table.sd * math.sqrt(2 * table.bins.count)
    )
    found = [
        members,
        auc(table, (group, f"AUC{of}")),
        brier(table, (group, f"Brier score{of}")),
        in_the_large(table, (group, f"observed - predicted{of}")),
    ]
    return found + (calibration(table, group, of) if with_bins else [])


def auc(table: Table, cell: tuple[str, ...]) -> Estimate:
    """P(score of one with the event > score of one without), ties counting half."""
    if not table.readable:
        return _nothing(cell, 0.5, (0.0, 1.0))
    without, having = table.cells[:, 0], table.cells[:, 1]
    total_without, total_having = without.sum(), having.sum()
    below = (np.cumsum(without) - without / 2) / total_without
    above = (total_having - np.cumsum(having) + having / 2) / total_having
    area = float((having * below).sum() / total_having)
    slope = np.concatenate([(below - area) / total_having, (above - area) / total_without])
    spread_having = max(float((having * (below - area) ** 2).sum() / total_having), 0.0)
    spread_without = max(float((without * (above - area) ** 2).sum() / total_without), 0.0)
    sampling = math.sqrt(spread_having / total_having + spread_without / total_without)
    return _within(cell, area, sampling, table.sd * float(np.linalg.norm(slope)), 0.0, 1.0)


def brier(table: Table, cell: tuple[str, ...]) -> Estimate:
    """The mean squared difference of risk (the bin's middle) and outcome."""
    middle = np.clip(table.bins.middles(), 0.0, 1.0)
    return _mean(table, np.stack([middle**2, (1 - middle) ** 2], axis=1), cell, (0.0, 1.0))


def in_the_large(table: Table, cell: tuple[str, ...]) -> Estimate:
    """The share with the event less the mean of the risks."""
    middle = np.clip(table.bins.middles(), 0.0, 1.0)
    return _mean(table, np.stack([-middle, 1 - middle], axis=1), cell, (-1.0, 1.0))


def calibration(table: Table, group: str, of: str, least: float = 50.0) -> list[Estimate]:
    """Observed share of the event in neighbouring bins, joined until they hold enough: `least`
    members, and more where noise demands it."""
    needed = max(5 * table.sd * math.sqrt(2), least)
    found, start = [], 0
    for end in range(1, table.bins.count + 1):
        part = table.cells[start:end]
        rest = table.cells[end:].sum()
        if end < table.bins.count and (
            part.sum() < needed * math.sqrt(end - start) or rest < needed
        ):
            continue
        if part.sum() <= 0:
            break
        low, high = _named(table.bins, start, end)
        cell = (group, f"observed at risk {low} to {high}{of}")
        found.append(_share(Table(table.bins, part, table.sd), cell))
        start = end
    return found


def _share(table: Table, cell: tuple[str, ...]) -> Estimate:
    worth = np.zeros_like(table.cells)
    worth[:, 1] = 1.0
    return _mean(table, worth, cell, (0.0, 1.0))


def _named(bins: Bins, start: int, end: int) -> tuple[str, str]:
    low = f"{bins.edges[start - 1]:.3f}" if start else "0"
    high = f"{bins.edges[end - 1]:.3f}" if end < bins.count else "1"
    return low, high


def _mean(
    table: Table, worth: Doubles, cell: tuple[str, ...], limits: tuple[float, float]
) -> Estimate:
    """The mean of `worth` over members: a ratio of two sums of noised cells."""
    total = table.total
    if total <= max(FEWEST * table.sd * math.sqrt(table.cells.size), 1.0):
        return _nothing(cell, 0.0, limits)
    mean = float((table.cells * worth).sum() / total)
    spread = max(float((table.cells * (worth - mean) ** 2).sum() / total), 0.0)
    noise = table.sd * float(np.linalg.norm(worth - mean)) / total
    return _within(cell, mean, math.sqrt(spread / total), noise, *limits)


def _amounts(table: Table, outcome: Amount, group: str) -> list[Estimate]:
    """The root of the mean squared error, and the mean error, in the column's unit."""
    middle = table.bins.middles()[:, None]
    square = _mean(table, middle**2, (group, "RMSE"), (0.0, 4.0))
    bias = _mean(table, middle, (group, "predicted - observed"), (-2.0, 2.0))
    return [_rooted(square, outcome.half_width), _scaled(bias, outcome.half_width)]


def _rooted(square: Estimate, unit: float) -> Estimate:
    if square.note or square.estimate <= 0:
        return _nothing(square.cell, 0.0, (0.0, 2 * unit))
    root = math.sqrt(square.estimate)
    slope = unit / (2 * root)
    low, high = (unit * math.sqrt(max(end, 0.0)) for end in (square.low, square.high))
    return Estimate(
        square.cell, unit * root, slope * square.se_sampling, slope * square.se_noise, low, high
    )


def _scaled(one: Estimate, unit: float) -> Estimate:
    return replace(
        one,
        estimate=unit * one.estimate,
        se_sampling=unit * one.se_sampling,
        se_noise=unit * one.se_noise,
        low=unit * one.low,
        high=unit * one.high,
    )


def _within(
    cell: tuple[str, ...], value: float, sampling: float, noise: float, low: float, high: float
) -> Estimate:
    half = Z95 * math.hypot(sampling, noise)
    ends = max(value - half, low), min(value + half, high)
    return Estimate(cell, value, sampling, noise, min(ends[0], high), max(ends[1], low))


def _nothing(cell: tuple[str, ...], value: float, limits: tuple[float, float]) -> Estimate:
    """The whole range of what it could be."""
    return Estimate(cell, value, 0.0, 0.0, *limits, NO_INFORMATION)
