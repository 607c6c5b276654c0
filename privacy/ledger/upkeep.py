"""The rules about a ledger's upkeep: that it was restored, and that its organisation leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from privacy.errors import Code, Refused
from privacy.ledger.upkeep_entry import Leaving, Left, Restored

if TYPE_CHECKING:
    from privacy.ledger.state import LedgerState


def leave(state: LedgerState, body: Leaving | Left) -> LedgerState:
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


def restore(state: LedgerState, body: Restored) -> LedgerState:
    """A restored ledger begins again with all that its backup held at least."""
    if body.size > state.size:
        raise Refused(Code.CONFLICT, what="behind the backup")
    return state
