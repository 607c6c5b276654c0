"""What all charts share: colours, sizes, the two nested ranges, titles."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import altair as alt

from coordinator.client.plots.points import Point, Points

if TYPE_CHECKING:
    from altair.typing import ChartType

# Okabe and Ito's colours, told apart by most people, in an order of good contrast on white
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
BLUE, RED, GREY, INK = PALETTE[0], PALETTE[1], "#767676", "#222222"
WIDTH = 420
STEP = 20
FACETS = 12  # panels of one chart, at most
RANGES = "Thick: 95 % interval of sampling alone. Thin: with the privacy noise."
NOISE_ONLY = "Lines: 95 % intervals of the privacy noise, the only error."

PLAIN = "replace(datum.label, /_/g, ' ')"  # levels as words: spaces for underscores

Colour: TypeAlias = "str | alt.Color | dict[str, Any]"


def table_of(points: Points | Sequence[Point]) -> alt.InlineData:
    """The rows inside the chart itself: it needs no file and no address."""
    rows = points.rows if isinstance(points, Points) else points
    return alt.InlineData(values=list(rows))


def lines(text: str, width: int = 90) -> list[str]:
    """Text broken into lines for a title."""
    return textwrap.wrap(text, width) or [""]


def axis_title(text: str, width: int = 60) -> list[str]:
    return lines(text, width)


def upright_axis(title: str) -> alt.Axis:
    """Of names, their title lying above them where it can be read."""
    place = {"titleAngle": 0, "titleAlign": "right", "titleX": -6, "titleY": -9}
    said = {"title": title, **place} if title else {"title": None}
    return alt.Axis(
        grid=False, ticks=False, domain=False, labelExpr=PLAIN, titleBaseline="bottom", **said
    )


def tips(*parts: tuple[str, str]) -> list[alt.Tooltip]:
    """What is told of a point under the pointer: its cell by titles, then its numbers."""
    numbers = [
        alt.Tooltip(f"{name}:Q", title=title, format=form)
        for name, title, form in (
            ("estimate", "estimate", ",.4~g"),
            ("low", "95 % from", ",.4~g"),
            ("high", "95 % to", ",.4~g"),
            ("se_sampling", "standard error, sampling", ",.3~g"),
            ("se_noise", "standard error, noise", ",.3~g"),
            ("noise_share", "noise of the variance", ".0%"),
        )
    ]
    cells = [alt.Tooltip(f"{name}:N", title=title) for name, title in parts]
    return [*cells, *numbers, alt.Tooltip("note:N")]


def ranges(
    base: alt.Chart,
    x: Callable[[str], alt.X],
    *,
    colour: Colour = BLUE,
    shape: alt.Shape | None = None,
    **place: Any,
) -> alt.LayerChart:
    """Horizontal nested ranges with the estimate on them.

    `x` makes the axis for a number of the rows; `place` holds the other encodings.
    """
    mark: dict[str, Any] = {"color": colour} if isinstance(colour, str) else {}
    channels = place if isinstance(colour, str) else {**place, "color": colour}
    shaped = {} if shape is None else {"shape": shape}
    total = base.mark_rule(strokeWidth=1.5, **mark).encode(x=x("low"), x2="high:Q", **channels)
    sampling = base.mark_rule(strokeWidth=5, opacity=0.45, **mark).encode(
        x=x("low_sampling"), x2="high_sampling:Q", **channels
    )
    point = base.mark_point(size=42, filled=True, opacity=1, **mark).encode(
        x=x("estimate"), **channels, **shaped
    )
    hidden = base.mark_text(text="no information", align="left", fontSize=11, color=GREY).encode(
        x=alt.value(4), **place
    )
    known = alt.datum.known
    return alt.layer(
        total.transform_filter(known),
        sampling.transform_filter(known & (alt.datum.se_sampling > 0)),
        point.transform_filter(known),
        hidden.transform_filter(~known),
    )


def line_at(value: float) -> alt.Chart:
    """A thin upright line at a value of reference."""
    return (
        alt.Chart(alt.InlineData(values=[{"at": value}]))
        .mark_rule(color=GREY, strokeDash=[4, 3])
        .encode(x="at:Q")
    )


def by_colour(part: str, levels: Sequence[str], title: str) -> alt.Color:
    scale = alt.Scale(domain=list(levels), range=list(PALETTE[: len(levels)]))
    legend = alt.Legend(
        title=axis_title(title, 24), symbolSize=70, symbolOpacity=1, labelExpr=PLAIN
    )
    return alt.Color(f"{part}:N", scale=scale, legend=legend)


def by_shape(part: str, levels: Sequence[str], title: str) -> alt.Shape:
    scale = alt.Scale(domain=list(levels), range=list(SHAPES[: len(levels)]))
    legend = alt.Legend(title=axis_title(title, 24), labelExpr=PLAIN)
    return alt.Shape(f"{part}:N", scale=scale, legend=legend)


def finished(chart: ChartType, title: str, subtitle: Sequence[str], mock: bool) -> ChartType:
    """With its title and the looks that all charts share."""
    heading = [f"MADE-UP MEMBERS: {title}" if mock else title]
    words = alt.TitleParams(
        [line for text in heading for line in lines(text, 75)],
        subtitle=[line for text in subtitle if text for line in lines(text, 95)],
        anchor="start",
        fontSize=13,
        fontWeight=600,
        subtitleFontSize=11,
        subtitleColor="#555555",
        offset=12,
        color=INK,
    )
    dressed = chart.properties(title=words, background="white", padding=10)
    return (
        dressed.configure_axis(
            labelFontSize=11,
            titleFontSize=11,
            titleFontWeight="normal",
            labelColor=INK,
            titleColor=INK,
            gridColor="#EBEBEB",
            domainColor="#888888",
            tickColor="#888888",
            labelLimit=240,
        )
        .configure_view(stroke=None)
        .configure_header(labelFontSize=11, titleFontSize=11, labelColor=INK, titleColor=INK)
        .configure_legend(labelFontSize=11, titleFontSize=11, titleFontWeight="normal")
    )
