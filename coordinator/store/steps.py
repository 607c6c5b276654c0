"""The log of every study's signed steps, in the order in which the coordinator took them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.store.database import Database
from coordinator.store.log import log_statement
from coordinator.store.tables import StudyStepRow
from privacy.contract.canonical import parse_canonical
from privacy.contract.researcher_key import Successors, standing
from privacy.contract.signing import Envelope, PublicKey
from privacy.contract.study import Study
from privacy.contract.study_life import Act, Life, StudyStep, open_sign_off, open_step
from privacy.log import Logged
from privacy.secure_sum.attempt import fewest_nodes


@dataclass(frozen=True)
class Signers:
    """Who may take steps besides a study's own investigators."""

    coordinator: PublicKey
    nodes: Mapping[str, PublicKey]
    successors: Successors = field(default_factory=dict)  # of investigators' keys


@dataclass(frozen=True)
class LoggedStep:
    """A step with its place in the log and the signature it stands on."""

    place: int
    step: StudyStep
    envelope: Envelope


class StudySteps:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, envelope: Envelope, study: Study, signers: Signers) -> Life:
        """Keep a step and return the life after it; one that is there already changes nothing.

        Raises VerificationFailed for a step that its signer may not take, Refused(CONFLICT) for
        one that is out of turn.
        """
        keys = standing(study.keys, signers.successors)
        step = open_step(envelope, study, signers.coordinator, signers.nodes, investigators=keys)
        if step.act is Act.REVIEW:
            open_sign_off(step)
        with self._database.write() as session:
            logged = _of(session, study.digest)
            life = life_after(study, len(signers.nodes), logged)
            if any(each.envelope.digest == envelope.digest for each in logged):
                return life
            after = life.after(step)
            session.add(
                StudyStepRow(
                    digest=envelope.digest,
                    study_digest=study.digest,
                    node=step.by,
                    count=step.number,
                    envelope=envelope.to_bytes(),
                )
            )
            said = f"{study.id}: {step.act.value} by {step.by}"
            log_statement(session, Logged.STEP, envelope.digest, said)
        return after

    def of(self, study_digest: str) -> tuple[LoggedStep, ...]:
        """Every step of a study version, in order."""
        with self._database.read() as session:
            return _of(session, study_digest)

    def all(self) -> tuple[Envelope, ...]:
        """Every step of every study, in the order in which they were taken."""
        wanted = select(StudyStepRow.envelope).order_by(StudyStepRow.place)
        with self._database.read() as session:
            return tuple(Envelope.from_bytes(data) for data in session.scalars(wanted))

    def life(self, study: Study, organisations: int) -> Life:
        """What the steps of a study version amount to in a network of so many organisations."""
        return life_after(study, organisations, self.of(study.digest))

    def proposals(self, study_digest: str) -> tuple[Envelope, ...]:
        """The signed proposals of a version: what an organisation is offered it with."""
        found = (each for each in self.of(study_digest) if each.step.act is Act.PROPOSE)
        return tuple(each.envelope for each in found)

    def seen_of(self, node: str) -> int:
        """How many steps of an organisation are here: the number of its next one."""
        newest = select(func.max(StudyStepRow.count)).where(StudyStepRow.node == node)
        with self._database.read() as session:
            found = session.scalars(newest).one()
        return 0 if found is None else found + 1


def _of(session: Session, study_digest: str) -> tuple[LoggedStep, ...]:
    wanted = select(StudyStepRow).where(StudyStepRow.study_digest == study_digest)
    return tuple(_logged(row) for row in session.scalars(wanted.order_by(StudyStepRow.place)))


def _logged(row: StudyStepRow) -> LoggedStep:
    envelope = Envelope.from_bytes(row.envelope)
    return LoggedStep(row.place, StudyStep.from_json(parse_canonical(envelope.body)), envelope)


def life_after(study: Study, organisations: int, logged: tuple[LoggedStep, ...]) -> Life:
    """What these steps of a study amount to in a network of so many organisations."""
    life = Life.draft(study, organisations, fewest_nodes(study.t_drop, study.t_collude))
    for each in logged:
        life = life.after(each.step)
    return life
