"""The life of one version of a study, as steps that whoever takes them signs.

    draft -> proposed -> approved | refused | asked-back -> running -> closed -> published

Every organisation decides for itself, so the state of a study follows from all their decisions:
approved as soon as enough of them approve, refused once too few are left that could, asked back
while one has asked and not been answered, and proposed again when a withdrawal leaves too few.
An amendment is another version with a life of its own.

Guarantee: no step is taken but by a key that may take it, and none out of order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Any, Self, assert_never

from pydantic import AfterValidator, Field, StringConstraints

from privacy.contract.facts import Fact
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.contract.study import Study
from privacy.contract.time import parse_instant
from privacy.errors import BadInput, Code, Refused, VerificationFailed

KIND = "study-step"
MOST_WORDS = 20_000
MOST_RELEASES = 20  # that are published with a study's results
_Digest = Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{64}\z")]


class State(StrEnum):
    DRAFT = "draft"
    PROPOSED = "proposed"
    APPROVED = "approved"
    REFUSED = "refused"
    ASKED_BACK = "asked-back"
    RUNNING = "running"
    CLOSED = "closed"
    PUBLISHED = "published"


class Act(StrEnum):
    """What a step does."""

    PROPOSE = "propose"  # also again, with the answer to an organisation's question
    APPROVE = "approve"
    REFUSE = "refuse"
    ASK = "ask"
    WITHDRAW = "withdraw"
    REVIEW = "review"  # a patient reviewer's sign-off; it changes no state
    START = "start"
    CLOSE = "close"
    PUBLISH = "publish"  # with the results in plain words


class Signer(StrEnum):
    RESEARCHER = "researcher"
    ORGANISATION = "organisation"
    COORDINATOR = "coordinator"


DECISIONS = frozenset({Act.APPROVE, Act.REFUSE, Act.ASK, Act.WITHDRAW})
MAY: Mapping[Signer, frozenset[Act]] = {
    Signer.RESEARCHER: frozenset({Act.PROPOSE, Act.CLOSE, Act.PUBLISH}),
    Signer.ORGANISATION: DECISIONS | {Act.REVIEW},
    Signer.COORDINATOR: frozenset({Act.PROPOSE, Act.START, Act.CLOSE}),
}


def _instant(text: str) -> str:
    parse_instant(text)
    return text


class StudyStep(Fact):
    """One step (envelope kind `study-step`).

    `by` is the organisation's node, "" for the others, whom their key names. `number` counts an
    organisation's steps from 0, so that none is lost or repeated unnoticed. `note` is the reason,
    the question asked back, its answer, or the published results. `attached` is the statement
    that a review stands on. `releases` are those that become public with the published results.
    """

    study: str
    version: int
    study_digest: _Digest
    act: Act
    signer: Signer
    by: Annotated[str, StringConstraints(max_length=128)] = ""
    number: Annotated[int, Field(ge=0, lt=2**53)] = 0
    at: Annotated[str, AfterValidator(_instant)]
    note: Annotated[str, StringConstraints(max_length=MOST_WORDS)] = ""
    attached: dict[str, Any] | None = None
    releases: Annotated[tuple[_Digest, ...], Field(max_length=MOST_RELEASES)] = ()

    @classmethod
    def of(cls, study: Study, act: Act, signer: Signer, at: str, **more: Any) -> Self:
        """A step of this very version."""
        return cls(
            study=study.id,
            version=study.version,
            study_digest=study.digest,
            act=act,
            signer=signer,
            at=at,
            **more,
        )

    def sealed(self, key: SigningKey) -> Envelope:
        return Envelope.seal(KIND, self.to_json(), key)


class SignOff(Fact):
    """A patient reviewer's statement about one version of a study (envelope `patient-review`)."""

    study: str
    study_digest: _Digest
    organisation: str
    reviewer: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    at: Annotated[str, AfterValidator(_instant)]
    words: Annotated[str, StringConstraints(max_length=4096)] = ""


def open_step(
    envelope: Envelope,
    study: Study,
    coordinator: PublicKey,
    nodes: Mapping[str, PublicKey],
    *,
    kept: bool = False,
    investigators: Collection[str] | None = None,
) -> StudyStep:
    """The step, if it is about this version and signed by a key that may take it.

    Of one that was checked when it came, and `kept`, a former key of the coordinator counts too.
    `investigators` are the keys that count for those that the study names; None: just these.
    Raises VerificationFailed otherwise, and BadInput for what is no step.
    """
    step = StudyStep.from_json(envelope.open(KIND, envelope.key))
    if (step.study, step.version, step.study_digest) != (study.id, study.version, study.digest):
        raise VerificationFailed("is about another version of the study", where=step.study)
    keys = coordinator.every if kept else (coordinator,)
    own = study.keys if investigators is None else investigators
    if not _signed_by(envelope.key, step, own, keys, nodes):
        raise VerificationFailed(f"is not signed by its {step.signer.value}", where=step.study)
    if step.act not in MAY[step.signer]:
        raise VerificationFailed(
            f"a {step.signer.value} does not {step.act.value} studies", where=step.study
        )
    if step.releases and step.act is not Act.PUBLISH:
        raise VerificationFailed("publishes releases without results", where=step.study)
    return step


def _signed_by(
    key: PublicKey,
    step: StudyStep,
    investigators: Collection[str],
    coordinator: tuple[PublicKey, ...],
    nodes: Mapping[str, PublicKey],
) -> bool:
    match step.signer:
        case Signer.RESEARCHER:
            return key.text in investigators and not step.by
        case Signer.ORGANISATION:
            known = nodes.get(step.by)
            return known is not None and key in (known, *(each.key for each in known.former))
        case Signer.COORDINATOR:
            return key in coordinator and not step.by
        case _:
            assert_never(step.signer)


def open_sign_off(step: StudyStep) -> SignOff:
    """The reviewer's statement attached to a review; raises BadInput or VerificationFailed."""
    if step.act is not Act.REVIEW or step.attached is None:
        raise BadInput("a review has the reviewer's statement attached")
    envelope = Envelope.from_json(step.attached)
    said = SignOff.from_json(envelope.open("patient-review", envelope.key))
    about = (said.study, said.study_digest, said.organisation)
    if about != (step.study, step.study_digest, step.by):
        raise VerificationFailed("the sign-off is about something else", where=step.study)
    return said


@dataclass(frozen=True)
class Life:
    """What all steps so far amount to. `needed` of `organisations` have to approve."""

    study: str
    version: int
    study_digest: str
    organisations: int
    needed: int
    proposed: bool = False
    started: bool = False
    closed: bool = False
    published: bool = False
    decisions: Mapping[str, Act] = field(default_factory=dict)  # newest, by organisation
    numbers: Mapping[str, int] = field(default_factory=dict)  # steps of each organisation

    @classmethod
    def draft(cls, study: Study, organisations: int, needed: int) -> Self:
        return cls(study.id, study.version, study.digest, organisations, needed)

    def _count(self, act: Act) -> int:
        return sum(1 for said in self.decisions.values() if said is act)

    @property
    def approving(self) -> int:
        """How many organisations approve now."""
        return self._count(Act.APPROVE)

    @property
    def state(self) -> State:
        if self.published or self.closed:
            return State.PUBLISHED if self.published else State.CLOSED
        if not self.proposed:
            return State.DRAFT
        if self.approving >= self.needed:
            return State.RUNNING if self.started else State.APPROVED
        against = self._count(Act.REFUSE) + self._count(Act.WITHDRAW)
        if self.organisations - against < self.needed:
            return State.REFUSED
        return State.ASKED_BACK if self._count(Act.ASK) else State.PROPOSED

    def after(self, step: StudyStep) -> Life:
        """The life after `step`, which `open_step` has let through.

        Raises Refused(CONFLICT) with the state if it is not the step's turn.
        """
        about = (step.study, step.version, step.study_digest)
        if about != (self.study, self.version, self.study_digest):
            raise Refused(Code.CONFLICT, what="version")
        if not self._in_turn(step):
            raise Refused(Code.CONFLICT, state=self.state.value, act=step.act.value)
        match step.act:
            case Act.PROPOSE:
                waiting = {n: act for n, act in self.decisions.items() if act is not Act.ASK}
                return replace(self, proposed=True, decisions=waiting)
            case Act.APPROVE | Act.REFUSE | Act.ASK | Act.WITHDRAW:
                decisions = {**self.decisions, step.by: step.act}
                return replace(self, decisions=decisions, numbers=self._numbered(step))
            case Act.REVIEW:
                return replace(self, numbers=self._numbered(step))
            case Act.START:
                return replace(self, started=True)
            case Act.CLOSE:
                return replace(self, closed=True)
            case Act.PUBLISH:
                return replace(self, published=True)
            case _:
                assert_never(step.act)

    def _numbered(self, step: StudyStep) -> Mapping[str, int]:
        return {**self.numbers, step.by: step.number + 1}

    @property
    def researchers_turn(self) -> tuple[Act, ...]:
        """What an investigator may do next."""
        return tuple(act for act in Act if act in MAY[Signer.RESEARCHER] and self._turn_of(act))

    def _in_turn(self, step: StudyStep) -> bool:
        if step.signer is Signer.ORGANISATION and step.number < self.numbers.get(step.by, 0):
            return False  # said before
        if step.act is Act.WITHDRAW and self.decisions.get(step.by) is not Act.APPROVE:
            return False
        if step.act is Act.PUBLISH and not step.note.strip():
            return False
        return self._turn_of(step.act)

    def _turn_of(self, act: Act) -> bool:
        open_ = self.proposed and not self.closed
        match act:
            case Act.PROPOSE:
                return self.state is State.DRAFT or (open_ and self._count(Act.ASK) > 0)
            case Act.APPROVE | Act.REFUSE | Act.ASK | Act.REVIEW | Act.CLOSE:
                return open_
            case Act.WITHDRAW:
                return self.proposed
            case Act.START:
                return self.state is State.APPROVED
            case Act.PUBLISH:
                return self.state is State.CLOSED
            case _:
                assert_never(act)
