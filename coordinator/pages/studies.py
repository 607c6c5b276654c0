"""Studies: the list, and one with its approvals, budget, columns and answers."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import Response

from coordinator.api.delegation_routes import take_delegation
from coordinator.client.delegating import Delegated, Leave
from coordinator.client.facts import ColumnInfo
from coordinator.client.study import Study
from coordinator.leave_desk import LeaveState
from coordinator.pages.visit import Visit, go, go_on, inside
from coordinator.pages.words import worded
from pages.languages import N_
from privacy.contract.delegation import Delegation
from privacy.contract.token import Role
from privacy.errors import BadInput, Code, Refused, VerificationFailed

_NEWEST = 10


def home(visit: Visit) -> Response:
    """Where a reader begins."""
    if visit.admitted is None:
        return go("/insights")
    return go("/releases" if visit.person.role is Role.CLINICIAN else "/studies")


def every(visit: Visit) -> Response:
    """The studies that the reader may see."""
    said = visit.network.transport.get("/v1/studies")["studies"]
    return visit.page("studies.html", studies=said)


def one(visit: Visit, study: str) -> Response:
    """One study."""
    return _page(visit, study)


def _page(visit: Visit, name: str, status: int = 200, **more: Any) -> Response:
    study = visit.network.study(name)
    said = visit.network.transport.get(f"/v1/studies/{study.id}")
    releases: list[Any] = []
    if visit.person.role in (Role.RESEARCHER, Role.AUDITOR):
        asked = visit.network.transport.get("/v1/releases", study=study.id, limit=_NEWEST)
        releases = asked["releases"]
    return visit.page(
        "study.html",
        status,
        study=said,
        about=study.about(),
        steps=study.steps,
        tables=_tables(study.columns),
        releases=[worded(each) for each in releases],
        researcher=visit.person.role is Role.RESEARCHER,
        delegated=_delegated(visit, study),
        delegate_key=visit.delegate_key.public.text,
        **more,
    )


def ask_for_leave(visit: Visit, study: str) -> Response:
    """Ask the reader's own machine to let pages ask."""
    visit.check_form()
    form = visit.form
    ask = {"study": study, "epsilon": form.value("epsilon"), "hours": form.value("hours")}
    try:
        asked = visit.network.transport.post("/v1/delegations/asked", ask)
    except Refused as refused:
        if refused.code is not Code.BAD_REQUEST:
            raise
        return _page(visit, study, 422, form=form.with_wrong("epsilon", N_("Write a number: 0.5")))
    to = f"?to={quote(inside(form.value('to')))}" if form.value("to") else ""
    return go(f"/studies/{study}/leave/{asked['id']}{to}")


def leave(visit: Visit, study: str, asked: str) -> Response:
    """What the reader's machine is asked; once it gave leave, on to what is to be asked."""
    said = visit.network.transport.get(f"/v1/delegations/asked/{asked}")
    to = inside(visit.asked.value("to"), f"/studies/{study}/ask")
    if said["state"] == LeaveState.GIVEN.value:
        return go_on(visit.request, to)
    found = visit.network.study(study)
    words = Leave.of(said, found.facts, visit.services.clock())
    return visit.page("leave.html", study=found, leave=words, state=said["state"], to=to)


def paste_delegation(visit: Visit, study: str) -> Response:
    """Register the delegation that `cairn delegate` printed."""
    visit.check_form()
    if visit.person.role is not Role.RESEARCHER:
        raise Refused(Code.NOT_PERMITTED)
    try:
        envelope = Delegated.parse(visit.form.value("delegation")).envelope
        facts = take_delegation(visit.services, visit.person, envelope)
    except (BadInput, VerificationFailed, ValueError, KeyError, TypeError) as wrong:
        words = (
            str(wrong) if isinstance(wrong, BadInput) else N_("This is not a delegation for here.")
        )
        form = visit.form.with_wrong("delegation", words)
        return _page(visit, study, 422, form=form)
    return go(f"/studies/{facts.study.id}/ask")


def _delegated(visit: Visit, study: Study) -> Delegation | None:
    if visit.person.role is not Role.RESEARCHER:
        return None
    found = visit.delegated(study)
    return None if found is None else found.terms


def _tables(columns: list[ColumnInfo]) -> dict[str, list[ColumnInfo]]:
    found: dict[str, list[ColumnInfo]] = {}
    for column in columns:
        found.setdefault(column.table, []).append(column)
    return found
