"""Which nodes can answer a study's questions now, in the order of a plan."""

from __future__ import annotations

from datetime import UTC

from coordinator.api.services import Services
from coordinator.store.facts import Decision, NodeState, StudyFacts


def who_answers(services: Services, facts: StudyFacts) -> tuple[list[str], dict[str, str]]:
    """Nodes that can answer, and the others with why: state, decision or the study's period."""
    states = {node.id: node.state for node in services.store.nodes.all()}
    today = services.clock().astimezone(UTC).date()
    in_period = facts.study.first_day <= today <= facts.study.last_day
    able: list[str] = []
    unable: dict[str, str] = {}
    for node in services.store.network.roster.nodes:
        state = states.get(node.id, NodeState.OFFLINE)
        if facts.decisions.get(node.id) is not Decision.APPROVED:
            unable[node.id] = "not-approved"
        elif not in_period:
            unable[node.id] = "not-in-period"
        elif state is not NodeState.ONLINE:
            unable[node.id] = state.value
        else:
            able.append(node.id)
    return able, unable
