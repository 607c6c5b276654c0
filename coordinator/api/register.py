"""The public register: approved studies, what they found, and the answers that they published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import APIRouter

from coordinator.api.question_schema import RegisteredResults, ReleaseView
from coordinator.api.schema import Register, RegisteredStudy
from coordinator.api.services import Services, Use
from coordinator.api.study_steps import life_of, release_of
from coordinator.api.views import release_view
from coordinator.client.titles import titles_of
from coordinator.store.facts import StudyFacts
from models.within import declared
from privacy.contract.study_life import Act, State, StudyStep
from privacy.contract.study_words import purpose_words
from privacy.errors import Code, Refused
from privacy.log import Logged

REGISTERED = (State.APPROVED, State.RUNNING, State.CLOSED, State.PUBLISHED)

router = APIRouter(prefix="/api/register", tags=["studies"])


@router.get("", operation_id="getRegister")
def get_register(services: Use) -> Register:
    """The public register: every study that was approved, and what it found, in plain words."""
    newest = {facts.study.id: entry for facts, entry in _entries(services)}
    return Register(studies=list(newest.values()))


@router.get("/{study}", operation_id="getRegistered")
def get_registered(study: str, services: Use) -> RegisteredResults:
    """One study of the register with the answers that it published, and who gave them."""
    found = [(facts, entry) for facts, entry in _entries(services) if entry.id == study]
    if not found:
        raise Refused(Code.NOT_FOUND)
    facts, entry = found[-1]
    views = [_release(services, study, digest) for digest in entry.releases]
    took = {node for each in views for one in each.answer.rounds for node in one.survivors}
    return RegisteredResults(
        **entry.model_dump(),
        organisations=[n.name for n in services.store.network.roster.nodes if n.id in took],
        answers=views,
        titles=_titles(services, facts, views),
    )


def _entries(services: Services) -> Iterator[tuple[StudyFacts, RegisteredStudy]]:
    """Every registered version, oldest first."""
    for facts in services.store.studies.every_version():
        entry = _registered(services, facts)
        if entry is not None:
            yield facts, entry


def _registered(services: Services, facts: StudyFacts) -> RegisteredStudy | None:
    study, life = facts.study, life_of(services, facts.study)
    if life.state not in REGISTERED:
        return None
    logged = [each.step for each in services.store.steps.of(study.digest)]
    published = next((each for each in logged if each.act is Act.PUBLISH), None)
    return RegisteredStudy(
        id=study.id,
        version=study.version,
        title=study.title,
        question=study.question,
        summary=study.summary,
        purpose=purpose_words(study),
        investigators=[each.words for each in study.investigators],
        for_profit=study.for_profit,
        permit=study.permit,
        starts=study.starts,
        ends=study.ends,
        state=life.state.value,
        approving=life.approving,
        reviewed_by_patients_of=_reviewers(logged),
        results="" if published is None else published.note,
        published=None if published is None else published.at,
        releases=[] if published is None else list(published.releases),
    )


def _reviewers(steps: Sequence[StudyStep]) -> list[str]:
    return sorted({each.by for each in steps if each.act is Act.REVIEW})


def _release(services: Services, study: str, digest: str) -> ReleaseView:
    found = release_of(services, study, digest)
    plan = services.store.releases.plan(found)
    return release_view(found, plan, services.log.prove(Logged.RELEASE, digest))


def _titles(
    services: Services, facts: StudyFacts, views: Sequence[ReleaseView]
) -> dict[str, dict[str, str]]:
    """Of the columns that the answers name, and of no other."""
    dictionary = services.store.network.dictionary_version(facts.study.dictionary)
    named = {_last(word) for each in views for word in _words([each.analysis, each.answer.result])}
    titles = titles_of(declared(facts.study, dictionary))
    return {name: dict(vars(title)) for name, title in titles.items() if _last(name) in named}


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _words(value: Any) -> Iterator[str]:
    """Every text in a value of JSON."""
    match value:
        case str():
            yield value
        case list() | tuple():
            for each in value:
                yield from _words(each)
        case dict():
            for each in value.values():
                yield from _words(each)
        case _:
            return
