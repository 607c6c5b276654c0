"""Proposing studies and taking the steps of their lives, each signed with your own key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from coordinator.client.transport import Transport
from coordinator.study_file import load_study_file
from models.within import check_study
from privacy.contract.dictionary import Dictionary
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.study import Investigator, Study
from privacy.contract.study_life import Act, Signer, StudyStep
from privacy.contract.time import instant_text

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Step:
    """One step in the life of a study. `by` is the organisation's node, "" for the others."""

    act: str
    signer: str
    by: str
    at: str
    note: str

    def __str__(self) -> str:
        who = self.by or self.signer
        return f"{self.at}  {who}: {self.act}" + (f" — {self.note}" if self.note else "")


def now_utc() -> datetime:
    return datetime.now(UTC)


def studies_of_file(
    content: str, where: str, dictionary: Dictionary, delta: str, own: Investigator
) -> tuple[Study, ...]:
    """The studies of a study.toml as they would be proposed; raises BadInput.

    `own` is the investigator where the file names none; delta is the network's.
    """
    file = load_study_file(content, where, now_utc().date())
    written = file.study_facts(dictionary.digest, (own,))
    at_delta = (study.model_copy(update={"delta": delta}) for study in written)
    return tuple(check_study(Study.from_json(each.to_json()), dictionary) for each in at_delta)


def propose(transport: Transport, study: Study, key: SigningKey) -> Mapping[str, Any]:
    """Sign a study's proposal and send both; returns its digest and state."""
    step = _step(study, Act.PROPOSE, key, "")
    body = {"study": study.to_json(), "proposal": step.to_json()}
    said: Mapping[str, Any] = transport.post("/v1/studies", body)
    return said


def take(
    transport: Transport,
    study: Study,
    act: Act,
    key: SigningKey,
    note: str = "",
    releases: tuple[str, ...] = (),
) -> Mapping[str, Any]:
    """Take a step with your own key: propose again with an answer, close, or publish."""
    body = {"step": _step(study, act, key, note, releases).to_json()}
    said: Mapping[str, Any] = transport.post(f"/v1/studies/{study.id}/steps", body)
    return said


def steps_of(transport: Transport, study_id: str) -> list[Step]:
    """Every step that you are told of, oldest first."""
    said = transport.get(f"/v1/studies/{study_id}/steps")["steps"]
    names = Step.__dataclass_fields__
    return [Step(**{name: each[name] for name in names}) for each in said]


def _step(
    study: Study, act: Act, key: SigningKey, note: str, releases: tuple[str, ...] = ()
) -> Envelope:
    at = instant_text(now_utc())
    step = StudyStep.of(study, act, Signer.RESEARCHER, at, note=note, releases=releases)
    return step.sealed(key)
