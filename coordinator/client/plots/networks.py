"""How well a model predicts: calibration by risk, and its figures in all and by group."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import altair as alt

from coordinator.client.plots.dots import Dots, dot_plot, error_note
from coordinator.client.plots.marks import BLUE, GREY, table_of, tips
from coordinator.client.plots.points import Point, Points
from coordinator.client.plots.sheet import Drawing, Sheet

if TYPE_CHECKING:
    from altair.typing import ChartType

_RISKS = re.compile(r"observed at risk ([\d.e-]+) to ([\d.e-]+)(?: of (.+))?")
_LINES = {
    "AUC": 0.5,
    "C-index": 0.5,
    "calibration slope": 1.0,
    "calibration intercept": 0.0,
    "observed - predicted": 0.0,
    "predicted - observed": 0.0,
}
_SIDE = 260
_DIAGONAL = "Calibration: on the dashed line as many have the event as was predicted."


def network(sheet: Sheet) -> Drawing:
    """A panel of calibration for each level that is predicted, then a panel per figure."""
    points = sheet.points()
    charts = _calibrations(points)
    says = _DIAGONAL if charts else ""
    for figure in points.levels("by1"):
        if figure.partition(" of ")[0] != "members" and _RISKS.fullmatch(figure) is None:
            charts.append(_figure(points.where_is("by1", figure), figure))
    return Drawing(alt.vconcat(*charts, spacing=18), (says, error_note(points)))


def _figure(points: Points, figure: str) -> ChartType:
    at = _LINES.get(figure.partition(" of ")[0])
    return dot_plot(points, Dots(figure, (("by0", "group"),), at=at))


def _calibrations(points: Points) -> list[ChartType]:
    panels: dict[str, list[Point]] = {}
    for row in points.rows:
        found = _RISKS.fullmatch(row["by1"])
        if found is not None:
            low, high = float(found[1]), float(found[2])
            made = {**row, "risk": (low + high) / 2, "from": low, "to": high}
            panels.setdefault(found[3] or "", []).append(made)
    return [_calibration(rows, level) for level, rows in panels.items()]


def _calibration(rows: list[Point], level: str) -> ChartType:
    """Shares observed over the range of risks that was predicted."""
    base = alt.Chart(table_of(rows)).transform_filter(alt.datum.known)
    of = f" of {level}" if level else ""
    scale = alt.Scale(domain=[0, 1], clamp=True)
    axis = alt.Axis(format=".0%", tickCount=5)

    def across(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=scale, axis=axis, title=f"predicted risk{of}")

    def upright(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=scale, axis=axis, title="observed")

    ends = [{"x": 0, "y": 0}, {"x": 1, "y": 1}]
    line = alt.Chart(alt.InlineData(values=ends)).mark_line(color=GREY, strokeDash=[4, 3])
    mark = {"color": BLUE}
    drawn = alt.layer(
        line.encode(x=alt.X("x:Q", scale=scale), y=alt.Y("y:Q", scale=scale)),
        base.mark_rule(strokeWidth=1.5, **mark).encode(
            x=across("risk"), y=upright("low"), y2="high:Q"
        ),
        base.mark_rule(strokeWidth=5, opacity=0.45, **mark).encode(
            x=across("risk"), y=upright("low_sampling"), y2="high_sampling:Q"
        ),
        base.mark_rule(strokeWidth=1, **mark).encode(
            x=across("from"), x2="to:Q", y=upright("estimate")
        ),
        base.mark_point(size=42, filled=True, opacity=1, **mark).encode(
            x=across("risk"), y=upright("estimate"), tooltip=tips(("by1", "bin"))
        ),
    )
    return drawn.properties(width=_SIDE, height=_SIDE)
