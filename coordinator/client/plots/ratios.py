"""Many pairs: all of them by ratio and p-value, and the clearest with their intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import altair as alt

from coordinator.client.plots.dots import Dots, dot_plot
from coordinator.client.plots.marks import (
    BLUE,
    RANGES,
    RED,
    WIDTH,
    line_at,
    table_of,
)
from coordinator.client.plots.points import Point, Points
from coordinator.client.plots.sheet import Drawing, Sheet

if TYPE_CHECKING:
    from altair.typing import ChartType

_FOREST = 30  # pairs with their intervals, the smallest p-values first
_FEW = 12  # pairs of which a forest alone says everything
_LEAST_P = 1e-12  # what is smaller is drawn here


@dataclass(frozen=True)
class Screened:
    """The names of an analysis: its ratio, and the notes of what passed."""

    ratio: str
    passed: tuple[str, ...]
    named: str  # what a passing pair is called


def disproportionality(sheet: Sheet) -> Drawing:
    return _screen(sheet, Screened("reporting odds ratio", ("signal",), "signal"))


def associations(sheet: Sheet) -> Drawing:
    if sheet.analysis.get("claims"):
        return _screen(sheet, Screened("odds ratio", ("replicated",), "replicated"))
    return _screen(sheet, Screened("odds ratio", ("associated",), "associated"))


def _screen(sheet: Sheet, names: Screened) -> Drawing:
    points = sheet.points(log=(names.ratio,))
    p_values = {row["label"]: row["estimate"] for row in points.figure("p-value").rows}
    rows = [{**row, **_read(row, names, p_values)} for row in points.figure(names.ratio).rows]
    known = [row for row in rows if row["known"]]
    hidden = len(rows) - len(known)
    ranked = sorted(known, key=lambda row: (row["p"], -abs(math.log(row["estimate"]))))
    capped = any(row["p"] < _LEAST_P for row in known) and len(known) > _FEW
    says = [
        RANGES,
        "p-values below 1e-12 are drawn at 12." if capped else "",
        f"Orange: {names.named}.",
    ]
    if len(known) > _FOREST:
        says.append(f"Intervals of {_FOREST} of {len(rows):,} pairs, the smallest p-values first.")
    if hidden:
        says.append(f"Of {hidden:,} pairs noise hides everything; they are not drawn.")
    charts: list[ChartType] = []
    if len(known) > _FEW:
        charts.append(_scatter(known, names))
    if known:
        charts.append(_forest(ranked[:_FOREST], names))
    else:
        charts.append(dot_plot(Points(tuple(rows[:_FOREST])), Dots(names.ratio, (("pair", ""),))))
    return Drawing(alt.vconcat(*charts, spacing=26), tuple(says))


def _read(row: Point, names: Screened, p_values: dict[str, float]) -> Point:
    """The pair in words, its p-value, and whether it passed."""
    name = row["label"].split(", ", 1)[1]
    p = next((v for label, v in p_values.items() if label.split(", ", 1)[1] == name), 1.0)
    return {
        "pair": _pair(row),
        "p": p,
        "strength": -math.log10(max(p, _LEAST_P)),
        "passed": row["note"] in names.passed,
    }


def _pair(row: Point) -> str:
    parts = [row[f"by{at}"] for at in range(1, 5) if row.get(f"by{at}")]
    if len(parts) == 4:
        return f"{parts[0]} {parts[1]} → {parts[2]} {parts[3]}"
    return " → ".join(parts)


_COLOUR = alt.condition(alt.datum.passed, alt.value(RED), alt.value(BLUE))


def _ratio_axis(title: str) -> alt.X:
    axis = alt.Axis(title=f"{title} (log axis)", format=",~r", tickCount=8)
    return alt.X("estimate:Q", scale=alt.Scale(type="log", nice=False, padding=8), axis=axis)


def _scatter(rows: list[Point], names: Screened) -> ChartType:
    """Every pair: to the right more than expected, upwards less likely by chance and noise."""
    base = alt.Chart(table_of(rows))
    y = alt.Y("strength:Q", axis=alt.Axis(title="−log p, to base 10", tickCount=6))
    tooltip = [alt.Tooltip("pair:N"), alt.Tooltip("p:Q", format=".2~e"), alt.Tooltip("estimate:Q")]
    shown = base.mark_point(size=30, filled=True, opacity=0.75).encode(
        x=_ratio_axis(names.ratio), y=y, color=_COLOUR, tooltip=tooltip
    )
    return alt.layer(line_at(1.0), shown).properties(width=WIDTH, height=220)


def _forest(rows: list[Point], names: Screened) -> ChartType:
    points = Points(tuple(rows))
    look = Dots(f"{names.ratio} (log axis)", (("pair", ""),), log=True, at=1.0, colour=_COLOUR)
    return dot_plot(points, look)
