"""The rules of a plan in a ledger: set aside, charged, ended."""

from __future__ import annotations

from privacy.accounting.filter import remaining
from privacy.errors import BadInput, Code, Refused
from privacy.ledger.entry import (
    Aborted,
    Approval,
    Commit,
    Expired,
    Lost,
    Mechanism,
    Released,
    Reserve,
    ReservedRound,
)
from privacy.ledger.fields import parse_rho
from privacy.ledger.linkage import check_counts
from privacy.ledger.state import (
    LedgerState,
    OpenPlan,
    OpenRound,
    delegation_account,
)
from privacy.units import Rho


def reserve(state: LedgerState, body: Reserve, at: str) -> LedgerState:
    if state.paused or state.leaving:
        raise Refused(Code.PAUSED)
    if state.halted:
        raise Refused(Code.HISTORY_BROKEN)
    if state.knows(body.plan, body.question):
        raise Refused(Code.REPLAYED)
    given = body.delegation
    named = {body.researcher} | (set() if given is None else {given.key, given.statement})
    if body.researcher in state.successors or not state.revoked.isdisjoint(named):
        raise Refused(Code.KEY_REVOKED)
    _check_period(state, at)
    if not at < body.expires:
        raise Refused(Code.EXPIRED)
    if not state.dictionary or body.dictionary != state.dictionary:
        raise Refused(Code.DICTIONARY_MISMATCH)
    check_counts(state, body.linkage, at)
    if body.linkage and state.policy is not None and state.policy.individual:
        # A linkage is charged to everybody, room or not; and the mean of a person's balances, which
        # pays for m memberships, does not pay for what they are counted at one place alone.
        raise Refused(Code.NOT_LINKED, what="members are charged one by one")
    rounds = tuple(_round(state, each, linked=bool(body.linkage)) for each in body.rounds)
    plan = OpenPlan(
        plan=body.plan,
        study=body.study,
        study_digest=body.study_digest,
        accounts=_accounts(state, body),
        rounds=rounds,
        max_attempts=body.max_attempts,
        reserved_at=at,
        expires=body.expires,
    )
    if parse_rho(body.rho) != plan.reserved:
        raise Refused(Code.PLAN_MISMATCH, what="rho")
    _admit(state, body, plan.reserved, at)
    return state.reserved_plan(plan, body.question)


def _accounts(state: LedgerState, body: Reserve) -> tuple[str, ...]:
    own = state.own_account(body.study, body.researcher)
    if body.delegation is None:
        return (own,)
    return (own, delegation_account(body.delegation.statement))


def _round(state: LedgerState, body: ReservedRound, *, linked: bool) -> OpenRound:
    cost = _checked_cost(state, body.mechanism, linked=linked)
    if parse_rho(body.rho) != cost:
        raise Refused(Code.PLAN_MISMATCH, what="rho")
    return OpenRound(body.mechanism, cost)


def _check_period(state: LedgerState, at: str) -> None:
    if state.period is None or not state.period.starts <= at < state.period.ends:
        raise Refused(Code.NOT_IN_PERIOD)


def _checked_cost(state: LedgerState, mechanism: Mechanism, *, linked: bool) -> Rho:
    """What one opening costs, recomputed; refuses a mechanism below the policy's floors.

    Where members are linked, one membership of each is counted and paid for.
    """
    policy = state.policy
    try:
        event = mechanism.event
    except BadInput:
        raise Refused(Code.PLAN_MISMATCH, what="mechanism") from None
    if policy is None or event.nodes < policy.min_nodes or event.margin < policy.min_collude:
        raise Refused(Code.POLICY_FLOOR, what="nodes or margin")
    if event.memberships < (1 if linked else policy.max_memberships):
        raise Refused(Code.POLICY_FLOOR, what="memberships")
    return event.rho


def _admit(state: LedgerState, body: Reserve, cost: Rho, at: str) -> None:
    approval = state.approvals.get(body.study_digest)
    if approval is None or approval.study != body.study:
        raise Refused(Code.NOT_APPROVED)
    if approval.answers_from is not None and at < approval.answers_from:
        raise Refused(Code.POLICY_FLOOR, what="embargo")
    if body.delegation is not None and not at < body.delegation.expires:
        raise Refused(Code.NOT_DELEGATED, what="expired")
    limits = _limits(state, body, approval)
    for code, quota, spent in limits:
        if not spent + cost <= quota:
            left = min(remaining(quota, spent) for _, quota, spent in limits)
            fits = min(left, state.left)  # what would fit has to fit everywhere
            raise Refused(code, needed=cost.text, left=fits.text)
    state.admit(cost)


def _limits(
    state: LedgerState, body: Reserve, approval: Approval
) -> tuple[tuple[Code, Rho, Rho], ...]:
    """Every limit inside the period's budget: what refuses, how much, and what counts so far."""
    own = state.own_account(body.study, body.researcher)
    found = [
        (Code.STUDY_BUDGET_EXCEEDED, state.study_quota(approval), state.study_spent(body.study))
    ]
    part = state.researcher_quota(approval)
    if part is not None:
        found.append((Code.RESEARCHER_BUDGET_EXCEEDED, part, state.part_spent(own)))
    if body.delegation is not None:
        spent = state.part_spent(delegation_account(body.delegation.statement))
        found.append((Code.DELEGATION_EXCEEDED, parse_rho(body.delegation.rho), spent))
    if state.policy is not None and state.policy.question_rho is not None:
        found.append((Code.QUESTION_LIMIT, parse_rho(state.policy.question_rho), Rho.ZERO))
    if state.policy is not None and state.policy.individual:  # or nobody could take part
        found.append((Code.QUESTION_LIMIT, parse_rho(state.policy.yearly_rho), Rho.ZERO))
    return tuple(found)


def commit(state: LedgerState, body: Commit, at: str) -> LedgerState:
    """Bytes leave neither in a pause nor late, nor while the coordinator's log is a broken one,
    nor for a study that is approved no more.

    What was read and lost is charged even then.
    """
    if state.paused and body.bytes:
        raise Refused(Code.PAUSED)
    if state.halted and body.bytes:
        raise Refused(Code.HISTORY_BROKEN)
    plan = _open(state, body.plan)
    if body.bytes and plan.study_digest not in state.approvals:
        raise Refused(Code.NOT_APPROVED)
    if body.bytes and not at < plan.expires:
        raise Refused(Code.EXPIRED)
    if body.round >= len(plan.rounds) or body.attempt >= plan.max_attempts:
        raise Refused(Code.TOO_MANY_ATTEMPTS)
    planned = plan.rounds[body.round]
    if body.mechanism != planned.mechanism or parse_rho(body.rho) != planned.cost:
        raise Refused(Code.PLAN_MISMATCH, what="mechanism or rho")
    opening = (body.round, body.attempt)
    if plan.has_passed(opening):
        raise Refused(Code.REPLAYED)
    return state.charged_plan(plan, opening)


def end(state: LedgerState, body: Released | Aborted | Expired, at: str) -> LedgerState:
    plan = _open(state, body.plan)
    if isinstance(body, Released) and not plan.committed:
        raise Refused(Code.CONFLICT, what="released before commit")
    if isinstance(body, Expired) and at < plan.expires:
        raise Refused(Code.CONFLICT, what="not expired yet")
    return state.ended_plan(plan)


def lose(state: LedgerState, body: Lost) -> LedgerState:
    plan, opening = _open(state, body.plan), (body.round, body.attempt)
    if opening not in plan.committed or opening in plan.lost:
        raise Refused(Code.CONFLICT, what="nothing to lose")
    return state.lost_plan(plan, opening)


def _open(state: LedgerState, plan: str) -> OpenPlan:
    found = state.plans.get(plan)
    if found is None:
        raise Refused(Code.CONFLICT, what="plan is not reserved")
    return found
