"""How much of each study's allowance is spent, read from the mirror of the nodes' ledgers.

A prediction for people: what decides is the filter at each node.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from coordinator.store.facts import Decision, StudyFacts
from coordinator.store.ledgers import Ledgers
from privacy.accounting.filter import remaining
from privacy.ledger.entry import Entry
from privacy.ledger.fold import apply
from privacy.ledger.state import LedgerState
from privacy.units import Rho


@dataclass(frozen=True)
class NodeBudget:
    """One node's figures for a study. `left` is the smaller of its quota's and its period's;
    `period_left` is None before a period was opened."""

    node: str
    charged: Rho
    held: Rho
    left: Rho
    quota_left: Rho
    period_left: Rho | None
    ledger_size: int


@dataclass(frozen=True)
class StudyBudget:
    """The study as its most spent node sees it: every participant has to agree."""

    allowance: Rho
    charged: Rho
    held: Rho
    left: Rho
    nodes: tuple[NodeBudget, ...]


@dataclass
class Budgets:
    """Folds mirrored entries once each and keeps the newest state of every ledger."""

    ledgers: Ledgers
    _states: dict[str, LedgerState] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def state(self, node: str) -> LedgerState:
        """The newest mirrored state; raises VerificationFailed for an illegal entry."""
        with self._lock:
            state = self._states.get(node, LedgerState())
            for data in self.ledgers.entries(node, state.size):
                state = apply(state, Entry.from_bytes(data))
            self._states[node] = state
            return state

    def of(self, facts: StudyFacts) -> StudyBudget:
        """The budget of one study version."""
        nodes = tuple(self._nodes(facts))
        return StudyBudget(
            allowance=facts.study.rho,
            charged=max((node.charged for node in nodes), default=Rho.ZERO),
            held=max((node.held for node in nodes), default=Rho.ZERO),
            left=min((node.left for node in nodes), default=facts.study.rho),
            nodes=nodes,
        )

    def _nodes(self, facts: StudyFacts) -> Iterable[NodeBudget]:
        approving: Mapping[str, Decision] = facts.decisions
        for node, decision in sorted(approving.items()):
            if decision is Decision.APPROVED:
                yield _node_budget(node, self.state(node), facts)


def _node_budget(node: str, state: LedgerState, facts: StudyFacts) -> NodeBudget:
    study = facts.study
    approval = state.approvals.get(study.digest)
    quota = study.rho if approval is None else Rho.parse(approval.rho)
    left = remaining(quota, state.study_spent(study.id))
    return NodeBudget(
        node=node,
        charged=state.charged.get(study.id, Rho.ZERO),
        held=state.held.get(study.id, Rho.ZERO),
        left=left if state.period is None else min(left, state.left),
        quota_left=left,
        period_left=None if state.period is None else state.left,
        ledger_size=state.size,
    )
