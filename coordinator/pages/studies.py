"""Studies: the list, and one with its approvals, budget, columns and answers."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import Response

from coordinator.api.delegation_routes import take_delegation
from coordinator.client.delegating import Delegated, Leave
from coordinator.client.errors import Refused as Told
from coordinator.client.facts import ColumnInfo
from coordinator.client.study import Study
from coordinator.leave_desk import LeaveState
from coordinator.pages.visit import Visit, go, go_on, inside
from coordinator.pages.words import worded
from pages.languages import N_
from privacy.contract.delegation import Delegation
from privacy.contract.study_life import MOST_RELEASES, Act, State
from privacy.contract.token import Role
from privacy.errors import BadInput, Code, Refused, VerificationFailed

_NEWEST = 10
MOST_LISTED = 40  # of a study whose answers may become public
_TOLD = (Code.BAD_REQUEST, Code.CONFLICT, Code.RATE_LIMITED)  # beside the form that was sent


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
        most = MOST_LISTED if said["state"] == State.CLOSED else _NEWEST
        asked = visit.network.transport.get("/v1/releases", study=study.id, limit=most)
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
        acts=_acts(visit, study.id),
        most_releases=MOST_RELEASES,
        delegated=_delegated(visit, study),
        delegate_key=visit.delegate_key.public.text,
        **more,
    )


def _acts(visit: Visit, study: str) -> list[str]:
    """What an investigator may do next; nothing for other readers."""
    if visit.person.role is not Role.RESEARCHER:
        return []
    return list(visit.network.transport.get(f"/v1/studies/{study}/steps")["next"])


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


def ask_for_step(visit: Visit, study: str) -> Response:
    """Ask the reader's own machine for a step in the life of a study."""
    visit.check_form()
    form = visit.form
    if form.value("act") == Act.PUBLISH and not form.value("note"):
        return _page(visit, study, 422, form=form.with_wrong("note", N_("Say what was found.")))
    note = form.value("note").replace("\r\n", "\n")
    ask = {"study": study, "act": form.value("act"), "note": note}
    chosen = list(form.values("release"))
    try:
        asked = visit.network.transport.post("/v1/steps/asked", {**ask, "releases": chosen})
    except Told as refused:
        if refused.code not in _TOLD:
            raise
        if refused.code is Code.BAD_REQUEST:
            form = form.with_wrong("note", N_("Of 20,000 signs and twenty answers at most."))
        else:
            form = form.with_trouble(refused.title, refused.code.value)
        return _page(visit, study, 422, form=form)
    return go(f"/studies/{study}/step/{asked['id']}")


def step(visit: Visit, study: str, asked: str) -> Response:
    """What the reader's machine is asked to sign; once it has, back to the study."""
    said = visit.network.transport.get(f"/v1/steps/asked/{asked}")
    if said["state"] == LeaveState.GIVEN.value:
        return go_on(visit.request, f"/studies/{study}")
    words = visit.network.step_asked(asked)
    found = visit.network.study(study)
    return visit.page("step.html", study=found, step=words, state=said["state"])


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
