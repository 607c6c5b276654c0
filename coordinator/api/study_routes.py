"""Studies, their dictionaries and their budgets."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query

from coordinator.api.answering import who_answers
from coordinator.api.entitlement import visible_studies, visible_study
from coordinator.api.schema import StudyList, StudyView
from coordinator.api.services import Anyone, Insider, Services, Use
from coordinator.api.study_steps import life_of
from coordinator.api.views import study_summary, study_view
from coordinator.api.waiting import sync_ledgers
from coordinator.store.facts import Principal
from privacy.contract.token import Role

router = APIRouter(prefix="/v1/studies", tags=["studies"])


@router.get("", operation_id="listStudies")
def list_studies(services: Use, caller: Anyone) -> StudyList:
    """The studies you may see, newest version each."""
    found = visible_studies(services.store, caller)
    return StudyList(studies=[study_summary(facts) for facts in found])


@router.get("/{study}", operation_id="getStudy")
async def get_study(
    study: str,
    services: Use,
    caller: Insider,
    sync: Annotated[bool, Query(description="First fetch the nodes' newest entries.")] = False,
) -> StudyView:
    """One study with its approvals and its budget."""
    if sync:
        await to_thread.run_sync(visible_study, services.store, caller, study)
        await sync_ledgers(services)
    return await to_thread.run_sync(_shown, services, caller, study)


@router.get("/{study}/dictionary", operation_id="getDictionary")
def get_dictionary(study: str, services: Use, caller: Insider) -> dict[str, Any]:
    """The dictionary that the study names: tables, columns, levels, bounds and bins."""
    facts = visible_study(services.store, caller, study)
    return services.store.network.dictionary_version(facts.study.dictionary).to_json()


def _shown(services: Services, caller: Principal, study: str) -> StudyView:
    facts = visible_study(services.store, caller, study)
    services.executor.settle(services.settings.settle_seconds)
    everything = caller.role is not Role.RESEARCHER
    state = life_of(services, facts.study).state
    able = who_answers(services, facts).able
    budget = services.budgets.of(facts, caller.public_key if not everything else "")
    return study_view(facts, budget, able, state, everything=everything)
