"""The rules about the coordinator's key: which one a node goes by, and who may change it.

Guarantee: the key changes by a statement that the key in force signed, once and in order, or by
a steward's decision, with a steward's own key where two of them have to decide. Two successors
of one key stop the node.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, assert_never

from privacy.checkpoint import LOG
from privacy.contract.coordinator_key import CoordinatorKey
from privacy.contract.signing import FormerKey, PublicKey
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.coordinator_entry import (
    CoordinatorAccepted,
    CoordinatorBody,
    CoordinatorForked,
    CoordinatorKeyChanged,
)
from privacy.ledger.stewards import signed_by

if TYPE_CHECKING:
    from privacy.ledger.state import LedgerState


def change_coordinator(state: LedgerState, body: CoordinatorBody, at: str) -> LedgerState:
    """The state after one of these entries; raises Refused(CONFLICT) or (NOT_PERMITTED)."""
    match body:
        case CoordinatorKeyChanged():
            return _follow(state, body.change)
        case CoordinatorForked():
            return _fork(state, body.change)
        case CoordinatorAccepted():
            return _accept(state, body, at)
        case _:
            assert_never(body)


def coordinator_of(state: LedgerState, first: PublicKey) -> PublicKey:
    """The key in force, with those before it; `first` until the ledger names another."""
    if not state.coordinator:
        return PublicKey(first.raw)
    former = [FormerKey(PublicKey.from_text(k), until) for k, until in state.former_coordinators]
    return PublicKey(PublicKey.from_text(state.coordinator).raw, tuple(former))


def _follow(state: LedgerState, change: CoordinatorKey) -> LedgerState:
    if state.coordinator not in ("", change.old) or state.forked:
        raise Refused(Code.CONFLICT, what="another key is in force")
    former = (*state.former_coordinators, (change.old, change.until))
    _check(state, change)
    if change.new in [change.old, *(key for key, _ in former)]:
        raise Refused(Code.CONFLICT, what="key was used before")
    return state.having(coordinator=change.new, former_coordinators=former)


def _fork(state: LedgerState, change: CoordinatorKey) -> LedgerState:
    """Evidence alone is entered: both keys signed it, and the old one has another successor."""
    _check(state, change)
    if not is_fork(state, change):
        raise Refused(Code.CONFLICT, what="no second successor")
    if change.digest in state.forks:
        raise Refused(Code.CONFLICT, what="known")
    return state.having(forked=change.new, forks=state.forks | {change.digest})


def is_fork(state: LedgerState, change: CoordinatorKey) -> bool:
    """Whether a change names another successor than was followed, and no steward decided since."""
    keys = [*(key for key, _ in state.former_coordinators), state.coordinator]
    followed = list(pairwise(keys))[state.decided_coordinators :]  # a key may come back
    other = change.old in [old for old, _ in followed]
    return change.signed and other and (change.old, change.new) not in followed


def _check(state: LedgerState, change: CoordinatorKey) -> None:
    genesis = state.genesis
    try:
        change.check(genesis.network if genesis else "")
    except (VerificationFailed, BadInput):
        raise Refused(Code.NOT_PERMITTED, what="signature") from None
    if not change.signed:
        raise Refused(Code.NOT_PERMITTED, what="the old key did not sign")


def _accept(state: LedgerState, body: CoordinatorAccepted, at: str) -> LedgerState:
    """A steward's decision; with a key of their own where the policy asks for two of them."""
    if state.coordinator not in ("", body.old):
        raise Refused(Code.CONFLICT, what="another key is in force")
    if body.key == body.old and not state.forked:
        raise Refused(Code.CONFLICT, what="is in force already")
    after = state
    if body.signed is not None:
        after = signed_by(state, body.signed, body.word, body.by, at)
    elif state.stewards and state.policy is not None and state.policy.rules.approvers > 1:
        raise Refused(Code.NOT_PERMITTED, what="needs a steward's key")
    former = state.former_coordinators
    if body.key != body.old:  # what the old one signed last nobody knows: heads of its log are over
        former = (*former, (body.old, 0))
    faults = {of: each for of, each in after.faults.items() if of != LOG}
    return after.having(
        coordinator=body.key,
        former_coordinators=former,
        decided_coordinators=len(former),
        forked="",
        faults=faults,
    )
