"""Figures of many rows as columns of the member table, in portable Ibis expressions.

Each figure is a table of (member, value) built from the rows that its condition and windows
keep, and joined to the members; a member without a line there has no value, or none of the
rows. Numbers follow `models.figures.grid` to the bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, assert_never

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
from models.figures.walk import row_columns
from node.engine_cohort import (
    Expr,
    condition,
    ibis,
    many_table,
    members_table,
    number,
    predicate,
    whole,
)
from privacy.contract.dictionary import Column, ColumnRef, ColumnType

MEMBER = "member_ix"
_MORE_THAN_RANKS = 2**20  # a dictionary declares a million rows per member at most


def asked_members(columns: Iterable[ColumnRef], consent: str | None, linkage: str = "") -> Expr:
    """The member table with the one-row columns and the figures that a question reads."""
    wanted = {column.name: column for column in columns}
    figures = [each for each in wanted.values() if isinstance(each, FigureColumn)]
    for each in list(figures):
        figures += [index for index in _indices(each) if index not in figures]
    stored = {ref for each in [*wanted.values(), *figures] for ref in _own_columns(each)}
    members = members_table(frozenset(stored), consent, linkage)
    for figure in reversed(figures):
        members = _with_figure(members, figure)
    return members


def _own_columns(column: ColumnRef) -> Iterator[ColumnRef]:
    """The columns of the member table that are read for `column`."""
    if not isinstance(column, FigureColumn):
        yield column
        return
    for window in column.figure.rows.windows:
        if not isinstance(window.index, FigureColumn):
            yield window.index


def _indices(column: FigureColumn) -> Iterator[FigureColumn]:
    """Figures without which it is not known whether the member was asked."""
    if isinstance(column.figure, Ever | Count):
        for window in column.figure.rows.windows:
            if isinstance(window.index, FigureColumn):
                yield window.index


def _with_figure(members: Expr, ref: FigureColumn) -> Expr:
    """The members with one more column, named as the figure."""
    if isinstance(ref.figure, Ever):
        rows = _rows(ref)
        found = members[MEMBER].isin(rows[MEMBER])
        code = ibis().ifelse(found, ibis().literal(1, "int16"), ibis().literal(0, "int16"))
        return members.mutate({ref.name: _if_asked(members, ref, code)})
    lines = _lines(ref).rename(figure_of=MEMBER)
    joined = members.left_join(lines, members[MEMBER] == lines.figure_of)
    value = joined.value
    if isinstance(ref.figure, Count):
        value = _if_asked(joined, ref, ibis().coalesce(value, number(0.0)))
    return joined.mutate({ref.name: value}).drop("figure_of", "value")


def _if_asked(members: Expr, ref: FigureColumn, value: Expr) -> Expr:
    """`value`, or unknown where a member lacks the index of a window."""
    for window in ref.figure.rows.windows:
        known = members[window.index.name].notnull()
        value = ibis().ifelse(known, value, ibis().null(value.type()))
    return value


# Rows


def _rows(ref: FigureColumn) -> Expr:
    """The rows a figure looks at: within the declared number, its condition and its windows."""
    asked = ref.figure.rows
    rows = many_table(asked.table, frozenset(row_columns(ref.figure)))
    meeting = predicate(asked.where, rows)
    rows = rows if meeting is None else rows.filter(meeting)
    for at, window in enumerate(asked.windows):
        rows = _inside(rows, asked, window, f"index_{at}")
    return rows


def _inside(rows: Expr, asked: RowsOf, window: Window, name: str) -> Expr:
    if asked.clock is None:
        return rows.filter(ibis().literal(False))
    index = _index(window.index).rename({f"{name}_of": MEMBER, name: "value"})
    rows = rows.filter(rows[asked.clock.name].notnull())  # for GREATEST passes over NULL
    joined = rows.join(index, rows[MEMBER] == index[f"{name}_of"])
    after = _days_between(joined, asked.clock, joined[name], window.index.column)
    inside = [after >= whole(window.start)] if window.start is not None else []
    inside += [after <= whole(window.end)] if window.end is not None else []
    return joined.filter(inside).drop(name, f"{name}_of")


def _index(index: ColumnRef) -> Expr:
    """(member, value) of the members who have one."""
    if isinstance(index, FigureColumn):
        return _lines(index)
    members = members_table(frozenset((index,)), None)
    stored = members[index.name]
    return members.filter(stored.notnull()).select(MEMBER, value=stored)


def _days_between(rows: Expr, clock: ColumnRef, index: Expr, column: Column) -> Expr:
    stored = rows[clock.name]
    if column.type is ColumnType.DATE:
        return stored.delta(index, unit="day")
    return _counted_day(stored, clock.column) - _counted_day(index, column)


def _counted_day(stored: Expr, column: Column) -> Expr:
    """The day of a counted time that is known."""
    near = _clamped(stored, -DAY_LIMIT, DAY_LIMIT)  # or a large one could leave the doubles
    days = near * number(days_per_unit(column) or 1.0) + number(0.5)
    return _clamped(days, -DAY_LIMIT, DAY_LIMIT).floor().cast("int64")


def _clamped(value: Expr, low: int, high: int) -> Expr:
    """A double that is known, within [low, high]."""
    return ibis().least(ibis().greatest(value, number(low)), number(high))


# Lines of (member, value)


def _lines(ref: FigureColumn) -> Expr:
    """The members who have a value; for a count, those who have a row."""
    figure = ref.figure
    rows = _rows(ref)
    match figure:
        case Ever():
            return rows.select(MEMBER, value=ibis().literal(1, "int16")).distinct()
        case Count():
            return rows.group_by(MEMBER).agg(value=rows.count().cast("float64"))
        case Pick(which, column):
            return _picked(rows, which, column, figure.rows.clock)
        case Summary():
            return _summary(rows, figure)
        case Share(test, _, least):
            return _share(rows, condition(test, rows[test.column.name]), test.column, least)
        case Slope():
            return _slope(rows, figure)
        case _:
            assert_never(figure)


def _picked(rows: Expr, which: Which, column: ColumnRef, clock: ColumnRef | None) -> Expr:
    """The value of the row that comes first by (time, rank), or of the one that comes last."""
    known = rows.filter(rows[column.name].notnull())
    if clock == column:
        stored = known[column.name]
        own = stored.min() if which is Which.FIRST else stored.max()
        return known.group_by(MEMBER).agg(value=own)
    if clock is not None:
        known = known.filter(known[clock.name].notnull())
    if clock is not None and clock.column.type is not ColumnType.DATE:
        return _picked_by_order(known, which, column, clock)
    rank = known.row_rank.cast("int64")
    key = rank if clock is None else _date_day(known, clock) * whole(_MORE_THAN_RANKS) + rank
    keyed = known.select(MEMBER, value=known[column.name], key=key)
    best = keyed.key.min() if which is Which.FIRST else keyed.key.max()
    bests = keyed.group_by(MEMBER).agg(best=best).rename(best_of=MEMBER)
    same = [keyed[MEMBER] == bests.best_of, keyed.key == bests.best]
    return keyed.join(bests, same).select(MEMBER, "value")


def _picked_by_order(known: Expr, which: Which, column: ColumnRef, clock: ColumnRef) -> Expr:
    """The same where times are doubles, which do not fit into one key with the rank."""
    keys = [known[clock.name], known.row_rank]
    order = keys if which is Which.FIRST else [key.desc() for key in keys]
    window = ibis().window(group_by=known[MEMBER], order_by=order)
    placed = known.select(MEMBER, value=known[column.name], place=ibis().row_number().over(window))
    return placed.filter(placed.place == whole(0)).select(MEMBER, "value")


def _date_day(rows: Expr, clock: ColumnRef) -> Expr:
    return rows[clock.name].delta(ibis().literal(ORIGIN), unit="day").cast("int64")


def _summary(rows: Expr, figure: Summary) -> Expr:
    known = rows.filter(rows[figure.column.name].notnull())
    stored = known[figure.column.name]
    grouped = known.group_by(MEMBER)
    match figure.how:
        case How.MIN:
            return grouped.agg(value=stored.min())
        case How.MAX:
            return grouped.agg(value=stored.max())
        case How.MEAN | How.SUM:
            grid = sum_grid(figure.column)
            known = known.select(MEMBER, q=_on_grid(grid, stored))
            sums = known.group_by(MEMBER).agg(n=known.count(), s=known.q.sum().cast("int64"))
            sums = sums.filter(sums.n >= whole(figure.least_rows))
            value = sums.s.cast("float64")
            if figure.how is How.MEAN:
                value = value / sums.n.cast("float64")
            return sums.select(MEMBER, value=_off_grid(grid, value))
        case _:
            assert_never(figure.how)


def _on_grid(grid: Grid, stored: Expr) -> Expr:
    """The whole number of steps of a known value."""
    steps = _scaled(stored, grid) + number(0.5)
    return _clamped(steps, grid.low, grid.high).floor().cast("int64")


def _scaled(value: Expr, grid: Grid) -> Expr:
    """Multiplying and dividing by one changes no bit and is left out."""
    if grid.over != 1.0:
        small = value.abs() < number(0.5)  # rounds to no step, and could leave the doubles
        return ibis().ifelse(small, number(0.0), value) / number(grid.over)
    return value if grid.times == 1.0 else value * number(grid.times)


def _off_grid(grid: Grid, value: Expr) -> Expr:
    value = value if grid.times == 1.0 else value / number(grid.times)
    return value if grid.over == 1.0 else value * number(grid.over)


def _share(rows: Expr, holds: Expr, column: ColumnRef, least: int) -> Expr:
    known = rows.filter(rows[column.name].notnull())
    one = ibis().ifelse(holds, whole(1), whole(0))
    each = known.select(MEMBER, held=one)
    sums = each.group_by(MEMBER).agg(n=each.count(), m=each.held.sum().cast("int64"))
    sums = sums.filter(sums.n >= whole(least))
    return sums.select(MEMBER, value=sums.m.cast("float64") / sums.n.cast("float64"))


def _slope(rows: Expr, figure: Slope) -> Expr:
    clock = figure.rows.clock
    if clock is None:
        return rows.filter(ibis().literal(False)).select(MEMBER, value=number(0.0))
    grid = slope_grid(figure.column)
    known = rows.filter([rows[figure.column.name].notnull(), rows[clock.name].notnull()])
    each = known.select(
        MEMBER, t=_slope_day(known, clock), q=_on_grid(grid, known[figure.column.name])
    )
    sums = _moments(each)
    long = sums.last - sums.first >= whole(figure.least_days)
    sums = sums.filter([sums.n >= whole(figure.least_rows), long])
    top = sums.n * sums.stq - sums.st * sums.sq
    bottom = (sums.n * sums.stt - sums.st * sums.st).nullif(whole(0))
    slope = top.cast("float64") / bottom.cast("float64") * number(DAYS_PER_MONTH)
    return sums.select(MEMBER, value=_off_grid(grid, slope))


def _moments(each: Expr) -> Expr:
    summed = {"st": each.t, "sq": each.q, "stt": each.t * each.t, "stq": each.t * each.q}
    sums: dict[str, Any] = {name: part.sum().cast("int64") for name, part in summed.items()}
    sums |= {"n": each.count(), "first": each.t.min(), "last": each.t.max()}
    return each.group_by(MEMBER).agg(**sums)


def _slope_day(rows: Expr, clock: ColumnRef) -> Expr:
    stored = rows[clock.name]
    if clock.column.type is ColumnType.DATE:
        day = _date_day(rows, clock)
    else:
        day = _counted_day(stored, clock.column) - whole(first_day(clock.column))
    return ibis().least(ibis().greatest(day, whole(0)), whole(LAST_DAY))
