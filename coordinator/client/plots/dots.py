"""Interval dot plots: one line per row, with groups by colour, in panels or in the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import altair as alt

from coordinator.client.plots.marks import (
    BLUE,
    FACETS,
    GREY,
    NOISE_ONLY,
    PLAIN,
    RANGES,
    STEP,
    WIDTH,
    Colour,
    axis_title,
    by_colour,
    by_shape,
    line_at,
    ranges,
    table_of,
    tips,
    upright_axis,
)
from coordinator.client.plots.points import MOST, Point, Points, joined
from coordinator.client.plots.sheet import Drawing, Sheet
from coordinator.client.titles import Title
from models.digits import digits

if TYPE_CHECKING:
    from altair.typing import ChartType

COLOURS = 5  # groups that colour and shape can tell apart
_OFFSET = 12
_PANEL = 30  # lines of one panel, at most
_LOG = alt.Scale(type="log", nice=False, padding=8)


@dataclass(frozen=True)
class Dots:
    """How a dot plot looks: its axis, a line of reference, and the parts of the cells.

    The last of `parts` is told along the upright axis; what is before it makes groups.
    """

    x_title: str
    parts: tuple[tuple[str, str], ...] = ()
    zero: bool = False
    log: bool = False
    percent: bool = False
    at: float | None = None
    width: int = WIDTH
    colour: Colour = BLUE

    def x(self, number: str = "estimate") -> alt.X:
        """The axis, for one of the numbers of a row."""
        scale = _LOG if self.log else alt.Scale(zero=self.zero)
        form = {"format": ".0%"} if self.percent else {"format": ",~r"} if self.log else {}
        title = axis_title(self.x_title) if self.x_title else None
        axis = alt.Axis(title=title, tickCount=max(2, self.width // 65), **form)
        return alt.X(f"{number}:Q", scale=scale, axis=axis)


def fit(points: Points, look: Dots) -> Points:
    """The rows that a chart has room for, with their groups as `panel`."""
    groups = [part for part, _ in look.parts[:-1]]
    rows = tuple({**row, "panel": joined(row, groups)} for row in points.rows)
    named = Points(rows, points.dropped)
    if not groups:
        return named.largest()
    lines = len(named.levels(look.parts[-1][0]))
    roomy = len(named.levels("panel")) <= FACETS and lines <= _PANEL
    return named if roomy else named.largest()


def dot_plot(points: Points, look: Dots, *, colours: bool = True) -> ChartType:
    """Lines in the order of the rows. Groups are coloured where few, else they are panels."""
    shown = fit(points, look)
    if not look.parts:
        return _flat(shown, look, "label", "")
    (level, title), groups = look.parts[-1], look.parts[:-1]
    names = shown.levels("panel")
    group_title = ", ".join(each for _, each in groups)
    if not groups:
        return _flat(shown, look, level, title)
    if colours and 1 < len(names) <= COLOURS and len(shown.rows) <= MOST:
        return _coloured(shown, look, names, group_title)
    if len(names) <= FACETS and len(shown.levels(level)) <= _PANEL:
        return _panels(shown, look, names, group_title)
    return _flat(shown, look, "label", ", ".join(each for _, each in look.parts))


def _y(points: Points, part: str, title: str) -> alt.Y:
    axis = upright_axis(title)
    scale = alt.Scale(paddingInner=0.25)
    return alt.Y(f"{part}:N", sort=points.levels(part), axis=axis, scale=scale)


def _with_line(chart: alt.LayerChart, at: float | None) -> alt.LayerChart:
    return chart if at is None else alt.layer(line_at(at), chart)


def _flat(points: Points, look: Dots, part: str, title: str) -> alt.LayerChart:
    base = alt.Chart(table_of(points))
    y = _y(points, part, title)
    drawn = ranges(base, look.x, colour=look.colour, y=y, tooltip=tips(*look.parts))
    return _with_line(drawn, look.at).properties(width=look.width, height=alt.Step(STEP))


def _coloured(points: Points, look: Dots, names: Sequence[str], title: str) -> alt.LayerChart:
    level, level_title = look.parts[-1]
    base = alt.Chart(table_of(points))
    drawn = ranges(
        base,
        look.x,
        colour=by_colour("panel", names, title),
        shape=by_shape("panel", names, title),
        y=_y(points, level, level_title),
        yOffset=alt.YOffset("panel:N", sort=list(names)),
        tooltip=tips(*look.parts),
    )
    height = alt.Step(_OFFSET, **{"for": "offset"})
    return _with_line(drawn, look.at).properties(width=look.width, height=height)


def _panels(points: Points, look: Dots, names: Sequence[str], title: str) -> ChartType:
    level, level_title = look.parts[-1]
    columns = min(3, len(names))
    small = replace(look, width=max(look.width // columns, 140))
    y = _y(points, level, "")
    drawn = ranges(alt.Chart(), small.x, y=y, tooltip=tips(*look.parts))
    if look.at is not None:
        rule = alt.Chart().mark_rule(color=GREY, strokeDash=[4, 3]).encode(x=alt.datum(look.at))
        drawn = alt.layer(rule, drawn)
    title = f"{level_title} by {title}"
    header = alt.Header(title=axis_title(title), labelFontWeight="bold", labelExpr=PLAIN)
    facet = alt.Facet("panel:N", sort=list(names), header=header)
    sized = drawn.properties(width=small.width, height=alt.Step(STEP - 2))
    return sized.facet(facet, columns=columns, data=table_of(points), spacing=14)


def parts_of(sheet: Sheet, first: int = 0) -> tuple[tuple[str, str], ...]:
    """Every part of the cells with its column's name and unit, from the part `first` on."""
    by = sheet.answer.by
    return tuple((f"by{at}", sheet.title(by[at]).short) for at in range(first, len(by)))


def error_note(points: Points) -> str:
    return RANGES if any(row["se_sampling"] for row in points.rows) else NOISE_ONLY


def dropped_note(points: Points, look: Dots) -> str:
    """What is in the table alone."""
    kept = len(fit(points, look).rows)
    all_rows = len(points.rows)
    return f"The {kept} largest of {all_rows:,}; all are in the table." if kept < all_rows else ""


# Families


def members(sheet: Sheet) -> Drawing:
    """Counts in cells of the researcher's columns."""
    points = sheet.points()
    if not sheet.answer.by:
        return Drawing(_single(points, Dots("members")), (NOISE_ONLY,))
    look = Dots("members", parts_of(sheet), zero=True)
    return Drawing(dot_plot(points, look), (NOISE_ONLY, dropped_note(points, look)))


def shares(sheet: Sheet) -> Drawing:
    points = sheet.points()
    look = Dots("share of members", parts_of(sheet), zero=True, percent=True)
    return Drawing(dot_plot(points, look), (error_note(points), dropped_note(points, look)))


def single(sheet: Sheet) -> Drawing:
    """One number of one column: a mean or a sum."""
    points = sheet.points()
    column = sheet.title(str(sheet.analysis.get("column", "")))
    look = Dots(f"{sheet.answer.kind} of {Title(column.words, sheet.answer.unit)}")
    return Drawing(_single(points, look), (error_note(points),))


def _single(points: Points, look: Dots) -> alt.LayerChart:
    rows = [{**row, "said": said(row)} for row in points.rows]
    base = alt.Chart(table_of(rows))
    drawn = ranges(base, look.x, y=alt.value(24), tooltip=tips())
    text = base.transform_filter(alt.datum.known).mark_text(dy=-14, fontSize=12)
    text = text.encode(x=look.x(), y=alt.value(24), text="said:N")
    return alt.layer(drawn, text).properties(width=WIDTH, height=46)


def said(row: Point) -> str:
    """An estimate with its interval, in short."""
    ends = ", ".join(short(row[name]) for name in ("low", "high"))
    return f"{short(row['estimate'])} [{ends}]"


def short(value: Any) -> str:
    """Three digits after the leading one at most, thousands with commas."""
    if value is None:
        return "–"
    return digits(value)


def quantiles(sheet: Sheet) -> Drawing:
    """Values of a column below which given shares of the population lie."""
    points = sheet.points()
    column = sheet.title(str(sheet.analysis.get("column", "")))
    look = Dots(str(Title(column.words, sheet.answer.unit)), (("by0", "quantile"),))
    return Drawing(dot_plot(points, look), (error_note(points),))


def compared(sheet: Sheet) -> Drawing:
    """A difference, and the means it is read beside, on one axis with a line at nothing."""
    points = sheet.points()
    unit = sheet.answer.unit
    look = Dots(f"slope ({unit})" if unit else "slope", parts_of(sheet), at=0.0)
    return Drawing(dot_plot(points, look), (error_note(points), dropped_note(points, look)))


def rows_of_anything(sheet: Sheet) -> Drawing:
    """Any other analysis: a panel for each figure, or all rows in one."""
    points = sheet.points()
    by = sheet.answer.by
    unit = sheet.answer.unit or "estimate"
    if by and by[0] == "figure":
        figures = [points.figure(name) for name in points.levels("by0")]
        charts = [_figure(sheet, each) for each in figures]
        return Drawing(alt.vconcat(*charts, spacing=24), (error_note(points),))
    look = Dots(unit, parts_of(sheet))
    chart = dot_plot(points, look)
    return Drawing(chart, (error_note(points), dropped_note(points, look)))


def _figure(sheet: Sheet, points: Points) -> ChartType:
    """One figure of several: its own axis; parts that say nothing are left out."""
    parts = tuple((part, title) for part, title in parts_of(sheet, 1) if any(points.levels(part)))
    unit = f" ({sheet.answer.unit})" if sheet.answer.unit else ""
    look = Dots(f"{points.rows[0]['by0']}{unit}", parts)
    return dot_plot(points, look) if parts else _flat(points, look, "label", "")
