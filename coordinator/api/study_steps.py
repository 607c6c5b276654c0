"""The lives of studies: proposing, and the log of signed steps."""

from __future__ import annotations

from fastapi import APIRouter

from coordinator import operate
from coordinator.api.entitlement import visible_study
from coordinator.api.schema import ProposalAsk, StepAsk, StepList, StepView, StudyStateView
from coordinator.api.services import Insider, Researcher, Services, Use
from coordinator.leave_desk import LeaveState
from coordinator.store.facts import Principal, ReleaseFacts
from coordinator.store.steps import LoggedStep, life_after
from models.within import check_study
from privacy.contract.canonical import parse_canonical, rational
from privacy.contract.signing import Envelope
from privacy.contract.study import Study
from privacy.contract.study_life import Act, Life, State, StudyStep
from privacy.contract.time import instant_text
from privacy.contract.token import Role
from privacy.errors import BadInput, Code, Refused, VerificationFailed

MOST_WAITING = 20  # studies of one researcher that nobody has approved yet
_UNTOLD = frozenset({Act.REFUSE, Act.WITHDRAW})

router = APIRouter(tags=["studies"])


@router.post("/v1/studies", operation_id="proposeStudy", status_code=201)
def propose_study(ask: ProposalAsk, services: Use, caller: Researcher) -> StudyStateView:
    """Propose a study, or a new version of one, signed by one of its investigators; without a
    signed proposal it is kept as a draft, which no organisation sees."""
    study = _checked(services, caller, ask)
    proposal = None if ask.proposal is None else _step(ask.proposal, caller)
    at = instant_text(services.clock())
    services.store.studies.add(Envelope.seal("study", study.to_json(), services.key), at)
    if proposal is not None:
        _take(services, study, proposal)
    return _state(services, study)


@router.get("/v1/studies/{study}/steps", operation_id="listSteps")
def list_steps(study: str, services: Use, caller: Insider) -> StepList:
    """Every step in the life of the newest version, with its signature. A researcher is told who
    approved and who asked what, not who refused or why."""
    facts = visible_study(services.store, caller, study)
    logged = services.store.steps.of(facts.study.digest)
    shown = [each for each in logged if _told(each, caller)]
    life = life_after(facts.study, len(services.store.network.roster.nodes), logged)
    return StepList(
        state=life.state.value,
        approving=life.approving,
        next=list(life.researchers_turn),
        steps=[_view(each) for each in shown],
    )


@router.post("/v1/studies/{study}/steps", operation_id="takeStep", status_code=201)
def take_step(study: str, ask: StepAsk, services: Use, caller: Researcher) -> StudyStateView:
    """Take a signed step: propose a draft, answer what an organisation asked, close, publish."""
    facts = visible_study(services.store, caller, study)
    _take(services, facts.study, _step(ask.step, caller))
    if ask.asked:
        services.steps.settle(caller.id, ask.asked, LeaveState.GIVEN)
    return _state(services, facts.study)


def life_of(services: Services, study: Study) -> Life:
    return services.store.steps.life(study, len(services.store.network.roster.nodes))


def release_of(services: Services, study: str, digest: str) -> ReleaseFacts:
    """A release of any version of this study; raises Refused(NOT_FOUND)."""
    found = services.store.releases.get(digest)
    if services.store.studies.version(found.study_digest).study.id != study:
        raise Refused(Code.NOT_FOUND)
    return found


def begin(services: Services, study: Study) -> None:
    """Before a question is planned: a study that is closed has no more of them; the first one
    of an approved study starts it. Raises Refused(CONFLICT)."""
    life = life_of(services, study)
    if life.closed:
        raise Refused(Code.CONFLICT, state=life.state.value)
    if life.state is State.APPROVED:
        key = services.key
        signers = operate.signers(services.store, key.public)
        step = operate.started(study, instant_text(services.clock()))
        services.store.steps.add(step.sealed(key), study, signers)


def _checked(services: Services, caller: Principal, ask: ProposalAsk) -> Study:
    """The study as it may be proposed by this caller."""
    store = services.store
    try:
        study = Study.from_json(ask.study)
        dictionary = store.network.dictionary_version(study.dictionary)
        if check_study(study, dictionary) != study:
            raise BadInput("the cohort is not in its canonical form", where="cohort")
    except BadInput as error:
        raise Refused(Code.BAD_REQUEST, where=error.where or "study") from None
    if caller.public_key not in study.keys:
        raise Refused(Code.NOT_AN_INVESTIGATOR)
    if study.delta != rational(store.network.delta):
        raise Refused(Code.BAD_REQUEST, where="delta")
    _check_version(services, caller, study)
    _check_waiting(services, caller)
    return study


def _check_version(services: Services, caller: Principal, study: Study) -> None:
    """A new id begins at version 1; the next version comes from an investigator of the last."""
    try:
        last = services.store.studies.get(study.id).study
    except Refused:
        if study.version != 1:
            raise Refused(Code.CONFLICT, version=1) from None
        return
    if caller.keys.isdisjoint(last.keys):
        raise Refused(Code.NOT_AN_INVESTIGATOR)
    if study.version != last.version + 1 and study != last:
        raise Refused(Code.CONFLICT, version=last.version + 1)


def _check_waiting(services: Services, caller: Principal) -> None:
    mine = [
        f.study for f in services.store.studies.newest() if not caller.keys.isdisjoint(f.study.keys)
    ]
    waiting = [study for study in mine if not life_of(services, study).approving]
    if len(waiting) >= MOST_WAITING:
        raise Refused(Code.RATE_LIMITED, waiting=len(waiting))


def _step(value: object, caller: Principal) -> Envelope:
    envelope = Envelope.from_json(value)
    if envelope.key.text != caller.public_key:
        raise Refused(Code.NOT_AN_INVESTIGATOR)
    return envelope


def _take(services: Services, study: Study, envelope: Envelope) -> None:
    for each in StudyStep.from_json(parse_canonical(envelope.body)).releases:
        release_of(services, study.id, each)
    signers = operate.signers(services.store, services.key.public)
    try:
        services.store.steps.add(envelope, study, signers)
    except VerificationFailed:
        raise Refused(Code.BAD_SIGNATURE, what="step") from None


def _state(services: Services, study: Study) -> StudyStateView:
    life = life_of(services, study)
    return StudyStateView(
        study=study.id,
        version=study.version,
        digest=study.digest,
        state=life.state.value,
        approving=life.approving,
    )


def _told(each: LoggedStep, caller: Principal) -> bool:
    return caller.role is not Role.RESEARCHER or each.step.act not in _UNTOLD


def _view(each: LoggedStep) -> StepView:
    step = each.step
    return StepView(
        place=each.place,
        act=step.act.value,
        signer=step.signer.value,
        by=step.by,
        at=step.at,
        note=step.note,
        envelope=each.envelope.to_json(),
    )
