"""Answers that were released: the library, and one with its table, chart and receipts."""

from __future__ import annotations

from fastapi import Response

from coordinator.pages.drawing import drawn
from coordinator.pages.visit import Visit
from coordinator.pages.words import cells_of, saved, worded
from models.result import NUMBERS
from pages.kit import HEADERS
from privacy.errors import Code, Refused

_SHOWN = 100
_FILES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}


def every(visit: Visit) -> Response:
    """The newest releases of the studies that the reader may see."""
    said = visit.network.transport.get("/v1/releases", limit=_SHOWN)["releases"]
    return visit.page("releases.html", releases=[worded(each) for each in said])


def one(visit: Visit, study: str, release: str) -> Response:
    """One answer."""
    result = visit.network.study(study).release(release)
    raw = visit.request.query_params.get("numbers", "") == "raw"
    frame = result.table if raw else result.display
    columns = [str(name) for name in frame.columns]
    return visit.page(
        "release.html",
        study=study,
        result=result,
        raw=raw,
        columns=columns,
        rows=cells_of(frame),
        numbers=[name in NUMBERS for name in columns],
        drawing=drawn(lambda: result.plot(raw=raw), result.asked.sentence),
        noise=max((row.noise_share for row in result.answer.rows), default=0.0),
    )


def file(visit: Visit, study: str, release: str, kind: str) -> Response:
    """The answer as a file, as `result.save` writes it."""
    if kind not in _FILES:
        raise Refused(Code.NOT_FOUND)
    result = visit.network.study(study).release(release)
    body = saved(result.save, kind)
    name = f"{study}-{result.release[:12]}.{kind}"
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(body, headers=headers, media_type=_FILES[kind])
