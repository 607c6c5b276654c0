"""Charts of the client, drawn into pages.

The client loads pandas and altair when they are first wanted. Pages are made in many threads, in
which one that is half loaded would be taken for whole: so both are loaded here, before any page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import altair  # noqa: F401
import pandas as pd  # noqa: F401
from markupsafe import Markup

from pages.charts import Charts
from pages.newest import Newest
from privacy.errors import BadInput

if TYPE_CHECKING:
    from altair.typing import ChartType

CHARTS = Charts()


def warm() -> None:
    """Load the engine beside the start, so that no reader waits for it."""
    CHARTS.warm_beside()


@dataclass(frozen=True)
class Drawing:
    """A chart as SVG, and what its subtitle says."""

    svg: Markup
    caption: str


_KNOWN = Newest[str, Drawing](256)


def drawn(chart: Callable[[], ChartType], title: str, key: str = "") -> Drawing | None:
    """The chart, or None where there is nothing to draw. With `key`, which names all that the
    chart is made of, it is made once; whoever asks may see it."""
    found = _KNOWN.get(key) if key else None
    if found is not None:
        return found
    try:
        spec = chart().to_dict(validate=False)  # our own: tests hold it against the schema
    except BadInput:
        return None
    said = spec.get("title", {}).get("subtitle", [])
    caption = said if isinstance(said, str) else " ".join(said)
    made = Drawing(CHARTS.figure(spec, title), caption)
    if key:
        _KNOWN.put(key, made)
    return made
