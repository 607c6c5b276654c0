"""How much of each study's allowance is spent, read from the mirror of the nodes' ledgers.

A prediction for people: what decides is the filter at each node.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce

from coordinator.store.facts import Decision, StudyFacts
from coordinator.store.ledgers import Ledgers
from privacy.accounting.filter import remaining
from privacy.errors import BadInput, VerificationFailed
from privacy.ledger.entry import Approval, Entry
from privacy.ledger.fold import apply
from privacy.ledger.state import LedgerState
from privacy.units import Rho


@dataclass(frozen=True)
class NodeBudget:
    """One node's figures for a study. `left` is the smallest of its quota's, its period's and the
    researcher's part; `period_left` is None before a period was opened, `part_left` where one
    researcher has no part of their own."""

    node: str
    charged: Rho
    held: Rho
    left: Rho
    quota_left: Rho
    period_left: Rho | None
    part_left: Rho | None
    ledger_size: int


@dataclass(frozen=True)
class StudyBudget:
    """The study as its most spent node sees it: every participant has to agree."""

    allowance: Rho
    charged: Rho
    held: Rho
    left: Rho
    nodes: tuple[NodeBudget, ...]

    @property
    def part_left(self) -> Rho | None:
        """What is left of the researcher's own part, at the most spent node."""
        parts = [node.part_left for node in self.nodes if node.part_left is not None]
        return min(parts, default=None)


@dataclass
class Budgets:
    """Folds mirrored entries once each and keeps the newest state of every ledger."""

    ledgers: Ledgers
    _states: dict[str, LedgerState] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def state(self, node: str) -> LedgerState:
        """The newest mirrored state; raises VerificationFailed for an illegal entry."""
        return self.states((node,))[node]

    def states(self, nodes: Collection[str]) -> dict[str, LedgerState]:
        """The same of several, read together."""
        with self._lock:
            for node in set(nodes) - set(self._states):
                self._states[node] = reduce(_applied, self.ledgers.stream(node), LedgerState())
            found = {node: self._states[node] for node in nodes}
            for node, data in self.ledgers.grown({node: found[node].size for node in nodes}):
                found[node] = _applied(found[node], data)
            self._states |= found
            return found

    def of(self, facts: StudyFacts, researcher: str = "") -> StudyBudget:
        """The budget of one study version, for the researcher of this public key if given."""
        nodes = tuple(self._nodes(facts, researcher))
        return StudyBudget(
            allowance=facts.study.rho,
            charged=max((node.charged for node in nodes), default=Rho.ZERO),
            held=max((node.held for node in nodes), default=Rho.ZERO),
            left=min((node.left for node in nodes), default=facts.study.rho),
            nodes=nodes,
        )

    def _nodes(self, facts: StudyFacts, researcher: str) -> Iterable[NodeBudget]:
        approving: Mapping[str, Decision] = facts.decisions
        approved = sorted(node for node, said in approving.items() if said is Decision.APPROVED)
        for node, state in self.states(approved).items():
            yield _node_budget(node, state, facts, researcher)


def _applied(state: LedgerState, data: bytes) -> LedgerState:
    try:
        entry = Entry.from_bytes(data)
    except BadInput as wrong:
        raise VerificationFailed(wrong.what, where=f"entry {state.size}") from None
    return apply(state, entry)


def _node_budget(node: str, state: LedgerState, facts: StudyFacts, researcher: str) -> NodeBudget:
    study = facts.study
    approval = state.approvals.get(study.digest)
    quota = study.rho if approval is None else state.study_quota(approval)
    left = remaining(quota, state.study_spent(study.id))
    part = _part_left(state, approval, study.id, researcher)
    limits = [left, part, None if state.period is None else state.left]
    return NodeBudget(
        node=node,
        charged=state.charged.get(study.id, Rho.ZERO),
        held=state.held.get(study.id, Rho.ZERO),
        left=min(limit for limit in limits if limit is not None),
        quota_left=left,
        period_left=None if state.period is None else state.left,
        part_left=part,
        ledger_size=state.size,
    )


def _part_left(
    state: LedgerState, approval: Approval | None, study: str, researcher: str
) -> Rho | None:
    """What the researcher may still spend of their own part; None where there is none."""
    part = None if approval is None or not researcher else state.researcher_quota(approval)
    if part is None:
        return None
    return remaining(part, state.part_spent(state.own_account(study, researcher)))
