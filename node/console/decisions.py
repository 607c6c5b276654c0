"""One study and the last month's questions: what they are, and the steward's decision."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from node.console.signing import FIELD, is_signed, signer, to_sign
from node.console.visit import Visit, go
from node.console.words import in_words
from node.steward import Steward
from pages.charts import Charts
from pages.forms import Form
from pages.languages import N_
from privacy.errors import BadInput, Code, Refused
from privacy.ledger.steward_entry import Signed, decision_word

CHARTS = Charts()


def study(visit: Visit, digest: str) -> Response:
    """One study version in full."""
    return _study(visit, digest)


def decide(visit: Visit, digest: str) -> Response:
    """Approve, refuse, ask back or withdraw; by a steward's key where the policy asks for one."""
    steward, form = visit.changing(), visit.form
    decision, reason = form.value("decision"), form.value("reason")
    field = FIELD if is_signed(visit) else "reason"
    try:
        if not is_signed(visit) and _needs_key(steward, form, digest):
            word = decision_word(digest, decision, reason)
            return _study(visit, digest, sign=to_sign(visit, word))
        signed: Signed | None = None
        if is_signed(visit):
            steward, signed = signer(visit)
        steward.decide(digest, decision, reason, signed)
    except (BadInput, Refused) as error:
        again = (
            to_sign(visit, decision_word(digest, decision, reason)) if is_signed(visit) else None
        )
        told, status = _told(form, field, error)
        return _study(visit, digest, status, sign=again, form=told)
    return go(f"/console/studies/{digest}")


def _needs_key(steward: Steward, form: Form, digest: str) -> bool:
    """Where two have to approve, or the steward would rather sign."""
    if form.value("keyed") == "yes":
        return True
    found = _found(steward, digest)
    approves = form.value("decision") == "approved" and bool(found["says"]["fits"])
    return approves and int(found["signatures"]["needed"]) > 1


def _told(form: Form, field: str, error: BadInput | Refused) -> tuple[Form, int]:
    """The form as it was sent, with what is wrong, and the page's status."""
    if isinstance(error, BadInput):
        return form.with_wrong(field, str(error)), 422
    return form.with_trouble(in_words(error), error.code.value), 409


def tell_members(visit: Visit, digest: str) -> Response:
    """Show a study to the members, or take it back."""
    visit.changing().show_to_members(digest, visit.form.value("shown") == "yes")
    return go(f"/console/studies/{digest}")


def _found(steward: Steward, digest: str) -> dict[str, Any]:
    found = [each for each in steward.studies() if each["digest"] == digest]
    if not found:
        raise Refused(Code.UNKNOWN_STUDY)
    return found[0]


def _study(visit: Visit, digest: str, status: int = 200, **more: Any) -> Response:
    steward = visit.steward
    found = _found(steward, digest)
    shown = any(each["digest"] == digest for each in steward.studies_for_members())
    voices = steward.voices(digest) if shown else None
    shape = visit.kept.shapes.of(digest, steward.shape)
    drawn = [
        CHARTS.figure(each.chart, each.sentence) if each.chart else None for each in shape.examples
    ]
    return visit.page(
        "study.html",
        status,
        study=found,
        shown=shown,
        voices=voices,
        shape=shape,
        examples=list(zip(shape.examples, drawn, strict=True)),
        stewards=[each for each in steward.stewards() if each["key"]],
        **{"sign": None, **more},
    )


def questions(visit: Visit) -> Response:
    """The questions of the last month, those that wait first."""
    return _questions(visit)


def decide_question(visit: Visit, mark: str) -> Response:
    """Allow or refuse a question from now on."""
    steward, form = visit.changing(), visit.form
    try:
        steward.decide_question(mark, form.value("decision"), form.value("reason"))
    except (BadInput, Refused) as error:
        told, status = _told(form, "reason", error)
        return _questions(visit, status, form=told, marked=mark)
    return go("/console/questions")


def decide_questions(visit: Visit) -> Response:
    """The same for every question that waits and was ticked."""
    steward, form = visit.changing(), visit.form
    marks = form.values("mark")
    if not marks:
        return _questions(visit, 422, form=form.with_wrong("reason", N_("Tick a question.")))
    try:
        for mark in marks:
            steward.decide_question(mark, form.value("decision"), form.value("reason"))
    except (BadInput, Refused) as error:
        told, status = _told(form, "reason", error)
        return _questions(visit, status, form=told)
    return go("/console/questions")


def _questions(visit: Visit, status: int = 200, marked: str = "", **more: Any) -> Response:
    steward = visit.steward
    return visit.page(
        "questions.html",
        status,
        waiting=steward.waiting_questions(),
        requests=steward.requests()[::-1],
        titles={each["digest"]: each["title"] for each in steward.studies()},
        marked=marked,
        **more,
    )
