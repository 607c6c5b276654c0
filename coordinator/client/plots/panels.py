"""Several panels of one answer: variance, tables, treatment reports, rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import altair as alt

from coordinator.client.plots.dots import Dots, dot_plot, error_note, parts_of, said
from coordinator.client.plots.marks import (
    PLAIN,
    WIDTH,
    axis_title,
    ranges,
    table_of,
    tips,
    upright_axis,
)
from coordinator.client.plots.points import Point, Points
from coordinator.client.plots.sheet import Drawing, Sheet
from coordinator.client.titles import Title

if TYPE_CHECKING:
    from altair.typing import ChartType

_COLUMNS = 12  # of a first table
_TREATMENTS = 10  # in a report, the most taken
ALL = "all"


def variance(sheet: Sheet) -> Drawing:
    """The mean with a band of one standard deviation, then deviation and variance below."""
    points = sheet.points()
    column = sheet.title(str(sheet.analysis.get("column", "")))
    rows = {row["by0"]: row for row in points.rows}
    charts = _moments(rows, column)
    return Drawing(alt.vconcat(*charts, spacing=18), (error_note(points),))


def _moments(rows: Mapping[str, Point], column: Title) -> list[ChartType]:
    mean, spread, square = (rows[name] for name in ("mean", "standard deviation", "variance"))
    return [
        _panel(mean, f"mean of {column}, with a band of one standard deviation", spread),
        _panel(spread, str(Title("standard deviation", column.unit))),
        _panel(square, str(Title("variance", f"{column.unit}, squared" if column.unit else ""))),
    ]


def describe(sheet: Sheet) -> Drawing:
    """A block for each column: its mean with a band of one deviation, and members per level."""
    points = sheet.points()
    names = points.levels("by0")
    charts = [
        chart
        for name in names[:_COLUMNS]
        for chart in _described(points.where_is("by0", name), sheet.title(name))
    ]
    more = len(names) - _COLUMNS
    dropped = f"{more} more columns are in the table." if more > 0 else ""
    says = "Means: sampling (thick) and noise (thin). Members: the noise alone."
    return Drawing(alt.vconcat(*charts, spacing=18), (says, dropped))


def _described(points: Points, column: Title) -> list[ChartType]:
    charts: list[ChartType] = []
    rows = {row["by1"]: row for row in points.rows if not row["by2"]}
    if {"mean", "standard deviation"} <= rows.keys():
        title = f"mean of {column}, with a band of one standard deviation"
        charts.append(_panel(rows["mean"], title, rows["standard deviation"]))
    counted = points.where_is("by1", "members")
    if counted.rows:
        charts.append(dot_plot(counted, Dots("members", (("by2", column.short),), zero=True)))
    return charts


def _panel(row: Point, title: str, spread: Point | None = None) -> alt.LayerChart:
    """One number with its interval, written above; with a band of `spread` to both sides."""
    base = alt.Chart(table_of([{**row, "said": said(row)}]))
    look = Dots(title)
    layers: list[ChartType] = []
    if spread is not None and spread["known"]:
        width = spread["estimate"]
        ends = {"from": row["estimate"] - width, "to": row["estimate"] + width}
        band = alt.Chart(alt.InlineData(values=[ends])).mark_bar(color="#DCEBF5", height=26)
        layers.append(band.encode(x=look.x("from"), x2="to:Q", y=alt.value(30)))
    layers.append(ranges(base, look.x, y=alt.value(30), tooltip=tips()))
    text = base.transform_filter(alt.datum.known).mark_text(dy=-20, fontSize=11)
    layers.append(text.encode(x=look.x(), y=alt.value(30), text="said:N"))
    return alt.layer(*layers).properties(width=WIDTH, height=50)


def table(sheet: Sheet) -> Drawing:
    """Members in the cells on the left; on the right what share they are of the first column."""
    points = sheet.points()
    parts = parts_of(sheet, 1)
    first = sheet.answer.by[1]
    inner = points.where(lambda row: all(row[part] != ALL for part, _ in parts))
    within = f"share within {first}" if len(parts) > 1 else "share"
    counted, shares = inner.figure("members"), inner.figure(within)
    left = dot_plot(counted, Dots("members", parts, zero=True, width=300), colours=False)
    look = Dots(within.replace("_", " "), parts, zero=True, percent=True, width=300)
    right = dot_plot(shares, look, colours=False)
    chart = alt.vconcat(left, right, spacing=24) if len(parts) > 1 else alt.hconcat(left, right)
    says = "Members: the noise alone. Shares: sampling (thick) and noise (thin). Margins: table."
    return Drawing(chart, (says,))


def treatment_report(sheet: Sheet) -> Drawing:
    """Who took what, and a panel of shares for each treatment under each reported column."""
    points = sheet.points()
    took = points.where(lambda row: row["by0"] == "members" and row["by2"] == ALL)
    most = took.largest(_TREATMENTS)
    named = most.levels("by1")
    treatment = parts_of(sheet, 1)[0]
    counts = dot_plot(most, Dots("members", (treatment,), zero=True))
    charts: list[ChartType] = [counts]
    shares = points.figure("share").where(lambda row: row["by1"] in named)
    charts += [_report(shares.where_is("by2", name), sheet, name) for name in shares.levels("by2")]
    dropped = len(took.rows) - len(named)
    more = (
        f"The {len(named)} most taken of {len(took.rows)}; all are in the table." if dropped else ""
    )
    chart = alt.vconcat(*charts, spacing=26)
    return Drawing(chart, (error_note(shares), "Shares are of the treatment's members.", more))


def _report(points: Points, sheet: Sheet, column: str) -> ChartType:
    """Small multiples: one panel per treatment, one line per level."""
    parts = (("by1", sheet.of(1)), ("by3", str(sheet.title(column))))
    look = Dots("", zero=True, percent=True, width=130)
    y = alt.Y("by3:N", sort=points.levels("by3"), axis=upright_axis(""))
    drawn = ranges(alt.Chart(), look.x, y=y, tooltip=tips(*parts))
    drawn = drawn.properties(width=96, height=alt.Step(14))
    header = alt.Header(title=None, labelFontWeight="bold", labelExpr=PLAIN)
    facet = alt.Facet("by1:N", sort=points.levels("by1"), header=header)
    title = alt.TitleParams(axis_title(str(sheet.title(column))), fontSize=12, anchor="start")
    return drawn.facet(facet, columns=5, data=table_of(points), spacing=10).properties(title=title)


def incidence(sheet: Sheet) -> Drawing:
    """Rates by group, all together and standardised, in one panel."""
    points = sheet.points()
    per = int(sheet.analysis.get("per", 1))
    unit = sheet.title(str(sheet.analysis.get("time", ""))).unit or "unit of time"
    events = sheet.title(str(sheet.analysis.get("events", ""))).words
    rates = points.where(lambda row: row["by0"] in ("rate", "standardised rate"))
    groups = [part for part, _ in parts_of(sheet, 1)]
    rows = tuple({**row, "label": _group(row, groups)} for row in rates.rows)
    title = f"{events} per {per:,} {unit}" if per > 1 else f"{events} per {unit.removesuffix('s')}"
    chart = dot_plot(Points(rows), Dots(title, (("label", _titles(sheet)),), zero=True))
    return Drawing(chart, (error_note(points), "Events and person-time are in the table."))


def _group(row: Point, parts: list[str]) -> str:
    if row["by0"] == "standardised rate":
        return "all, standardised"
    names = list(dict.fromkeys(row[part] for part in parts))
    return ", ".join(names) or ALL


def _titles(sheet: Sheet) -> str:
    return ", ".join(title for _, title in parts_of(sheet, 1))
