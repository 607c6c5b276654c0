"""Which organisations will not answer a question: by decision or by policy, and never why.

Their policies stand in their ledgers, which are mirrored here; so who would refuse is left out
before anybody is asked, instead of ending the run.
"""

from __future__ import annotations

from coordinator.api.budgets import Budgets
from coordinator.store.facts import Decision, StudyFacts
from models.aggregates.requests import Analysis
from privacy.contract.study import Study
from privacy.errors import VerificationFailed
from privacy.ledger.permission import question_mark, question_rule
from privacy.ledger.state import LedgerState
from privacy.units import Rho


def unwilling(
    budgets: Budgets, facts: StudyFacts, analysis: Analysis, cohort: str, epsilon: str, now: str
) -> frozenset[str]:
    """Nodes that approved the study and will not answer this question at instant `now`.

    `cohort` is canonical and within the study's. Budgets are no reason here: they are told.
    """
    study = facts.study
    mark = question_mark(study.digest, analysis.to_json(), cohort, epsilon)
    approving = [node for node, said in facts.decisions.items() if said is Decision.APPROVED]
    return frozenset(
        node for node in approving if _refuses(budgets, node, study, analysis.kind, mark, now)
    )


def _refuses(budgets: Budgets, node: str, study: Study, kind: str, mark: str, now: str) -> bool:
    try:
        state = budgets.state(node)
    except VerificationFailed:  # its own answer will tell
        return False
    return _embargoed(state, study, now) or _ruled_out(state, study, kind, mark)


def _embargoed(state: LedgerState, study: Study, now: str) -> bool:
    approval = state.approvals.get(study.digest)
    return approval is not None and now < (approval.answers_from or "")


def _ruled_out(state: LedgerState, study: Study, kind: str, mark: str) -> bool:
    if state.policy is None:
        return False
    looked = state.looked.get(mark)
    return question_rule(state.policy, study, kind, Rho.ZERO, looked) is not None
