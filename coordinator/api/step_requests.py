"""Steps of studies that a page asks for: taken or refused where the researcher's key is."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from coordinator.api.entitlement import visible_study
from coordinator.api.schema import Answer, Ask, Sha256
from coordinator.api.services import Researcher, Use
from coordinator.api.study_steps import life_of, release_of
from coordinator.leave_desk import Asked, LeaveState, StepTerms
from privacy.contract.study_life import (
    MAY,
    MOST_RELEASES,
    MOST_WORDS,
    Act,
    Signer,
    StudyStep,
)
from privacy.contract.time import instant_text
from privacy.errors import Code, Refused

router = APIRouter(prefix="/v1/steps", tags=["studies"])


class StepRequest(Ask):
    """What a page asks of the researcher who reads it."""

    study: str = Field(max_length=200)
    act: str = Field(max_length=32, description="propose, close or publish")
    note: str = Field(default="", max_length=MOST_WORDS, description="Results, or an answer.")
    releases: list[Sha256] = Field(default=[], max_length=MOST_RELEASES)


class StepRequestView(Answer):
    """A request, for the program where the key is: it shows all of this and signs nothing else."""

    id: str
    study: str
    study_digest: str
    act: Act
    note: str
    releases: list[str] = Field(description="Answers that become public with the step.")
    until: str
    state: LeaveState


class StepRequestList(BaseModel):
    asked: list[StepRequestView]


@router.post("/asked", operation_id="askForStep", status_code=201)
def ask_for_step(ask: StepRequest, services: Use, caller: Researcher) -> StepRequestView:
    """Ask the caller's own program, where the key is, to take a step whose turn it is."""
    study = visible_study(services.store, caller, ask.study).study
    if ask.act not in MAY[Signer.RESEARCHER]:
        raise Refused(Code.BAD_REQUEST, where="act")
    if caller.public_key is None or caller.keys.isdisjoint(study.keys):
        raise Refused(Code.NOT_AN_INVESTIGATOR)
    terms = StepTerms(study.id, study.digest, Act(ask.act), ask.note, tuple(ask.releases))
    for each in terms.releases:
        release_of(services, study.id, each)
    said = {"note": terms.note, "releases": terms.releases}
    at = instant_text(services.clock())
    life_of(services, study).after(StudyStep.of(study, terms.act, Signer.RESEARCHER, at, **said))
    return _view(services.steps.ask(caller.id, terms))


@router.get("/asked", operation_id="listStepsAsked")
def list_steps_asked(services: Use, caller: Researcher) -> StepRequestList:
    """The steps that your pages asked for and you have not answered."""
    return StepRequestList(asked=[_view(each) for each in services.steps.waiting(caller.id)])


@router.get("/asked/{asked}", operation_id="getStepAsked")
def get_step_asked(asked: str, services: Use, caller: Researcher) -> StepRequestView:
    """One of these requests, answered or not."""
    return _view(services.steps.get(caller.id, asked))


@router.post("/asked/{asked}/refuse", operation_id="refuseStep")
def refuse_step(asked: str, services: Use, caller: Researcher) -> StepRequestView:
    """Refuse a step that your pages asked for."""
    return _view(services.steps.settle(caller.id, asked, LeaveState.REFUSED))


def _view(asked: Asked[StepTerms]) -> StepRequestView:
    terms = asked.terms
    return StepRequestView(
        id=asked.id,
        study=terms.study,
        study_digest=terms.study_digest,
        act=terms.act,
        note=terms.note,
        releases=list(terms.releases),
        until=instant_text(asked.until),
        state=asked.state,
    )
