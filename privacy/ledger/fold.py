"""The rules of a ledger: which entry may follow which, and what it does to the balances.

Every rule is a function of the state and the entry alone. The node's store asks `step` before
it writes; an auditor asks `apply` for every entry of a ledger that others wrote. So a node and
an auditor cannot disagree about what is legal.
"""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

from privacy.accounting.individual import MOST_CEILING
from privacy.contract.policy import Rules
from privacy.contract.time import epoch_of, instant_text, parse_instant
from privacy.errors import Code, Refused, VerificationFailed
from privacy.ledger.attempt_entry import AttemptRefused
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
    Paused,
    PolicySet,
    Released,
    Reserve,
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
from privacy.ledger.linkage import link
from privacy.ledger.plans import commit, end, lose, reserve
from privacy.ledger.state import (
    LedgerState,
)
from privacy.ledger.steward_entry import (
    PeriodOpened,
    StewardEnded,
    StewardInvited,
    StewardJoined,
    StewardKeyChanged,
)
from privacy.ledger.stewards import (
    change_stewards,
    check_approvers,
    check_opener,
    check_policy_change,
    decided_by,
)
from privacy.ledger.successors import ResearcherKeyChanged, succeed
from privacy.ledger.upkeep import kept_up
from privacy.ledger.upkeep_entry import BackedUp, Leaving, Left, NodeKeyChanged, Restored


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
    if len(entry.data) > MAX_ENTRY_BYTES:
        raise Refused(Code.TOO_LARGE, most=MAX_ENTRY_BYTES)
    after = _after(state, entry.body, entry.at)
    return after.having(size=entry.seq + 1, head=entry.leaf.hex(), at=entry.at)


def supposed_step(state: LedgerState, body: Body, at: str) -> LedgerState:
    """The state after a statement that is only supposed, by the rules of `step`: it is counted,
    and neither encoded nor hashed, so that `head` stays. Raises Refused as `step` does."""
    return _after(state, body, at).having(size=state.size + 1, at=at)


def _after(state: LedgerState, body: Body, at: str) -> LedgerState:
    if at < state.at:
        raise Refused(Code.LEDGER_STOPPED, what="clock", last=state.at)
    if (state.genesis is None) != isinstance(body, Genesis):
        raise Refused(Code.CONFLICT, what="genesis")
    if state.leaving == "left":
        raise Refused(Code.CONFLICT, what="the organisation has left")
    return _effect(state, body, at)


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
            return reserve(state, body, at)
        case Commit():
            return commit(state, body, at)
        case Released() | Aborted() | Expired():
            return end(state, body, at)
        case Lost():
            return lose(state, body)
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
        case AttemptRefused():
            return _notice(state, body, at)
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
    return check_opener(state, body, at).opened_period(body)


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


def _date_consent(state: LedgerState, body: ConsentRoot, at: str) -> LedgerState:
    """One root a month, in its month: when it stands there says nothing of what changed."""
    if body.epoch != epoch_of(parse_instant(at).date()) or body.epoch <= state.consent_epoch:
        raise Refused(Code.CONFLICT, what="consent epoch")
    return state.having(consent_epoch=body.epoch)


def _notice(state: LedgerState, body: AttemptRefused, at: str) -> LedgerState:
    """One of each sort a day: nobody fills a ledger by what it refuses."""
    if state.noticed.get(body.what) == at[:10]:
        raise Refused(Code.CONFLICT, what="entered today")
    return state.having(noticed={**state.noticed, body.what: at[:10]})


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
