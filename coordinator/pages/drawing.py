"""Charts of the client, drawn into pages."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import TYPE_CHECKING

from markupsafe import Markup

from pages.charts import Charts
from privacy.errors import BadInput

if TYPE_CHECKING:
    from altair.typing import ChartType

CHARTS = Charts()


def warm() -> None:
    """Load the engine beside the start, so that no reader waits for it."""
    Thread(target=CHARTS.warm, name="charts", daemon=True).start()


def drawn(chart: Callable[[], ChartType], title: str) -> Markup | None:
    """The chart as SVG, or None where there is nothing to draw."""
    try:
        return CHARTS.figure(chart().to_dict(), title)
    except BadInput:
        return None
