"""The rules of a ledger: which entry may follow which, and what it does to the balances.

Every rule is a function of the state and the entry alone. The node's store asks `step` before
it writes; an auditor asks `apply` for every entry of a ledger that others wrote. So a node and
an auditor cannot disagree about what is legal.
"""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

from privacy.accounting.filter import remaining
from privacy.accounting.individual import MOST_CEILING
from privacy.contract.policy import Rules
from privacy.contract.time import epoch_of, instant_text, parse_instant
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.coordinator_entry import (
    CoordinatorAccepted,
    CoordinatorForked,
    CoordinatorKeyChanged,
)
from privacy.ledger.coordinators import change_coordinator
from privacy.ledger.desk_entry import Endorsement, QuestionDecided, Reviewed
from privacy.ledger.entry import (
    MAX_ENTRY_BYTES,
    Aborted,
    Approval,
    Body,
    Commit,
    ConsentRoot,
    ConsentText,
    DictionaryAdopted,
    Entry,
    Expired,
    Genesis,
    KeysRevoked,
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
)
from privacy.ledger.fields import parse_rho
from privacy.ledger.history import SHORTEST_PERIOD, told
from privacy.ledger.history_entry import (
    BudgetForfeited,
    HistoryAccepted,
    HistoryBroken,
    LedgerRecovered,
)
from privacy.ledger.link_entry import LinkBegun, Linked, LinkEnded
from privacy.ledger.linkage import check_counts, link
from privacy.ledger.state import (
    LedgerState,
    OpenPlan,
    OpenRound,
    delegation_account,
)
from privacy.ledger.steward_entry import (
    StewardEnded,
    StewardInvited,
    StewardJoined,
    StewardKeyChanged,
)
from privacy.ledger.stewards import (
    change_stewards,
    check_approvers,
    check_policy_change,
    decided_by,
)
from privacy.ledger.successors import ResearcherKeyChanged, succeed
from privacy.ledger.upkeep import kept_up
from privacy.ledger.upkeep_entry import BackedUp, Leaving, Left, NodeKeyChanged, Restored
from privacy.units import Rho


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
    STUDY_BUDGET_EXCEEDED, RESEARCHER_BUDGET_EXCEEDED, DELEGATION_EXCEEDED, QUESTION_LIMIT,
    NOT_DELEGATED, NOT_APPROVED, NOT_IN_PERIOD, DICTIONARY_MISMATCH, POLICY_FLOOR, PAUSED,
    EXPIRED, REPLAYED, TOO_MANY_ATTEMPTS, PLAN_MISMATCH, TOO_LARGE, NOT_LINKED, RATE_LIMITED,
    HISTORY_BROKEN,
    LEDGER_STOPPED (time runs backwards) or CONFLICT.
    """
    if entry.at < state.at:
        raise Refused(Code.LEDGER_STOPPED, what="clock", last=state.at)
    if (state.genesis is None) != isinstance(entry.body, Genesis):
        raise Refused(Code.CONFLICT, what="genesis")
    if state.leaving == "left":
        raise Refused(Code.CONFLICT, what="the organisation has left")
    if len(entry.data) > MAX_ENTRY_BYTES:
        raise Refused(Code.TOO_LARGE, most=MAX_ENTRY_BYTES)
    after = _effect(state, entry.body, entry.at)
    return after.having(size=entry.seq + 1, head=entry.leaf.hex(), at=entry.at)


def _effect(state: LedgerState, body: Body, at: str) -> LedgerState:
    match body:
        case Genesis():
            return state.having(genesis=body, key=body.key)
        case PolicySet():
            return _set_policy(state, body, at)
        case PeriodOpened():
            return _open_period(state, body, at)
        case RosterPinned():
            return _pin_roster(state, body)
        case DictionaryAdopted():
            return state.having(dictionary=body.dictionary)
        case Endorsement():
            return _endorse(state, body, at)
        case Approval():
            return _decide(state, body, at)
        case Reviewed():
            return state.having(reviewed=state.reviewed | {body.study_digest})
        case KeysRevoked():
            return _revoke(state, body)
        case ResearcherKeyChanged():
            return succeed(state, body.change)
        case QuestionDecided():
            allowed = body.decision == "allowed"
            return state.having(looked={**state.looked, body.mark: allowed})
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
        case ConsentText():
            return state.having(texts=state.texts | {body.text})
        case ConsentRoot():
            return _date_consent(state, body, at)
        case Witnessed():
            return _witness(state, body)
        case StewardInvited() | StewardJoined() | StewardKeyChanged() | StewardEnded():
            return change_stewards(state, body, at)
        case BackedUp() | Restored() | Leaving() | Left() | NodeKeyChanged():
            return kept_up(state, body, at)
        case CoordinatorKeyChanged() | CoordinatorForked() | CoordinatorAccepted():
            return change_coordinator(state, body, at)
        case HistoryBroken() | HistoryAccepted() | LedgerRecovered() | BudgetForfeited():
            return told(state, body, at)
        case LinkBegun() | Linked() | LinkEnded():
            return link(state, body, at)
        case _:
            assert_never(body)


def _set_policy(state: LedgerState, body: PolicySet, at: str) -> LedgerState:
    if parse_rho(body.public_rho) < parse_rho(body.yearly_rho):
        raise Refused(Code.CONFLICT, what="ceiling below what one member may lose")
    if body.individual and parse_rho(body.public_rho) > MOST_CEILING:
        raise Refused(Code.CONFLICT, what="ceiling")
    if body.individual and body.rules.linking is not None:
        raise Refused(Code.CONFLICT, what="linking")
    return check_policy_change(state, body, at).having(policy=body)


def _open_period(state: LedgerState, body: PeriodOpened, at: str) -> LedgerState:
    if state.leaving:
        raise Refused(Code.CONFLICT, what="the organisation is leaving")
    if state.policy is None or parse_rho(body.budget_rho) > parse_rho(state.policy.public_rho):
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


def _decide(state: LedgerState, body: Approval, at: str) -> LedgerState:
    if body.decision == "withdrawn" and body.study_digest not in state.approvals:
        raise Refused(Code.NOT_APPROVED, what="nothing to withdraw")
    after, key = decided_by(state, body, at)
    if body.decision == "approved" and state.policy is not None:
        check_approvers(state, body, state.policy.rules, key)
        _check_embargo(body, state.policy.rules, at)
    return after.decided(body)


def _endorse(state: LedgerState, body: Endorsement, at: str) -> LedgerState:
    after, key = decided_by(state, body, at)
    if not key:
        raise Refused(Code.NOT_APPROVED, what="needs a steward's key")
    return after.having(endorsed={**state.endorsed, body.study_digest: key})


def _revoke(state: LedgerState, body: KeysRevoked) -> LedgerState:
    for named in (body.keys, body.delegations):
        if list(named) != sorted(set(named) - state.revoked):
            raise Refused(Code.CONFLICT, what="keys")
    if not (body.keys or body.delegations):
        raise Refused(Code.CONFLICT, what="keys")
    return state.having(revoked=state.revoked | set(body.keys) | set(body.delegations))


def _check_embargo(body: Approval, rules: Rules, at: str) -> None:
    earliest = instant_text(parse_instant(at) + timedelta(days=rules.embargo_days))
    if rules.embargo_days and (body.answers_from is None or body.answers_from < earliest):
        raise Refused(Code.POLICY_FLOOR, what="embargo")


def _reserve(state: LedgerState, body: Reserve, at: str) -> LedgerState:
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
    left = min(remaining(quota, spent) for _, quota, spent in limits)
    for code, quota, spent in limits:
        if not spent + cost <= quota:  # what would fit has to fit everywhere
            raise Refused(code, needed=cost.text, left=min(left, state.left).text)
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


def _commit(state: LedgerState, body: Commit, at: str) -> LedgerState:
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


def _date_consent(state: LedgerState, body: ConsentRoot, at: str) -> LedgerState:
    """One root a month, in its month: when it stands there says nothing of what changed."""
    if body.epoch != epoch_of(parse_instant(at).date()) or body.epoch <= state.consent_epoch:
        raise Refused(Code.CONFLICT, what="consent epoch")
    return state.having(consent_epoch=body.epoch)


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
