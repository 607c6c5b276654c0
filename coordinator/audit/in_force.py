"""What an organisation approved and answered, against the policy that was in force there."""

from __future__ import annotations

from coordinator.audit.documents import require
from privacy.contract.plan import Plan
from privacy.contract.study import Study
from privacy.ledger.entry import Approval, Reserve
from privacy.ledger.permission import FLOORS, known_to, question_mark, question_rule, study_rule
from privacy.ledger.state import LedgerState
from privacy.units import Rho


def check_part(study: Study, body: Approval) -> None:
    """Nobody is allowed more than the study's part for one researcher."""
    own = study.researcher_rho
    stated = None if body.researcher_rho is None else Rho.parse(body.researcher_rho)
    more = own is not None and (stated is None or stated > own * study.memberships**2)
    require(not more, "allows one researcher more than the study's part")


def check_allowed(body: Approval, study: Study, before: LedgerState) -> None:
    """The policy in force allows the study, and approved it only for people known there."""
    policy = before.policy
    if policy is None:
        return
    reviewed = body.study_digest in before.reviewed
    rule = study_rule(policy, study, before.delta, reviewed=reviewed)
    require(
        rule is None, f"approves what the policy in force refuses: {rule.value if rule else ''}"
    )
    known = body.how != "policy" or known_to(policy.rules, study.keys)
    require(known, "is by a policy that does not know every investigator's key")


def check_policy(body: Reserve, plan: Plan, study: Study, before: LedgerState) -> None:
    """The policy in force allowed the study and this very question."""
    if before.policy is None:
        return
    question = plan.open_question()
    cost = Rho.parse(body.rho)
    mark = question_mark(plan.study_digest, plan.analysis, plan.cohort, question.epsilon)
    looked = before.looked.get(mark)
    rule = question_rule(before.policy, study, str(plan.analysis["kind"]), cost, looked)
    if rule is None:
        found = study_rule(before.policy, study, before.delta)
        rule = found if found in FLOORS else None
    require(rule is None, f"the policy in force refuses it: {rule.value if rule else ''}")
