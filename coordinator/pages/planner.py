"""The planner: a question as a form and as code, what it would cost and how far off its answer
may be, and one button that asks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import Response

from coordinator.client.attrition import Attrition
from coordinator.client.errors import BadInput as Wrong
from coordinator.client.errors import Refused as Told
from coordinator.client.facts import ColumnInfo
from coordinator.client.kinds import Kind, Written, question_of, settings_of
from coordinator.client.question import Question
from coordinator.client.study import Study
from coordinator.pages.amount_form import HIGHEST, LOWEST, USUAL, epsilon_at, place_of, stepped
from coordinator.pages.code import codes_of
from coordinator.pages.cohort_form import Cohort, in_step
from coordinator.pages.drawing import drawn
from coordinator.pages.visit import Visit, go
from models.lines import lines
from pages.forms import Form
from pages.languages import N_
from privacy.contract.dictionary import ColumnType
from privacy.contract.token import Role
from privacy.errors import BadInput, Code, Refused

# What the form offers, with what it wants as columns, and whether it takes groups.
OFFERED: dict[Kind, tuple[str, str]] = {
    Kind.COUNT: (N_("Members, in groups"), N_("no column")),
    Kind.HISTOGRAM: (N_("Members in each bin of a column"), N_("one column")),
    Kind.MEAN: (N_("Mean of a column"), N_("one numeric column")),
    Kind.VARIANCE: (N_("Mean and standard deviation"), N_("one numeric column")),
    Kind.QUANTILES: (
        N_("Median or other quantiles"),
        N_("one numeric column; setting q=0.25,0.5,0.75"),
    ),
    Kind.SUM: (N_("Total of a column"), N_("one numeric column")),
    Kind.TABLE: (N_("Table of several columns"), N_("no column; two to four groups")),
    Kind.PREVALENCE: (N_("Share with each level"), N_("one column")),
    Kind.DESCRIBE: (N_("First table of many columns"), N_("columns")),
    Kind.CORRELATION: (N_("Correlations"), N_("two to eight numeric columns")),
    Kind.DENSITY: (N_("Grid of two columns"), N_("two columns")),
    Kind.TOP: (N_("Most frequent values"), N_("one column; settings k=10, cap=5")),
    Kind.MAP: (N_("Members by region"), N_("one column of regions")),
    Kind.SURVIVAL: (N_("Survival curves"), N_("time and event")),
    Kind.INCIDENCE: (N_("Incidence rates"), N_("events and time")),
    Kind.MEMBER_SUMMARY: (
        N_("A figure of each member's rows"),
        N_("one column; setting summary=mean"),
    ),
    Kind.COMPARE: (N_("Treated against matched others"), N_("outcome, treatment and index date")),
    Kind.TREATMENT_REPORT: (N_("Treatment report"), N_("treatment, then columns")),
    Kind.DISPROPORTIONALITY: (N_("Disproportionality of reports"), N_("drug and event")),
    Kind.ASSOCIATIONS: (N_("Associations of many pairs"), N_("settings exposures=…, outcomes=…")),
    Kind.GLM: (N_("Regression"), N_("a formula, outcome ~ terms; setting family=binomial")),
    Kind.COX: (N_("Hazard ratios"), N_("time, event and a formula")),
    Kind.PROGRESSION: (
        N_("Progression (slopes)"),
        N_("outcome, time and a formula; settings lower, upper"),
    ),
    Kind.EFFECT: (
        N_("Effect of a treatment"),
        N_("outcome, treatment and a formula of covariates"),
    ),
}
_BY_CODE = {Code.BAD_EXPRESSION: "where", Code.BAD_EPSILON: "amount"}
_BY_PLACE = {
    "cohort": "where",
    "epsilon": "amount",
    "target_error": "amount",
    "members": "members",
    "kind": "kind",
}


_CHANGE = N_("Something in the question has to change.")


@dataclass(frozen=True)
class Planned:
    """What the form says: a question and how much to spend on it, or how exact to be."""

    question: Question
    epsilon: str
    target: str
    members: int | None


def show(visit: Visit, study: str) -> Response:
    """The planner; with a question in the address, what that would cost."""
    return _page(visit, study, stepped(visit.asked))


def run(visit: Visit, study: str) -> Response:
    """Ask the question, under the reader's delegation."""
    visit.check_form()
    found = visit.study(study)
    try:
        if visit.delegated(found) is None:
            raise Refused(Code.NOT_DELEGATED)
        said = planned(visit.study(study), visit.form)
        if visit.form.value("sure") != "yes":
            return _page(
                visit, study, visit.form.with_wrong("sure", N_("Say that you mean it.")), 422
            )
        job = said.question.start(said.epsilon)
    except (Refused, BadInput, Wrong) as wrong:
        return _page(visit, study, _told(visit.form, wrong), 422)
    return go(f"/runs/{job.run_id}")


def planned(study: Study, form: Form) -> Planned:
    """The question of a form; raises BadInput, Refused."""
    kind = _kind(form)
    columns = tuple(_parts(form.value("columns"))) if kind not in _FORMULAS else _lines(form)
    settings = settings_of(_rows(form.value("settings")))
    written = Written(kind, columns, tuple(_parts(form.value("by"))), settings)
    question = question_of(study, written, form.value("where"))
    exact = form.value("aim") == "error"
    amount = form.value("amount", USUAL)
    members = form.value("members")
    if members and not (members.isascii() and members.isdigit()):
        raise BadInput("not a whole number", where="members")
    return Planned(
        question,
        "" if exact else amount,
        amount if exact else "",
        int(members) if members else None,
    )


_FORMULAS = (Kind.GLM, Kind.COX, Kind.PROGRESSION, Kind.EFFECT)


def _kind(form: Form) -> Kind:
    try:
        return Kind(form.value("kind", "count"))
    except ValueError:
        raise BadInput("no such analysis", where="kind") from None


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _lines(form: Form) -> tuple[str, ...]:
    """Of a formula, which may hold commas: one a line, or parted by semicolons."""
    text = form.value("columns").replace(";", "\n")
    return tuple(row.strip() for row in text.splitlines() if row.strip())


def _rows(text: str) -> list[str]:
    return [row.strip() for row in text.replace(";", "\n").splitlines() if row.strip()]


def _page(visit: Visit, name: str, form: Form, status: int = 200) -> Response:
    study = visit.study(name)
    shown: dict[str, Any] = {"preview": None}
    changed = visit.request.headers.get("hx-trigger-name", "")
    cohort = in_step(form, study.dictionary, changed)
    form = cohort.form
    if form.wrong("rows") or form.wrong("where"):
        form, status = form.with_trouble(_CHANGE), 422
    elif form.value("kind"):
        try:
            shown = _shown(study, planned(study, form), cohort.text)
        except (Refused, BadInput, Wrong) as wrong:
            form, status = (form, status) if form.trouble else (_told(form, wrong), 422)
    place = place_of(form.value("amount", USUAL))
    return visit.page(
        "ask.html",
        status,
        study=study,
        form=form,
        kinds=[(kind.value, words) for kind, (words, _) in OFFERED.items()],
        wants={kind.value: wants for kind, (_, wants) in OFFERED.items()},
        cohort=cohort,
        askable=_askable(study),
        usual=USUAL,
        slide=place,
        slides=(LOWEST, HIGHEST),
        slid_epsilon=epsilon_at(place),
        columns=study.columns,
        **_swapped(visit, cohort, changed),
        researcher=visit.person.role is Role.RESEARCHER,
        delegated=visit.delegated(study),
        here=visit.here,
        **shown,
    )


def _askable(study: Study) -> dict[str, list[ColumnInfo]]:
    """Columns that a condition can name, by table."""
    found: dict[str, list[ColumnInfo]] = {}
    for column in study.columns:
        if column.type != ColumnType.TEXT.value:
            found.setdefault(column.table, []).append(column)
    return found


def _swapped(visit: Visit, cohort: Cohort, changed: str) -> dict[str, bool]:
    """Which parts of the form an open page takes besides the preview: those that follow what was
    changed, never the one in which somebody is typing."""
    oob = "hx-request" in visit.request.headers
    return {
        "oob": oob,
        "oob_code": oob and (changed == "where" or cohort.rewritten),
        "oob_rows": oob and cohort.redrawn(changed),
        "oob_much": oob and changed in ("slide", "amount"),
        "code_open": changed == "where",
    }


def _shown(study: Study, said: Planned, written: str) -> dict[str, Any]:
    """What the preview tells, drawn and in numbers."""
    epsilon = said.epsilon or None
    preview = said.question.preview(epsilon, target_error=said.target or None, members=said.members)
    asked = said.question.suited(said.epsilon or str(preview.epsilon))
    return {
        "preview": preview,
        "question": asked,
        "cells": lines(preview.planned, *preview.asked) if preview.asked else (),
        "drawing": drawn(preview.plot, said.question.sentence),
        "attrition": _attrition(study, written),
        "codes": codes_of(said.question, study, preview),
    }


def _attrition(study: Study, cohort: str) -> Attrition | None:
    """What each condition leaves of made-up members."""
    if not cohort:
        return None
    return study.mock().where(cohort).attrition()


def _told(form: Form, wrong: Exception) -> Form:
    """The form as it was typed, with what is wrong; beside its field where that is known."""
    if isinstance(wrong, Refused):
        title = wrong.title if isinstance(wrong, Told) else ""
        return form.with_trouble(title or str(wrong), wrong.code.value)
    code = getattr(wrong, "code", Code.BAD_REQUEST)
    where = getattr(wrong, "where", "") or ""
    field = _BY_CODE.get(code) or _BY_PLACE.get(where, "")
    if not field:
        return form.with_trouble(str(wrong))
    told = form.with_trouble(_CHANGE)
    return told.with_wrong(field, str(wrong))
