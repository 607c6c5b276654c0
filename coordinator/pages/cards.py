"""Cards: a published answer small enough for another site, framed or as a file of its own."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from fastapi import Response
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from coordinator.client.insight import Insight
from coordinator.client.result import Result
from coordinator.pages.drawing import Drawing, drawn
from coordinator.pages.words import cells_of
from models.result import for_reading
from pages.kit import HEADERS, Kit, static_text
from privacy.errors import BadInput

KIT = Kit("coordinator.pages", "coordinator")
SHOWN = ("estimate", "low", "high", "note")  # of every line, after its cell
# A card is the one page that others may frame. It has no form, no script and no session.
FRAMED = {
    **{name: value for name, value in HEADERS.items() if not name.startswith("Cross-Origin")},
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors *"
    ),
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True)
class Shown:
    """A published answer as a page shows it; the first `labels` columns name a line."""

    sentence: str
    unit: str
    summary: str
    columns: list[str]
    labels: int
    rows: list[list[Any]]
    drawing: Drawing | None


def shown(result: Result) -> Shown:
    """The answer with its chart, rounded to what its noise supports."""
    frame = result.display
    kept = [name for name in frame.columns if name in (*result.answer.by, *SHOWN)]
    return Shown(
        sentence=result.asked.sentence,
        unit=result.answer.unit,
        summary=replace(result, answer=for_reading(result.answer)).summary(),
        columns=[str(name) for name in kept],
        labels=len(result.answer.by),
        rows=cells_of(frame[kept]),
        drawing=_drawing(result),
    )


def _drawing(result: Result) -> Drawing | None:
    return drawn(lambda: result.plot(raw=False), result.asked.sentence)


def chart_file(result: Result) -> str:
    """The chart as an SVG file; raises BadInput for an answer that has none."""
    made = _drawing(result)
    if made is None:
        raise BadInput("this answer has no chart", where="result")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{made.svg}\n'


def card(insight: Insight, number: int, language: str, *, whole: bool) -> str:
    """A card in this language. `whole`: its style is within it, and its policy as well."""
    style = static_text("cairn.css") if whole else ""
    return KIT.said(
        language,
        "card.html",
        insight=insight,
        shown=shown(insight.result(number)) if insight.results else None,
        style=Markup(style),  # noqa: S704 - a file of this program
        policy=f"default-src 'none'; style-src 'sha256-{_hash(style)}'; base-uri 'none'",
    )


def framed(text: str) -> Response:
    """A card for a frame on another site."""
    return HTMLResponse(text, headers=dict(FRAMED))


def _hash(text: str) -> str:
    return b64encode(sha256(text.encode("utf-8")).digest()).decode("ascii")
