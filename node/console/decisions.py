"""Studies and questions: what they are, what policy says, and the steward's decision."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from node.console.visit import Visit, go
from privacy.errors import BadInput, Code, Refused


def studies(visit: Visit) -> Response:
    """Every study offered."""
    return visit.page("studies.html", studies=visit.steward.studies()[::-1])


def study(visit: Visit, digest: str) -> Response:
    """One study version in full."""
    return _study(visit, digest)


def decide(visit: Visit, digest: str) -> Response:
    """Approve, refuse, ask back or withdraw."""
    steward = visit.changing()
    try:
        steward.decide(digest, visit.form.value("decision"), visit.form.value("reason"))
    except BadInput as wrong:
        return _study(visit, digest, 422, form=visit.form.with_wrong("reason", str(wrong)))
    except Refused as refused:
        told = visit.form.with_trouble(str(refused), refused.code.value)
        return _study(visit, digest, 409, form=told)
    return go(f"/console/studies/{digest}")


def tell_members(visit: Visit, digest: str) -> Response:
    """Show a study to the members, or take it back."""
    visit.changing().show_to_members(digest, visit.form.value("shown") == "yes")
    return go(f"/console/studies/{digest}")


def _study(visit: Visit, digest: str, status: int = 200, **more: Any) -> Response:
    steward = visit.steward
    found = [each for each in steward.studies() if each["digest"] == digest]
    if not found:
        raise Refused(Code.UNKNOWN_STUDY)
    shown = any(each["digest"] == digest for each in steward.studies_for_members())
    voices = steward.voices(digest) if shown else None
    return visit.page("study.html", status, study=found[0], shown=shown, voices=voices, **more)


def questions(visit: Visit) -> Response:
    """The questions of the last month, those that wait first."""
    steward = visit.steward
    return visit.page(
        "questions.html",
        waiting=steward.waiting_questions(),
        requests=steward.requests()[::-1],
        titles={each["digest"]: each["title"] for each in steward.studies()},
    )


def decide_question(visit: Visit, mark: str) -> Response:
    """Allow or refuse a question from now on."""
    form = visit.form
    visit.changing().decide_question(mark, form.value("decision"), form.value("reason"))
    return go("/console/questions")
