"""The rules about a ledger's upkeep: restores, keys, and that its organisation leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.upkeep_entry import (
    BackedUp,
    Leaving,
    Left,
    NodeKeyChanged,
    Restored,
    UpkeepBody,
)

if TYPE_CHECKING:
    from privacy.ledger.state import LedgerState


def kept_up(state: LedgerState, body: UpkeepBody, at: str) -> LedgerState:
    """The state after one of these entries; raises Refused(CONFLICT) or (NOT_PERMITTED)."""
    match body:
        case BackedUp():
            return state.having(backed_up=at)
        case Restored():
            return _restore(state, body)
        case Leaving() | Left():
            return _leave(state, body)
        case NodeKeyChanged():
            return _change_key(state, body)
        case _:
            assert_never(body)


def _leave(state: LedgerState, body: Leaving | Left) -> LedgerState:
    """Nothing new from `leaving` on, and the last entry once nothing runs any more."""
    match body:
        case Leaving():
            if state.leaving:
                raise Refused(Code.CONFLICT, what="leaving already")
            return state.having(leaving="leaving")
        case Left():
            if not state.leaving or state.plans:
                raise Refused(Code.CONFLICT, what="runs are under way")
            return state.having(leaving="left")
        case _:
            assert_never(body)


def _restore(state: LedgerState, body: Restored) -> LedgerState:
    """A restored ledger begins again with all that its backup held at least."""
    if body.size > state.size:
        raise Refused(Code.CONFLICT, what="behind the backup")
    return state


def _change_key(state: LedgerState, body: NodeKeyChanged) -> LedgerState:
    """The new key signs from here on; both keys have to say so, of this place in this ledger."""
    genesis, former = state.genesis, [key for key, _ in state.former_keys]
    if genesis is None or body.old != state.key or body.until != state.size:
        raise Refused(Code.CONFLICT, what="key")
    if body.new in (state.key, *former):
        raise Refused(Code.CONFLICT, what="key was used before")
    try:
        body.check(genesis.network, genesis.node)
    except (VerificationFailed, BadInput):
        raise Refused(Code.NOT_PERMITTED, what="signature") from None
    return state.having(key=body.new, former_keys=(*state.former_keys, (body.old, body.until)))
