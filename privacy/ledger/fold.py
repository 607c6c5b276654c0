"""The rules of a ledger: which entry may follow which, and what it does to the balances.

Every rule is a function of the state and the entry alone. The node's store asks `step` before
it writes; an auditor asks `apply` for every entry of a ledger that others wrote. So a node and
an auditor cannot disagree about what is legal.
"""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

from privacy.accounting.filter import admit, remaining
from privacy.contract.time import parse_instant
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.entry import (
    MAX_ENTRY_BYTES,
    Aborted,
    Approval,
    Body,
    Commit,
    DictionaryAdopted,
    Entry,
    Expired,
    Genesis,
    Lost,
    Mechanism,
    Paused,
    PeriodOpened,
    PolicySet,
    Released,
    Reserve,
    ReservedRound,
    Resumed,
    RosterPinned,
    Witnessed,
    parse_rho,
)
from privacy.ledger.state import LedgerState, OpenPlan, OpenRound
from privacy.units import Rho

SHORTEST_PERIOD = timedelta(days=365)  # a policy's limit is for a year


def apply(state: LedgerState, entry: Entry) -> LedgerState:
    """The state after `entry`; raises VerificationFailed naming the entry if it is illegal."""
    where = f"entry {state.size}"
    if entry.seq != state.size:
        raise VerificationFailed(f"numbered {entry.seq}", where=where)
    if entry.prev != state.head:
        raise VerificationFailed("does not follow its predecessor", where=where)
    try:
        return step(state, entry)
    except Refused as refused:
        raise VerificationFailed(f"{entry.body.kind} is illegal: {refused}", where=where) from None


def step(state: LedgerState, entry: Entry) -> LedgerState:
    """The state after `entry`, which must be numbered and chained to `state`.

    Raises Refused with the catalogue code of the rule that forbids it: BUDGET_EXCEEDED,
    STUDY_BUDGET_EXCEEDED, NOT_APPROVED, NOT_IN_PERIOD, DICTIONARY_MISMATCH, POLICY_FLOOR,
    PAUSED, EXPIRED, REPLAYED, TOO_MANY_ATTEMPTS, PLAN_MISMATCH, TOO_LARGE,
    LEDGER_STOPPED (time runs backwards) or CONFLICT.
    """
    if entry.at < state.at:
        raise Refused(Code.LEDGER_STOPPED, what="clock", last=state.at)
    if (state.genesis is None) != isinstance(entry.body, Genesis):
        raise Refused(Code.CONFLICT, what="genesis")
    if len(entry.data) > MAX_ENTRY_BYTES:
        raise Refused(Code.TOO_LARGE, most=MAX_ENTRY_BYTES)
    after = _effect(state, entry.body, entry.at)
    return after.having(size=entry.seq + 1, head=entry.leaf.hex(), at=entry.at)


def _effect(state: LedgerState, body: Body, at: str) -> LedgerState:
    match body:
        case Genesis():
            return state.having(genesis=body)
        case PolicySet():
            return state.having(policy=body)
        case PeriodOpened():
            return _open_period(state, body, at)
        case RosterPinned():
            return _pin_roster(state, body)
        case DictionaryAdopted():
            return state.having(dictionary=body.dictionary)
        case Approval():
            return _decide(state, body)
        case Reserve():
            return _reserve(state, body, at)
        case Commit():
            return _commit(state, body, at)
        case Released() | Aborted() | Expired():
            return _end(state, body, at)
        case Lost():
            return _lose(state, body)
        case Paused() | Resumed():
            return state.having(paused=isinstance(body, Paused))
        case Witnessed():
            return _witness(state, body)
        case _:
            assert_never(body)


def _open_period(state: LedgerState, body: PeriodOpened, at: str) -> LedgerState:
    if state.policy is None or parse_rho(body.budget_rho) > parse_rho(state.policy.yearly_rho):
        raise Refused(Code.CONFLICT, what="budget beyond policy")
    if parse_instant(body.ends) - parse_instant(body.starts) < SHORTEST_PERIOD:
        raise Refused(Code.CONFLICT, what="period is shorter than a year")
    if state.period is not None and not state.period.ends <= min(body.starts, at):
        raise Refused(Code.CONFLICT, what="period is not over")
    if state.total_held > parse_rho(body.budget_rho):
        raise Refused(Code.CONFLICT, what="budget below what is reserved")
    return state.opened_period(body)


def _pin_roster(state: LedgerState, body: RosterPinned) -> LedgerState:
    if body.epoch < state.roster_epoch:
        raise Refused(Code.CONFLICT, what="roster epoch")
    return state.having(
        roster=body.roster,
        roster_epoch=body.epoch,
        confirmed=frozenset(body.confirmed),
    )


def _decide(state: LedgerState, body: Approval) -> LedgerState:
    if body.decision == "withdrawn" and body.study_digest not in state.approvals:
        raise Refused(Code.NOT_APPROVED, what="nothing to withdraw")
    return state.decided(body)


def _reserve(state: LedgerState, body: Reserve, at: str) -> LedgerState:
    if state.paused:
        raise Refused(Code.PAUSED)
    if state.knows(body.plan, body.question):
        raise Refused(Code.REPLAYED)
    _check_period(state, at)
    if not at < body.expires:
        raise Refused(Code.EXPIRED)
    if not state.dictionary or body.dictionary != state.dictionary:
        raise Refused(Code.DICTIONARY_MISMATCH)
    rounds = tuple(_round(state, each) for each in body.rounds)
    plan = OpenPlan(body.plan, body.study, rounds, body.max_attempts, at, body.expires)
    if parse_rho(body.rho) != plan.reserved:
        raise Refused(Code.PLAN_MISMATCH, what="rho")
    _admit(state, body, plan.reserved)
    return state.reserved_plan(plan, body.question)


def _round(state: LedgerState, body: ReservedRound) -> OpenRound:
    cost = _checked_cost(state, body.mechanism)
    if parse_rho(body.rho) != cost:
        raise Refused(Code.PLAN_MISMATCH, what="rho")
    return OpenRound(body.mechanism, cost)


def _check_period(state: LedgerState, at: str) -> None:
    if state.period is None or not state.period.starts <= at < state.period.ends:
        raise Refused(Code.NOT_IN_PERIOD)


def _checked_cost(state: LedgerState, mechanism: Mechanism) -> Rho:
    """What one opening costs, recomputed; refuses a mechanism below the policy's floors."""
    policy = state.policy
    try:
        event = mechanism.event
    except BadInput:
        raise Refused(Code.PLAN_MISMATCH, what="mechanism") from None
    if policy is None or event.nodes < policy.min_nodes or event.margin < policy.min_collude:
        raise Refused(Code.POLICY_FLOOR, what="nodes or margin")
    if event.memberships < policy.max_memberships:
        raise Refused(Code.POLICY_FLOOR, what="memberships")
    return event.rho


def _admit(state: LedgerState, body: Reserve, cost: Rho) -> None:
    approval = state.approvals.get(body.study_digest)
    if approval is None or approval.study != body.study:
        raise Refused(Code.NOT_APPROVED)
    quota, asked = parse_rho(approval.rho), state.study_spent(body.study)
    if not asked + cost <= quota:
        left = min(remaining(quota, asked), state.left)  # what would fit has to fit in both
        raise Refused(Code.STUDY_BUDGET_EXCEEDED, needed=cost.text, left=left.text)
    admit(state.budget, state.spent, cost)


def _commit(state: LedgerState, body: Commit, at: str) -> LedgerState:
    """Bytes leave neither in a pause nor late; what was read and lost is charged even then."""
    if state.paused and body.bytes:
        raise Refused(Code.PAUSED)
    plan = _open(state, body.plan)
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


def _end(state: LedgerState, body: Released | Aborted | Expired, at: str) -> LedgerState:
    plan = _open(state, body.plan)
    if isinstance(body, Released) and not plan.committed:
        raise Refused(Code.CONFLICT, what="released before commit")
    if isinstance(body, Expired) and at < plan.expires:
        raise Refused(Code.CONFLICT, what="not expired yet")
    return state.ended_plan(plan)


def _lose(state: LedgerState, body: Lost) -> LedgerState:
    plan, opening = _open(state, body.plan), (body.round, body.attempt)
    if opening not in plan.committed or opening in plan.lost:
        raise Refused(Code.CONFLICT, what="nothing to lose")
    return state.lost_plan(plan, opening)


def _open(state: LedgerState, plan: str) -> OpenPlan:
    found = state.plans.get(plan)
    if found is None:
        raise Refused(Code.CONFLICT, what="plan is not reserved")
    return found


def _witness(state: LedgerState, body: Witnessed) -> LedgerState:
    floor = state.policy.min_collude if state.policy else 0
    own = state.genesis.node if state.genesis else ""
    distinct = set(body.peers) - {own}
    if len(distinct) != len(body.peers) or len(distinct) < floor + 1:
        raise Refused(Code.NOT_WITNESSED, what="too few peers")
    if body.size > state.size:
        raise Refused(Code.NOT_WITNESSED, what="behind its witnessed checkpoint")
    return state


def instant_not_before(now: str, last: str, slack_seconds: int) -> str:
    """The time to write: `now`, or `last` if the clock is behind it by at most the slack.

    Raises Refused(LEDGER_STOPPED) when the clock was set back further: entries never go back
    in time, and a node whose clock does must be looked at.
    """
    if now >= last:
        return now
    if (parse_instant(last) - parse_instant(now)).total_seconds() > slack_seconds:
        raise Refused(Code.LEDGER_STOPPED, what="clock", last=last)
    return last
