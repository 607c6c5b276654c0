"""Answers that were released: the library, and one with its table, chart and receipts."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from coordinator.client.errors import Refused as Told
from coordinator.client.kinds import Kind
from coordinator.client.library import MODELS
from coordinator.client.question import Question, TopUp
from coordinator.client.result import Result
from coordinator.pages.drawing import drawn
from coordinator.pages.visit import Visit, go
from coordinator.pages.words import cells_of, saved
from models.result import NUMBERS
from pages.forms import Form
from pages.kit import HEADERS
from pages.languages import N_
from privacy.contract.token import Role
from privacy.errors import BadInput, Code, Refused

_SHOWN, _SEARCHED = 100, 500
_FILES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
    "ipynb": "application/x-ipynb+json",
    "r": "text/plain; charset=utf-8",
}


def every(visit: Visit) -> Response:
    """The library: the newest answers that the reader may see, or those that are looked for."""
    form = visit.asked
    wanted = {name: form.value(name) for name in ("text", "study", "kind")}
    among = _SEARCHED if any(wanted.values()) else _SHOWN
    found = visit.network.releases(**wanted, among=among)
    studies = visit.network.transport.get("/v1/studies")["studies"]
    return visit.page(
        "releases.html",
        releases=found[:_SHOWN],
        shown=_SHOWN,
        searched=any(wanted.values()),
        studies=[("", "all"), *((each["id"], each["title"]) for each in studies)],
        kinds=[("", "all"), *((kind.value, kind.value.replace("_", " ")) for kind in Kind)],
        form=form,
    )


def one(visit: Visit, study: str, release: str) -> Response:
    """One answer."""
    return _page(visit, study, release, visit.asked)


def top_up(visit: Visit, study: str, release: str) -> Response:
    """Ask the same for more, under the reader's delegation."""
    visit.check_form()
    found = visit.study(study)
    result = found.release(release)
    try:
        if visit.delegated(found) is None:
            raise Refused(Code.NOT_DELEGATED)
        if visit.form.value("sure") != "yes":
            wrong = visit.form.with_wrong("sure", N_("Say that you mean it."))
            return _page(visit, study, release, wrong, 422)
        question = _question(result)
        job = question.start(visit.form.value("more"), tops_up=result)
    except BadInput as wrong:
        return _page(visit, study, release, visit.form.with_wrong("more", str(wrong)), 422)
    except Refused as refused:
        title = refused.title if isinstance(refused, Told) else str(refused)
        told = visit.form.with_trouble(title, refused.code.value)
        return _page(visit, study, release, told, 422)
    return go(f"/runs/{job.run_id}")


def _question(result: Result) -> Question:
    if result.question is None:
        raise BadInput("the study does not take this question any more")
    return result.question


def _page(visit: Visit, study: str, release: str, form: Form, status: int = 200) -> Response:
    asking = visit.study(study) if visit.person.role is Role.RESEARCHER else None
    result = asking.release(release) if asking else visit.network.release(study, release)
    raw = visit.request.query_params.get("numbers", "") == "raw"
    frame = result.table if raw else result.display
    columns = [str(name) for name in frame.columns]
    more: TopUp | None = None
    if asking and form.value("more") and not form.wrong("more"):
        form, more = _priced(result, form)
    return visit.page(
        "release.html",
        422 if form.wrong("more") else status,
        form=form,
        study=_summary(visit, study),
        result=result,
        raw=raw,
        columns=columns,
        rows=cells_of(frame),
        numbers=[name in NUMBERS for name in columns],
        drawing=drawn(
            lambda: result.plot(raw=raw), result.asked.sentence, _chart(visit, result, raw=raw)
        ),
        noise=max((row.noise_share for row in result.answer.rows), default=0.0),
        half=max(((row.high - row.low) / 2 for row in result.answer.rows), default=0.0),
        has_model=result.asked.analysis["kind"] in MODELS,
        can_top_up=asking is not None and result.question is not None and result.rounds == 1,
        more=more,
        delegated=visit.delegated(asking) if asking else None,
        here=visit.here,
    )


def _chart(visit: Visit, result: Result, *, raw: bool) -> str:
    """What the chart of a stored answer is made of; those who only read releases have no titles."""
    titled = visit.person.role is not Role.CLINICIAN
    return f"{result.release} {len(result.releases)} {raw} {titled}"


def _summary(visit: Visit, study: str) -> dict[str, Any]:
    """What everybody here may know of a study."""
    said = visit.network.transport.get("/v1/studies")["studies"]
    return next((each for each in said if each["id"] == study), {"id": study, "title": study})


def _priced(result: Result, form: Form) -> tuple[Form, TopUp | None]:
    """What topping up would cost; what was typed with what is wrong about it otherwise."""
    try:
        return form, _question(result).top_up_preview(result, form.value("more"))
    except BadInput as wrong:
        return form.with_wrong("more", str(wrong)), None
    except Refused as refused:
        title = refused.title if isinstance(refused, Told) else str(refused)
        return form.with_trouble(title, refused.code.value), None


def file(visit: Visit, study: str, release: str, kind: str) -> Response:
    """The answer as a file, as `result.save` writes it."""
    if kind not in _FILES:
        raise Refused(Code.NOT_FOUND)
    result = visit.network.release(study, release)
    body = saved(result.save, kind)
    name = f"{study}-{result.release[:12]}.{kind}"
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(body, headers=headers, media_type=_FILES[kind])
