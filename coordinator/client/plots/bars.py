"""Bars: histograms, and the most frequent levels by rank."""

from __future__ import annotations

from typing import Any

import altair as alt

from coordinator.client.plots.dots import Dots, dropped_note
from coordinator.client.plots.marks import (
    BLUE,
    GREY,
    INK,
    NOISE_ONLY,
    PLAIN,
    STEP,
    WIDTH,
    axis_title,
    table_of,
    tips,
    upright_axis,
)
from coordinator.client.plots.points import MOST, Points
from coordinator.client.plots.sheet import Drawing, Sheet

PALE = "#9CC9E3"


def histogram(sheet: Sheet) -> Drawing:
    """Members per bin, bins side by side in their order; a line holds the noise."""
    points = sheet.points()
    shown = points.largest()
    base = alt.Chart(table_of(shown))
    axis = alt.Axis(
        title=axis_title(sheet.of(0)), labelAngle=_angle(shown), grid=False, labelExpr=PLAIN
    )
    x = alt.X("by0:N", sort=shown.levels("by0"), axis=axis, scale=alt.Scale(paddingInner=0.08))
    upright = alt.Axis(title="members", tickCount=6)
    y = alt.Y("estimate:Q", axis=upright)
    tooltip = tips(("by0", sheet.of(0)))
    bars = base.mark_bar(color=PALE).encode(x=x, y=y, tooltip=tooltip)
    noise = base.mark_rule(strokeWidth=1.5, color=INK).encode(x=x, y="low:Q", y2="high:Q")
    size = alt.Step(max(14, min(60, WIDTH // max(len(shown.rows), 1))))
    chart = alt.layer(bars, noise).properties(width=size, height=240)
    return Drawing(chart, (NOISE_ONLY, dropped_note(points, Dots(""))))


def _angle(points: Points) -> float:
    """Upright labels would overlap: turned where they are long for their bar."""
    longest = max((len(row["by0"]) for row in points.rows), default=0)
    return -40 if longest * 7 > max(14, WIDTH // max(len(points.rows), 1)) else 0


def top(sheet: Sheet) -> Drawing:
    """The most frequent first, with what remains possible of their ranks."""
    points = sheet.points()
    ranks = {row["by1"]: row for row in points.figure("rank").rows}
    every = points.figure("members").rows
    rows = [{**row, "rank": _rank(ranks.get(row["by1"]))} for row in every[:MOST]]
    base = alt.Chart(table_of(rows))
    y = alt.Y("by1:N", sort=[row["by1"] for row in rows], axis=upright_axis(sheet.of(1)))
    x = alt.X("estimate:Q", axis=alt.Axis(title="members", tickCount=6))
    tooltip = [*tips(("by1", sheet.of(1))), alt.Tooltip("rank:N", title="rank")]
    bars = base.mark_bar(color=PALE, height=13).encode(x=x, y=y, tooltip=tooltip)
    noise = base.mark_rule(strokeWidth=1.5, color=BLUE).encode(x="low:Q", x2="high:Q", y=y)
    word = base.mark_text(align="left", dx=8, fontSize=11, color=GREY)
    word = word.encode(x=alt.X("high:Q"), y=y, text="rank:N")
    chart = alt.layer(bars, noise, word).properties(width=WIDTH, height=alt.Step(STEP + 2))
    says = (
        "Lines: 95 % intervals of the noise, for all levels at once. Beside them: possible ranks."
    )
    return Drawing(chart, (says, dropped_note(Points(every), Dots(""))))


def _rank(row: dict[str, Any] | None) -> str:
    if row is None or row["low"] is None or row["high"] is None:
        return ""
    low, high = round(row["low"]), round(row["high"])
    return f"rank {low}" if low == high else f"rank {low} to {high}"
