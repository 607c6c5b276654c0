"""From a result to its chart: one family of charts for each kind of analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from coordinator.client.plots import (
    bars,
    curves,
    dots,
    forest,
    grids,
    maps,
    networks,
    panels,
    ratios,
)
from coordinator.client.plots.marks import finished
from coordinator.client.plots.sheet import Drawing, Sheet
from coordinator.client.titles import Titles

if TYPE_CHECKING:
    from altair.typing import ChartType

    from coordinator.client.result import Result

FAMILIES: Mapping[str, Callable[[Sheet], Drawing]] = {
    "associations": ratios.associations,
    "compare": dots.compared,
    "correlation": grids.correlation,
    "count": dots.members,
    "cox": forest.hazards,
    "density": grids.density,
    "describe": panels.describe,
    "disproportionality": ratios.disproportionality,
    "effect": forest.effect,
    "evaluate": networks.network,
    "glm": forest.regression,
    "histogram": bars.histogram,
    "incidence": panels.incidence,
    "map": maps.regions,
    "mean": dots.single,
    "member_summary": dots.rows_of_anything,
    "prevalence": dots.shares,
    "progression": forest.progression,
    "quantiles": dots.quantiles,
    "sum": dots.single,
    "survival": curves.survival,
    "table": panels.table,
    "top": bars.top,
    "train": networks.network,
    "treatment_report": panels.treatment_report,
    "variance": panels.variance,
}


def chart_of(result: Result, titles: Titles, *, raw: bool) -> ChartType:
    """The chart of a result; of a kind that has none of its own, an interval dot plot."""
    draw = FAMILIES.get(result.answer.kind, dots.rows_of_anything)
    drawing = draw(Sheet(result.answer, result.asked.analysis, titles, raw))
    how = "stored answer" if result.repeat else f"epsilon {result.epsilon:.3g}"
    price = f"{how} at delta {float(result.delta):.2g}, study {result.asked.study}."
    subtitle = (*drawing.says, price)
    return finished(drawing.chart, result.asked.sentence, subtitle, result.mock)
