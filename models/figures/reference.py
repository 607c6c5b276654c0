"""Figures computed row by row in memory: the meaning the engines must match bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from models.cohort.expression import Leaf
from models.cohort.truth import Mask, Truth, holds, leaf_truth, truth
from models.figures.clock import days_per_unit
from models.figures.grid import (
    DAY_LIMIT,
    DAYS_PER_MONTH,
    LAST_DAY,
    ORIGIN,
    Grid,
    first_day,
    slope_grid,
    sum_grid,
)
from models.figures.types import (
    Count,
    Ever,
    FigureColumn,
    How,
    Pick,
    RowsOf,
    Share,
    Slope,
    Summary,
    Which,
    Window,
)
from models.rows import Codes, Rows, TableRows, Values, is_known
from privacy.contract.dictionary import Column, ColumnRef, ColumnType

Doubles = NDArray[np.float64]


@dataclass(frozen=True, repr=False, eq=False)
class _Seen:
    """The rows a figure looks at. `asked` (shape [members]): every index is known."""

    table: TableRows
    asked: Mask
    members: int

    def values(self, column: ColumnRef) -> Values:
        return self.table.values[column.column.name]

    def where(self, keep: Mask) -> _Seen:
        return _Seen(_kept(self.table, keep), self.asked, self.members)

    def added(self, amounts: NDArray[np.int64] | int = 1) -> NDArray[np.int64]:
        """Sums by member."""
        summed = np.zeros(self.members, dtype=np.int64)
        np.add.at(summed, self.table.member, amounts)
        return summed


def values_of(rows: Rows, ref: ColumnRef) -> tuple[TableRows, Values]:
    """A column's rows and values; of a figure, one row per member."""
    if not isinstance(ref, FigureColumn):
        return rows.of(ref)
    values = figure_values(rows, ref)
    everyone = np.arange(rows.members, dtype=np.int64)
    return TableRows(everyone, np.zeros_like(everyone), {ref.name: values}), values


def figure_values(rows: Rows, ref: FigureColumn) -> Values:
    """Shape [members]: each member's figure, missing where it is unknown."""
    figure = ref.figure
    seen = _seen(rows, figure.rows)
    match figure:
        case Ever():
            return np.where(seen.asked, seen.added() > 0, -1).astype(np.int64)
        case Count():
            return np.where(seen.asked, seen.added(), np.nan)
        case Pick(which, column):
            return _picked(seen, which, column, figure.rows.clock)
        case Summary():
            return _summary(seen, figure)
        case Share(test, _, least):
            known = seen.where(is_known(seen.values(test.column)))
            held = known.where(holds(test, known.values(test.column)))
            return _divided(held.added(), known.added(), least)
        case Slope():
            return _slope(seen, figure)
        case _:
            assert_never(figure)


def _seen(rows: Rows, asked: RowsOf) -> _Seen:
    """Rows within the declared number, that meet the condition and lie in every window."""
    table = rows.tables[asked.table.name].first(asked.table.max_rows_per_member)
    keep = truth(asked.where, len(table.member), lambda leaf: _row_truth(table, leaf)) == 2
    known = np.ones(rows.members, dtype=np.bool_)
    for window in asked.windows:
        index, has_index = _index(rows, window)
        known &= has_index
        keep &= _inside(table, asked, window, index) & has_index[table.member]
    return _Seen(_kept(table, keep), known, rows.members)


def _row_truth(table: TableRows, leaf: Leaf) -> Truth:
    values = table.values[leaf.column.column.name]
    return leaf_truth(leaf, values, is_known(values))


def _index(rows: Rows, window: Window) -> tuple[Codes, Mask]:
    """Shape [members] each: the index as a day, and whether the member has one."""
    table, values = values_of(rows, window.index)
    known = is_known(values)
    days = np.zeros(rows.members, dtype=np.int64)
    has = np.zeros(rows.members, dtype=np.bool_)
    days[table.member[known]] = day_numbers(window.index.column, values[known])
    has[table.member[known]] = True
    return days, has


def _inside(table: TableRows, asked: RowsOf, window: Window, index: Codes) -> Mask:
    if asked.clock is None:
        return np.zeros(len(table.member), dtype=np.bool_)
    stored = table.values[asked.clock.column.name]
    inside = is_known(stored)
    days = np.zeros(len(stored), dtype=np.int64)
    days[inside] = day_numbers(asked.clock.column, stored[inside])
    after = days - index[table.member]
    if window.start is not None:
        inside &= after >= window.start
    if window.end is not None:
        inside &= after <= window.end
    return inside


def day_numbers(column: Column, values: Values) -> Codes:
    """The day of each known time."""
    if column.type is ColumnType.DATE:
        return (values - np.datetime64(ORIGIN, "D")).astype(np.int64)
    days = np.floor(values * (days_per_unit(column) or 1.0) + 0.5)
    return np.clip(days, -DAY_LIMIT, DAY_LIMIT).astype(np.int64)


def _kept(table: TableRows, keep: Mask) -> TableRows:
    values = {name: array[keep] for name, array in table.values.items()}
    return TableRows(table.member[keep], table.rank[keep], values)


def _picked(seen: _Seen, which: Which, column: ColumnRef, clock: ColumnRef | None) -> Values:
    """The value of the row that comes first by (time, rank), or of the one that comes last."""
    values = seen.values(column)
    known = is_known(values)
    keys: tuple[Values, ...] = (seen.table.rank,)
    if clock is not None:
        times = seen.values(clock)
        known = known & is_known(times)
        keys = (seen.table.rank, times)
    order = np.lexsort(keys)
    order = order[known[order]]
    ordered = order[::-1] if which is Which.FIRST else order
    found = _unknown(values, seen.members)
    found[seen.table.member[ordered]] = values[ordered]  # of a member's rows the last one stays
    return found


def _unknown(like: Values, size: int) -> Values:
    if like.dtype == np.int64:
        return np.full(size, -1, dtype=np.int64)
    missing = np.datetime64("NaT", "D") if like.dtype.kind == "M" else np.nan
    return np.full(size, missing, dtype=like.dtype)


def _summary(seen: _Seen, figure: Summary) -> Values:
    known = seen.where(is_known(seen.values(figure.column)))
    values = known.values(figure.column)
    match figure.how:
        case How.MIN | How.MAX:
            order = np.argsort(values, kind="stable")
            ordered = order[::-1] if figure.how is How.MIN else order
            found = _unknown(values, seen.members)
            found[known.table.member[ordered]] = values[ordered]
            return found
        case How.MEAN | How.SUM:
            grid = sum_grid(figure.column)
            summed, count = known.added(on_grid(grid, values)), known.added()
            per = count if figure.how is How.MEAN else np.ones_like(count)
            quotient = _divided(summed, per, 1) / grid.times * grid.over
            return np.where(count >= figure.least_rows, quotient, np.nan)
        case _:
            assert_never(figure.how)


def on_grid(grid: Grid, values: Doubles) -> NDArray[np.int64]:
    """The whole number of steps of each known value."""
    with np.errstate(over="ignore"):  # beyond the doubles is beyond the bounds too
        steps = np.floor(values * grid.times / grid.over + 0.5)
    return np.clip(steps, grid.low, grid.high).astype(np.int64)


def _divided(top: NDArray[np.int64], bottom: NDArray[np.int64], least: int) -> Doubles:
    enough = (bottom >= least) & (bottom > 0)
    quotient = top.astype(np.float64) / np.where(enough, bottom, 1).astype(np.float64)
    return np.where(enough, quotient, np.nan)


def _slope(seen: _Seen, figure: Slope) -> Doubles:
    clock = figure.rows.clock
    if clock is None:
        return np.full(seen.members, np.nan)
    seen = seen.where(is_known(seen.values(figure.column)) & is_known(seen.values(clock)))
    grid = slope_grid(figure.column)
    t = day_numbers(clock.column, seen.values(clock)) - first_day(clock.column)
    t, q = np.clip(t, 0, LAST_DAY), on_grid(grid, seen.values(figure.column))
    n, st, sq = seen.added(), seen.added(t), seen.added(q)
    top = n * seen.added(t * q) - st * sq
    bottom = n * seen.added(t * t) - st * st
    enough = (n >= figure.least_rows) & (_span(seen, t) >= figure.least_days)
    slope = _divided(top, np.where(enough, bottom, 0), 1)
    return slope * DAYS_PER_MONTH / grid.times * grid.over


def _span(seen: _Seen, t: Codes) -> Codes:
    """Days from the first to the last row of each member; -1 where there is none."""
    low = np.full(seen.members, LAST_DAY, dtype=np.int64)
    high = np.full(seen.members, -1, dtype=np.int64)
    np.minimum.at(low, seen.table.member, t)
    np.maximum.at(high, seen.table.member, t)
    return np.where(high < 0, -1, high - low)
