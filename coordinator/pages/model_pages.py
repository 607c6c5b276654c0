"""Models that were released: fits and trained networks, with card, figures and files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import Response

from coordinator.client.library import ReleaseInfo
from coordinator.client.model import judging, model_of
from coordinator.client.result import Result
from coordinator.pages.drawing import drawn
from coordinator.pages.visit import Visit
from coordinator.pages.words import cells_of
from models.released.card import Card
from models.result import NUMBERS
from pages.kit import HEADERS
from pages.languages import N_
from pages.newest import Newest
from privacy.errors import BadInput, Code, Refused

_JUDGED = 20  # evaluations that are looked through for those of a model
_WORDS = {
    "coefficient": N_("Coefficients"),
    "ratio": N_("Ratios"),
    "prediction": N_("Coefficients to predict with"),
    "fact": N_("Facts"),
}
_FILES = {"safetensors": "application/octet-stream", "json": "application/json"}


def every(visit: Visit) -> Response:
    """The newest models that the reader may see."""
    found = [each for each in visit.network.releases(visit.asked.value("text")) if each.is_model]
    return visit.page("models.html", models=found, form=visit.asked)


def one(visit: Visit, study: str, release: str) -> Response:
    """One model: coefficients or figures, its chart, how it was judged, and its card."""
    result = visit.network.release(study, release)
    made = _made(visit, result)
    return visit.page(
        "model.html",
        study=study,
        result=result,
        card=made.card,
        why=made.why,
        tables=made.tables,
        judged=_judged(made.card),
        drawing=drawn(result.plot, result.asked.sentence, f"{result.release} model"),
    )


def file(visit: Visit, study: str, release: str, kind: str) -> Response:
    """One of the two files that `result.save("x.safetensors")` writes, or the card to read."""
    result = visit.network.release(study, release)
    name = f"{study}-{result.release[:12]}.{kind}"
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    if kind == "md":
        return Response(result.card(judged=_judging(visit, result)), 200, headers, "text/markdown")
    if kind not in _FILES:
        raise Refused(Code.NOT_FOUND)
    with TemporaryDirectory() as folder:
        where = Path(folder) / "model.safetensors"
        result.save(where, judged=_judging(visit, result))
        body = where.with_suffix(f".{kind}").read_bytes()
    return Response(body, 200, headers, _FILES[kind])


@dataclass(frozen=True)
class _Made:
    """What is made of a release and of those that could judge it: the card, or why there is no
    model to save, and the tables."""

    card: Card | None
    why: str
    tables: list[dict[str, Any]]


_KNOWN = Newest[tuple[str, ...], _Made](64)  # by the digests of all that it is made of


def _made(visit: Visit, result: Result) -> _Made:
    tried = _tried(visit, result)
    key = (result.release, *(each.digest for each in tried))
    found = _KNOWN.get(key)
    if found is None:
        found = _Made(*_card(visit, result), _tables(result))
        _KNOWN.put(key, found)
    return found


def _card(visit: Visit, result: Result) -> tuple[Card | None, str]:
    try:
        return model_of(result, judged=_judging(visit, result))[1], ""
    except BadInput as wrong:
        return None, str(wrong)


def _judging(visit: Visit, result: Result) -> list[Result]:
    """Evaluations of this very model that the reader may see."""
    return judging(result, [_read(visit, each) for each in _tried(visit, result)])


def _tried(visit: Visit, result: Result) -> list[ReleaseInfo]:
    """Evaluations of the study that the reader may see."""
    asked = visit.network.releases(study=result.asked.study)
    return [each for each in asked if each.kind == "evaluate"][:_JUDGED]


def _read(visit: Visit, each: ReleaseInfo) -> Result:
    return visit.network.release(each.study, each.digest)


def _tables(result: Result) -> list[dict[str, Any]]:
    """The figures, a table for each kind of them, under the name that they have in common."""
    frame = result.table
    if "figure" not in frame.columns:
        return [_table(result.asked.analysis["kind"], frame)]
    parts = frame.groupby("figure", sort=False)
    return [
        _table(_WORDS.get(str(name), str(name)), part.drop(columns="figure"))
        for name, part in parts
    ]


def _table(name: str, frame: Any) -> dict[str, Any]:
    columns = [str(column) for column in frame.columns]
    errors = NUMBERS[1:] if not frame["se"].any() else ()  # of numbers that only predict
    kept = [name for name in columns if (frame[name] != "").any() and name not in errors]
    return {
        "name": name,
        "columns": [(each, each in NUMBERS) for each in kept],
        "rows": cells_of(frame[kept]),
    }


def _judged(card: Card | None) -> list[dict[str, Any]]:
    if card is None:
        return []
    return [{"of": each, "rows": each.figures.rows} for each in card.judged]
