"""Kaplan-Meier curves with bands, and below them medians, means and hazard ratios."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import altair as alt

from coordinator.client.plots.dots import Dots, dot_plot, parts_of, short
from coordinator.client.plots.marks import BLUE, PLAIN, WIDTH, axis_title, by_colour, table_of, tips
from coordinator.client.plots.points import Point, Points, joined
from coordinator.client.plots.sheet import Drawing, Sheet

if TYPE_CHECKING:
    from altair.typing import ChartType

_COLOURED = 3  # curves whose bands can lie over one another and be read
_BANDS = "Dark band: 95 % interval of sampling alone. Light band: with the privacy noise."
_HIDDEN = "A curve ends where noise hides who is still at risk."


def survival(sheet: Sheet) -> Drawing:
    points = sheet.points(log=("hazard ratio",))
    groups = [f"by{at}" for at in range(1, len(sheet.answer.by) - 1)]
    rows = tuple({**row, "group": joined(row, groups) or "all"} for row in points.rows)
    every = Points(rows, points.dropped)
    curve = every.figure("survival")
    names = curve.levels("group")
    title = ", ".join(name for _, name in parts_of(sheet, 1)[:-1])
    time = str(sheet.title(str(sheet.analysis.get("time", ""))))
    begin = float((sheet.analysis.get("edges") or ["0"])[0])
    charts = [_curves(curve, names, title, time, begin)]
    charts += _below(every, title)
    hidden = "" if all(row["known"] for row in curve.rows) else _HIDDEN
    chart = alt.vconcat(*charts, spacing=22)
    return Drawing(chart, (_BANDS, _test(every), hidden))


def _curves(
    points: Points, names: Sequence[str], groups: str, time: str, begin: float
) -> ChartType:
    """One curve per group; more groups than colours are panels."""
    rows = [row for name in names for row in _knots(points, name, begin)]
    if len(names) > _COLOURED:
        header = alt.Header(title=axis_title(groups), labelExpr=PLAIN, labelFontWeight="bold")
        facet = alt.Facet("group:N", sort=list(names), header=header)
        panel = _curve(alt.Chart(), time, None, 170, 120)
        return panel.facet(facet, columns=3, data=table_of(rows))
    colour = by_colour("group", names, groups) if len(names) > 1 else None
    return _curve(alt.Chart(table_of(rows)), time, colour, WIDTH, 260)


def _curve(
    base: alt.Chart, time: str, colour: alt.Color | None, width: int, height: int
) -> ChartType:
    axis = alt.Axis(title=axis_title(time, width // 7), grid=False, tickCount=width // 55)
    x = alt.X("time:Q", axis=axis, scale=alt.Scale(nice=False))
    y = alt.Y(
        "estimate:Q",
        scale=alt.Scale(domain=[0, 1], clamp=True),
        axis=alt.Axis(title="survival", format=".0%", tickCount=5),
    )
    place = {"color": alt.value(BLUE) if colour is None else colour}
    wide = base.mark_area(opacity=0.16).encode(x=x, y=alt.Y("low:Q"), y2="high:Q", **place)
    narrow = base.mark_area(opacity=0.28).encode(
        x=x, y=alt.Y("low_sampling:Q"), y2="high_sampling:Q", **place
    )
    line = base.mark_line(strokeWidth=2).encode(x=x, y=y, **place)
    dots = (
        base.transform_filter(alt.datum.told)
        .mark_point(size=18, filled=True, opacity=1)
        .encode(x=x, y=y, **place, tooltip=[alt.Tooltip("time:Q"), *tips(("group", "group"))])
    )
    return alt.layer(wide, narrow, line, dots).properties(width=width, height=height)


def _knots(points: Points, name: str, begin: float) -> list[Point]:
    """The curve of a group from 1 at the start to where noise hides it, straight within bins."""
    rows = [row for row in points.rows if row["group"] == name]
    made: list[Point] = []
    for row in rows:
        if not row["known"]:
            break
        made.append({**row, "time": float(row[_last(row)]), "told": True})
    ends = dict.fromkeys(("estimate", "low", "high", "low_sampling", "high_sampling"), 1.0)
    return [{"group": name, "time": begin, "note": "", "known": True, **ends}, *made]


def _last(row: Point) -> str:
    return max((key for key in row if key.startswith("by")), key=lambda key: int(key[2:]))


def _below(points: Points, groups: str) -> list[ChartType]:
    """Medians and restricted means by group, and hazard ratios on a log axis."""
    charts: list[ChartType] = []
    for figure in points.levels("by0"):
        if figure.startswith(("median survival", "restricted mean")):
            look = Dots(figure, (("group", groups),), zero=True)
            charts.append(dot_plot(points.figure(figure), look))
    ratios = points.figure("hazard ratio")
    if ratios.rows:
        first = points.figure("survival").levels("group")[0]
        look = Dots(
            f"hazard ratio against {first} (log axis)", (("group", groups),), log=True, at=1.0
        )
        charts.append(dot_plot(ratios, look))
    return charts


def _test(points: Points) -> str:
    found = points.figure("log-rank p-value").rows
    if not found or not found[0]["known"]:
        return ""
    value = found[0]["estimate"]
    return f"Log-rank test: p {'< 0.0001' if value < 1e-4 else '= ' + short(value)}."
