"""Which nodes can answer a study's questions now, in the order of a plan."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC

from coordinator.api.services import Services
from coordinator.store.facts import Decision, NodeState, StudyFacts


@dataclass
class Answering:
    """Nodes that can answer; others with their public state or the study's; how many decline.

    Why an organisation declines is its own affair.
    """

    able: list[str] = field(default_factory=list)
    unable: dict[str, str] = field(default_factory=dict)
    declining: int = 0


def who_answers(services: Services, facts: StudyFacts, out: Collection[str] = ()) -> Answering:
    """Of the roster's nodes; those in `out` approved the study and refuse the question."""
    states = {node.id: node.state for node in services.store.nodes.all()}
    today = services.clock().astimezone(UTC).date()
    in_period = facts.study.first_day <= today <= facts.study.last_day
    found = Answering()
    for node in services.store.network.roster.nodes:
        state = states.get(node.id, NodeState.OFFLINE)
        if facts.decisions.get(node.id) is not Decision.APPROVED or node.id in out:
            found.declining += 1
        elif not in_period:
            found.unable[node.id] = "not-in-period"
        elif state is not NodeState.ONLINE:
            found.unable[node.id] = state.value
        else:
            found.able.append(node.id)
    return found
