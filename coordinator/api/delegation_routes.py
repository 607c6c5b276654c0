"""Leave to ask in somebody's name: asked for by a page, given or refused where the key is, and
taken back before its time."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from coordinator.api.entitlement import visible_study
from coordinator.api.services import Researcher, Services, Use
from coordinator.leave_desk import Asked, LeaveState, LeaveTerms
from coordinator.page_key import page_key
from coordinator.people import list_revoked
from coordinator.store.facts import Principal, StudyFacts
from privacy.accounting.conversion import parse_budget
from privacy.contract.delegation import KIND, LONGEST, Delegation, ended_delegation
from privacy.contract.signing import Envelope
from privacy.contract.time import instant_text, parse_instant
from privacy.errors import BadInput, Code, Refused

router = APIRouter(prefix="/v1/delegations", tags=["studies"])
_MOST_HOURS = LONGEST.total_seconds() / 3600


def _budget(text: str) -> str:
    parse_budget(text)
    return text


class _Ask(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class LeaveAsk(_Ask):
    """What a page asks of the researcher who reads it."""

    study: str = Field(max_length=200)
    epsilon: Annotated[str, Field(max_length=32), AfterValidator(_budget)] = Field(
        description="What all questions under it may cost together."
    )
    hours: float = Field(gt=0, le=_MOST_HOURS)


class LeaveView(BaseModel):
    """A request, for the program where the key is: it shows all of this and signs nothing else."""

    id: str
    study: str
    study_digest: str
    epsilon: str
    hours: float
    delegate: str = Field(description="The key that would ask: that of the researcher's pages.")
    until: str
    state: LeaveState


class LeaveList(BaseModel):
    asked: list[LeaveView]


class DelegationAsk(_Ask):
    """A delegation for pages, signed by the researcher's own key."""

    delegation: dict[str, Any]
    asked: str = Field(default="", max_length=64, description="The request that it answers.")


class DelegationView(BaseModel):
    """The digest of a delegation that counts from now on."""

    delegation: str


class DelegationEndAsk(_Ask):
    """A delegation, and its end signed by the same key."""

    delegation: dict[str, Any] = Field(description="The signed delegation.")
    end: dict[str, Any] = Field(description="Its end: an envelope of kind delegation-end.")


class DelegationEndView(BaseModel):
    """What nodes are told at their next contact."""

    delegation: str = Field(description="The digest of the delegation that counts no more.")


@router.post("/asked", operation_id="askForLeave", status_code=201)
def ask_for_leave(ask: LeaveAsk, services: Use, caller: Researcher) -> LeaveView:
    """Ask the caller's own program, where the key is, to let pages ask a study."""
    study = visible_study(services.store, caller, ask.study).study
    if not caller.public_key:
        raise Refused(Code.NOT_AN_INVESTIGATOR)
    key = page_key(services.key, caller.id).public.text
    terms = LeaveTerms(study.id, study.digest, ask.epsilon, ask.hours, key)
    return _view(services.leave.ask(caller.id, terms))


@router.get("/asked", operation_id="listLeaveAsked")
def list_leave_asked(services: Use, caller: Researcher) -> LeaveList:
    """What your pages asked for and you have not answered."""
    return LeaveList(asked=[_view(each) for each in services.leave.waiting(caller.id)])


@router.get("/asked/{asked}", operation_id="getLeaveAsked")
def get_leave_asked(asked: str, services: Use, caller: Researcher) -> LeaveView:
    """One request of yours, answered or not."""
    return _view(services.leave.get(caller.id, asked))


@router.post("/asked/{asked}/refuse", operation_id="refuseLeave")
def refuse_leave(asked: str, services: Use, caller: Researcher) -> LeaveView:
    """Refuse a request of your pages."""
    return _view(services.leave.settle(caller.id, asked, LeaveState.REFUSED))


@router.post("", operation_id="giveLeave")
def give_leave(ask: DelegationAsk, services: Use, caller: Researcher) -> DelegationView:
    """Register a delegation for your pages, of a study's newest version, and note that it answers
    a request."""
    envelope = Envelope.from_json(ask.delegation)
    take_delegation(services, caller, envelope)
    if ask.asked:
        services.leave.settle(caller.id, ask.asked, LeaveState.GIVEN)
    return DelegationView(delegation=envelope.digest)


def take_delegation(services: Services, caller: Principal, envelope: Envelope) -> StudyFacts:
    """Register a delegation that `caller` signed for pages; its study.

    Raises VerificationFailed for none, BadInput for one of another person, of another version of
    the study, for another key, or over, and Refused for a study that the caller may not see."""
    said = Delegation.from_json(envelope.open(KIND, envelope.key))
    if envelope.key.text != caller.public_key:
        raise BadInput("signed with another key than yours", where="delegation")
    facts = visible_study(services.store, caller, said.study)
    if said.study_digest != facts.study.digest:
        raise BadInput("of another version of the study", where="delegation")
    if said.delegate != page_key(services.key, caller.id).public.text:
        raise BadInput("for another key than that of your pages", where="delegation")
    if said.lifetime > LONGEST or services.clock() >= parse_instant(said.expires):
        raise BadInput("over, or for longer than a week", where="delegation")
    at = instant_text(services.clock())
    services.store.delegations.add(caller.id, facts.study.digest, envelope, at)
    return facts


def _view(asked: Asked[LeaveTerms]) -> LeaveView:
    terms = asked.terms
    return LeaveView(
        id=asked.id,
        study=terms.study,
        study_digest=terms.study_digest,
        epsilon=terms.epsilon,
        hours=terms.hours,
        delegate=terms.delegate,
        until=instant_text(asked.until),
        state=asked.state,
    )


@router.post("/end", operation_id="endDelegation")
def end_delegation(ask: DelegationEndAsk, services: Use, caller: Researcher) -> DelegationEndView:
    """Take back a delegation of yours: nodes answer nothing under it from their next contact on."""
    given = Envelope.from_json(ask.delegation)
    ended = ended_delegation(given, Envelope.from_json(ask.end))
    if given.key.text != caller.public_key:
        raise Refused(Code.NOT_PERMITTED)
    list_revoked(services.store, services.key, delegations=(ended,))
    return DelegationEndView(delegation=ended)
