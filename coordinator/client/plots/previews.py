"""The expected interval of one cell, split into sampling and noise, before anything is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from coordinator.client.plots.dots import short
from coordinator.client.plots.marks import (
    BLUE,
    GREY,
    INK,
    WIDTH,
    axis_title,
    finished,
    upright_axis,
)

if TYPE_CHECKING:
    from altair.typing import ChartType

    from models.planner import Preview

_ORANGE = "#E69F00"


def chart_of_preview(planned: Preview) -> ChartType:
    """Three ranges around the estimate: all of the error, then what sampling and noise make."""
    price = f"epsilon {planned.epsilon_charged:.3g} at delta {planned.delta:.2g}."
    assuming = f"Assuming {planned.assumption}." if planned.assumption else ""
    if planned.half_width is None or planned.half_noise is None or planned.half_sampling is None:
        note = planned.notes[0] if planned.notes else "the error is not known"
        drawn: ChartType = _words(note)
        return finished(drawn, planned.sentence, (assuming, price), mock=False)
    halves = {
        "95 % interval": (planned.half_width, INK),
        "from sampling": (planned.half_sampling, BLUE),
        "from the privacy noise": (planned.half_noise, _ORANGE),
    }
    share = (planned.half_noise / planned.half_width) ** 2 if planned.half_width else 0.0
    noise = f"Noise is {share:.0%} of the variance." if planned.half_sampling else ""
    drawn = _ranges(halves, planned.unit, planned.cells)
    return finished(drawn, planned.sentence, (noise, assuming, price), mock=False)


def _ranges(halves: dict[str, tuple[float, str]], unit: str, cells: int) -> ChartType:
    rows = [
        {"part": part, "low": -half, "high": half, "colour": colour, "said": f"± {short(half)}"}
        for part, (half, colour) in halves.items()
        if half > 0
    ]
    base = alt.Chart(alt.InlineData(values=rows))
    every = "each cell's estimate" if cells > 1 else "the estimate"
    title = f"distance from {every}{f' ({unit})' if unit else ''}"
    x = alt.X("low:Q", axis=alt.Axis(title=axis_title(title), tickCount=7))
    y = alt.Y("part:N", sort=[row["part"] for row in rows], axis=upright_axis(""))
    colour = alt.Color("colour:N", scale=None)
    bars = base.mark_bar(height=9).encode(x=x, x2="high:Q", y=y, color=colour)
    text = base.mark_text(align="left", dx=6, fontSize=11, color=INK).encode(
        x="high:Q", y=y, text="said:N"
    )
    rule = alt.Chart(alt.InlineData(values=[{"at": 0.0}])).mark_rule(color=GREY).encode(x="at:Q")
    return alt.layer(rule, bars, text).properties(width=WIDTH, height=alt.Step(28))


def _words(text: str) -> alt.Chart:
    base = alt.Chart(alt.InlineData(values=[{"said": text}]))
    return (
        base.mark_text(align="left", color=GREY)
        .encode(text="said:N", x=alt.value(0))
        .properties(width=WIDTH, height=30)
    )
