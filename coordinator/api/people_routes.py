"""Managing people: who there is, shutting out, replacing what was lost, and what was done."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from coordinator.api.login_schema import (
    PeopleEventList,
    PeopleEventView,
    PeopleList,
    PersonEntry,
    ResetAsk,
    ResetView,
)
from coordinator.api.services import Admin, AuditorOrAdmin, Use
from coordinator.people import revoke
from privacy.contract.time import instant_text

router = APIRouter(prefix="/v1/people", tags=["people"])


@router.get("", operation_id="listPeople")
def list_people(services: Use, _caller: Admin) -> PeopleList:
    """Everybody who was ever let in."""
    logins = services.store.accounts.logins()
    return PeopleList(
        people=[
            PersonEntry(**vars(person), login=logins.get(person.id))
            for person in services.store.people.all()
        ]
    )


@router.get("/events", operation_id="listPeopleEvents")
def list_events(
    services: Use,
    _caller: AuditorOrAdmin,
    after: Annotated[int, Query(ge=0, description="Events with a higher number.")] = 0,
) -> PeopleEventList:
    """Who invited, entered, was revoked or reset, and by whom: at most 1000, oldest first."""
    found = services.store.people_events.all(after)
    return PeopleEventList(events=[PeopleEventView.of(event) for event in found])


@router.post("/{person}/revoke", operation_id="revokePerson")
def revoke_person(person: str, services: Use, caller: Admin) -> PersonEntry:
    """Shut a person out for good, at once; nodes refuse what their key signs from then on."""
    at = instant_text(services.clock())
    revoke(services.store, services.key, person, at, by=caller.id)
    return PersonEntry(**vars(services.store.people.get(person)))


@router.post("/{person}/reset", operation_id="resetPerson", status_code=201)
def reset_person(person: str, ask: ResetAsk, services: Use, caller: Admin) -> ResetView:
    """A code with which the person replaces a lost password or second factor. First make sure,
    by another way than the one that was lost, that it is they who ask."""
    code, expires = services.login.allow_reset(person, ask.kind, caller.id)
    return ResetView(code=code, expires=expires)
