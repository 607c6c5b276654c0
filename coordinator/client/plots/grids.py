"""Squares of colour: members on a grid, and a matrix of correlations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import altair as alt

from coordinator.client.plots.dots import Dots, dot_plot, error_note, short
from coordinator.client.plots.marks import (
    INK,
    PLAIN,
    WIDTH,
    axis_title,
    table_of,
    tips,
    upright_axis,
)
from coordinator.client.plots.points import Point, Points
from coordinator.client.plots.sheet import Drawing, Sheet

if TYPE_CHECKING:
    from altair.typing import ChartType

_WRITTEN = 150  # cells, at most, that have their number written in them
_SIDE = 46
_SHADES = ("#F4F8FC", "#6BAED6", "#08306B")


def density(sheet: Sheet) -> Drawing:
    """Members per cell; cells whose interval holds 0 are marked, their noise may be all."""
    points = sheet.points()
    across, up = points.levels("by0"), points.levels("by1")
    written = len(points.rows) <= _WRITTEN
    rows = [{**row, "said": _cell(row, written)} for row in points.rows]
    base = alt.Chart(table_of(rows))
    x = alt.X("by0:O", sort=across, axis=_axis(sheet.of(0), -40 if len(across) > 6 else 0))
    y = alt.Y("by1:O", sort=up[::-1], axis=upright_axis(sheet.of(1)))
    legend = alt.Legend(title="members", gradientLength=140)
    # noise below zero has the colour of zero: a scale of counts begins there
    most = max((row["estimate"] for row in points.rows), default=1.0)
    top = max(most, 1.0)
    scale = alt.Scale(domain=[0, top / 2, top], range=list(_SHADES), clamp=True)
    colour = alt.Color("estimate:Q", scale=scale, legend=legend)
    parts = (("by0", sheet.of(0)), ("by1", sheet.of(1)))
    squares = base.mark_rect().encode(x=x, y=y, color=colour, tooltip=tips(*parts))
    ink = alt.condition(alt.datum.estimate > 0.6 * most, alt.value("white"), alt.value(INK))
    text = base.mark_text(fontSize=11).encode(x=x, y=y, text="said:N", color=ink)
    size = (_size(len(across), _SIDE, WIDTH), _size(len(up), 26, 320))
    half = (points.rows[0]["high"] - points.rows[0]["low"]) / 2
    says = f"Every cell ± {short(half)} members (95 %), from the privacy noise alone."
    zero = (
        "Cells marked · cannot be told from none."
        if len(rows) > _WRITTEN
        else ("Numbers in brackets cannot be told from none.")
    )
    chart = alt.layer(squares, text).properties(width=size[0], height=size[1])
    return Drawing(chart, (says, zero))


def _cell(row: Point, written: bool) -> str:
    doubtful = row["low"] is None or row["low"] <= 0
    if not written:
        return "·" if doubtful else ""
    return f"({short(row['estimate'])})" if doubtful else short(row["estimate"])


def _size(cells: int, side: int, most: int) -> float:
    return max(min(cells * side, most), cells * 6)


def _axis(title: str, angle: float) -> alt.Axis:
    return alt.Axis(
        title=axis_title(title, 45), labelAngle=angle, ticks=False, domain=False, labelExpr=PLAIN
    )


def correlation(sheet: Sheet) -> Drawing:
    """The matrix of all pairs, and beside it the intervals."""
    points = sheet.points()
    names = list(dict.fromkeys([*points.levels("by0"), *points.levels("by1")]))
    look = Dots("correlation", zero=True, at=0.0, width=260)
    intervals = dot_plot(points, look)
    if len(names) == 2:
        return Drawing(intervals, (error_note(points),))
    chart = alt.hconcat(_matrix(points, names), intervals, spacing=30)
    says = "Numbers in brackets: the interval holds 0."
    return Drawing(chart, (error_note(points), says))


def _matrix(points: Points, names: Sequence[str]) -> ChartType:
    """The lower triangle, blue below 0 and orange above."""
    rows = [{**row, "said": _pair(row)} for row in points.rows]
    base = alt.Chart(table_of(rows))
    x = alt.X("by0:N", sort=list(names[:-1]), axis=_axis("", -40))
    y = alt.Y("by1:N", sort=list(names[1:]), axis=upright_axis(""))
    scale = alt.Scale(domain=[-1, 0, 1], range=["#2166AC", "#F7F7F7", "#B35806"], clamp=True)
    colour = alt.Color("estimate:Q", scale=scale, legend=None)
    shade = alt.condition(alt.datum.known, colour, alt.value("#E0E0E0"))
    squares = base.mark_rect().encode(x=x, y=y, color=shade)
    ink = alt.condition(
        (alt.datum.estimate > 0.6) | (alt.datum.estimate < -0.6),
        alt.value("white"),
        alt.value(INK),
    )
    text = base.mark_text(fontSize=11).encode(x=x, y=y, text="said:N", color=ink)
    side = max(_SIDE, 160 // max(len(names) - 1, 1))
    return alt.layer(squares, text).properties(width=alt.Step(side), height=alt.Step(side * 0.7))


def _pair(row: Point) -> str:
    if not row["known"]:
        return "?"
    holds = row["low"] <= 0 <= row["high"]
    return f"({row['estimate']:.2f})" if holds else f"{row['estimate']:.2f}"
