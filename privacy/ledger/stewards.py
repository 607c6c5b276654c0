"""The rules about stewards' keys: who joins and ends, and which words count.

Guarantee: where stewards have joined, another joins, or one is ended, only by a steward's own
signature; what two stewards have to decide was signed by two keys in force, whatever names stand
beside. A period opens by a signature alone: a joined steward's, or, before anybody joined, that of
the key in the ledger's first entry. A signature counts once, in one ledger. Keys that are all lost
are replaced without one, openly, and count only after `RECOVERY`, in which any steward who still
has a key can end it.
Assumes: stewards keep their keys apart from the node's folder and from each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from privacy.contract.canonical import Json, digest
from privacy.contract.policy import Automatic, Rules
from privacy.contract.time import instant_text, parse_instant
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.desk_entry import Endorsement
from privacy.ledger.entry import Approval, PolicySet
from privacy.ledger.steward_entry import (
    PeriodOpened,
    Signed,
    StewardBody,
    StewardEnded,
    StewardInvited,
    StewardJoined,
    StewardKeyChanged,
    decision_word,
    policy_word,
)

if TYPE_CHECKING:
    from privacy.ledger.state import LedgerState

RECOVERY = timedelta(days=7)
LONGEST_INVITATION = timedelta(days=14)
LONGEST_WAY = timedelta(days=1)  # between a signature and its entry
Decision = Approval | Endorsement | PolicySet


@dataclass(frozen=True)
class Steward:
    """A steward who joined; the key counts from `since` on."""

    name: str
    since: str


def word_of(body: Decision) -> Json:
    """What a steward signs for one of these entries."""
    match body:
        case Endorsement():
            return decision_word(body.study_digest, "approved", body.reason)
        case Approval():
            return decision_word(body.study_digest, body.decision, body.reason)
        case PolicySet():
            return policy_word(policy_digest(body), body.reason)
        case _:
            assert_never(body)


def policy_digest(body: PolicySet) -> str:
    """The digest of a policy's figures and rules, whoever sets it."""
    return digest(
        {n: v for n, v in body.to_json().items() if n not in ("by", "reason", "signed", "kind")}
    )


def change_stewards(state: LedgerState, body: StewardBody, at: str) -> LedgerState:
    """The state after one of these entries; raises Refused(NOT_PERMITTED) or (CONFLICT)."""
    match body:
        case StewardInvited():
            return _invite(state, body, at)
        case StewardJoined():
            return _join(state, body, at)
        case StewardKeyChanged():
            return _change_key(state, body)
        case StewardEnded():
            after = signed_by(state, body.signed, body.word, body.by, at)
            return _without(after, body.key)
        case _:
            assert_never(body)


def signed_by(state: LedgerState, signed: Signed, word: Json, by: str, at: str) -> LedgerState:
    """The state with one signature used up; raises Refused(NOT_PERMITTED) unless it counts."""
    steward = state.stewards.get(signed.key)
    if steward is None or at < steward.since or steward.name != by:
        raise Refused(Code.NOT_PERMITTED, what="no steward's key, or another name")
    return _used_up(state, signed, word, at)


def _used_up(state: LedgerState, signed: Signed, word: Json, at: str) -> LedgerState:
    if signed.signature in state.signatures:
        raise Refused(Code.REPLAYED, what="signature")
    if abs(parse_instant(at) - parse_instant(signed.at)) > LONGEST_WAY:
        raise Refused(Code.EXPIRED, what="signature")
    genesis = state.genesis
    try:
        signed.check(genesis.node if genesis else "", genesis.network if genesis else "", word)
    except (VerificationFailed, BadInput):
        raise Refused(Code.NOT_PERMITTED, what="signature") from None
    return state.having(signatures=state.signatures | {signed.signature})


def decided_by(state: LedgerState, body: Decision, at: str) -> tuple[LedgerState, str]:
    """The state with a decision's signature used up, and the key that signed it ("" for none)."""
    if body.signed is None:
        return state, ""
    return signed_by(state, body.signed, word_of(body), body.by, at), body.signed.key


def check_policy_change(state: LedgerState, body: PolicySet, at: str) -> LedgerState:
    """A policy that asks for two stewards is changed by a steward's signature alone."""
    after, key = decided_by(state, body, at)
    two = state.policy is not None and state.policy.rules.approvers > 1
    if two and state.stewards and not key:
        raise Refused(Code.NOT_PERMITTED, what="needs a steward's key")
    return after


def check_opener(state: LedgerState, body: PeriodOpened, at: str) -> LedgerState:
    """A period is opened by a steward's signature; raises Refused(NOT_PERMITTED) without."""
    if body.signed is None:
        raise Refused(Code.NOT_PERMITTED, what="needs a steward's key")
    if founding_key(state) == body.signed.key:
        return _used_up(state, body.signed, body.word, at)
    return signed_by(state, body.signed, body.word, body.by, at)


def founding_key(state: LedgerState) -> str:
    """The key that was made with the node, until somebody joins with their own; then ""."""
    if state.genesis is None or state.stewards or state.former_stewards:
        return ""
    return state.genesis.steward


def check_approvers(state: LedgerState, body: Approval, rules: Rules, key: str) -> None:
    """Two stewards' keys where the policy says so; nothing automatic that it does not name."""
    first = state.endorsed.get(body.study_digest)
    if rules.approvers > 1 and (body.how == "policy" or first in (None, key) or not key):
        raise Refused(Code.NOT_APPROVED, what="needs two stewards")
    if rules.reviewed and body.study_digest not in state.reviewed:
        raise Refused(Code.NOT_APPROVED, what="needs a patient reviewer")
    if body.how == "policy" and Automatic.APPROVE_KNOWN not in rules.automatic:
        raise Refused(Code.NOT_APPROVED, what="the policy approves nothing by itself")


def _invite(state: LedgerState, body: StewardInvited, at: str) -> LedgerState:
    lifetime = parse_instant(body.expires) - parse_instant(at)
    if not timedelta() < lifetime <= LONGEST_INVITATION:
        raise Refused(Code.EXPIRED, what="invitation")
    if body.signed is not None:
        state = signed_by(state, body.signed, body.word, body.by, at)
    elif state.stewards and not body.recovery:
        raise Refused(Code.NOT_PERMITTED, what="needs a steward's key")
    if body.invitation in state.invited or body.invitation in state.stewards:
        raise Refused(Code.CONFLICT, what="invitation")
    return state.having(invited={**state.invited, body.invitation: body})


def _join(state: LedgerState, body: StewardJoined, at: str) -> LedgerState:
    invitation = state.invited.get(body.invitation)
    if invitation is None or not at < invitation.expires:
        raise Refused(Code.NOT_PERMITTED, what="no such invitation")
    _check_new(state, body.key)
    _hold(body.check)
    wait = invitation.signed is None and bool(state.stewards)
    since = instant_text(parse_instant(at) + RECOVERY) if wait else at
    invited = {key: each for key, each in state.invited.items() if key != body.invitation}
    stewards = {**state.stewards, body.key: Steward(invitation.name, since)}
    return state.having(invited=invited, stewards=stewards)


def _change_key(state: LedgerState, body: StewardKeyChanged) -> LedgerState:
    steward = state.stewards.get(body.old)
    if steward is None or state.genesis is None:
        raise Refused(Code.NOT_PERMITTED, what="no steward's key")
    _check_new(state, body.new)
    genesis = state.genesis
    _hold(lambda: body.check(genesis.node, genesis.network))
    endorsed = {d: body.new if k == body.old else k for d, k in state.endorsed.items()}
    after = _without(state, body.old)
    stewards = {**after.stewards, body.new: steward}
    return after.having(stewards=stewards, endorsed=endorsed)


def _check_new(state: LedgerState, key: str) -> None:
    if key in state.stewards or key in state.former_stewards or key in state.invited:
        raise Refused(Code.CONFLICT, what="key was used before")


def _without(state: LedgerState, key: str) -> LedgerState:
    """Without a key that counted; what it alone had approved first has to be approved again."""
    if key not in state.stewards:
        raise Refused(Code.NOT_FOUND, what="steward")
    return state.having(
        stewards={other: each for other, each in state.stewards.items() if other != key},
        former_stewards=state.former_stewards | {key},
        endorsed={d: by for d, by in state.endorsed.items() if by != key},
    )


def _hold(check: Callable[[], None]) -> None:
    try:
        check()
    except (VerificationFailed, BadInput):
        raise Refused(Code.NOT_PERMITTED, what="signature") from None
