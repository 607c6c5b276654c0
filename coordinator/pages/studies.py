"""Studies: the list, and one with its approvals, budget, columns and answers."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from coordinator.client.delegating import Delegated
from coordinator.client.facts import ColumnInfo
from coordinator.client.study import Study
from coordinator.pages.visit import Visit, go
from coordinator.pages.words import worded
from privacy.contract.delegation import KIND, LONGEST, Delegation
from privacy.contract.signing import Envelope
from privacy.contract.time import instant_text, parse_instant
from privacy.contract.token import Role
from privacy.errors import BadInput, VerificationFailed

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


def take_delegation(visit: Visit, study: str) -> Response:
    """Register the delegation that `cairn delegate` printed."""
    visit.check_form()
    found = visit.network.study(study)
    try:
        envelope = _checked(visit, found)
    except (BadInput, VerificationFailed, ValueError, KeyError, TypeError) as wrong:
        words = str(wrong) if isinstance(wrong, BadInput) else "This is not a delegation for here."
        form = visit.form.with_wrong("delegation", words)
        return _page(visit, study, 422, form=form)
    at = instant_text(visit.services.clock())
    visit.services.store.delegations.add(visit.person.id, found.facts.digest, envelope, at)
    return go(f"/studies/{study}/ask")


def _checked(visit: Visit, study: Study) -> Envelope:
    """Signed by the reader, of this study, for the key that signs here, and not over."""
    envelope = Delegated.parse(visit.form.value("delegation")).envelope
    if envelope.key.text != visit.person.public_key:
        raise BadInput("signed with another key than yours", where="delegation")
    said = Delegation.from_json(envelope.open(KIND, envelope.key))
    if (said.study, said.study_digest) != (study.id, study.facts.digest):
        raise BadInput("of another study, or another version of it", where="delegation")
    if said.delegate != visit.delegate_key.public.text:
        raise BadInput("for another key than the one above", where="delegation")
    if said.lifetime > LONGEST or visit.services.clock() >= parse_instant(said.expires):
        raise BadInput("over, or for longer than a week", where="delegation")
    return envelope


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
