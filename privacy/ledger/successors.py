"""The entry and the rule about a researcher's key that another one takes the place of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from privacy.contract.facts import Sorted
from privacy.contract.researcher_key import MOST_OF_ONE, ResearcherKey, first_key, keys_from
from privacy.errors import BadInput, Code, Refused, VerificationFailed

if TYPE_CHECKING:
    from privacy.ledger.state import LedgerState


class ResearcherKeyChanged(Sorted):
    """From here on the old key asks nothing more, and the new one in its place."""

    kind: Literal["researcher-key"] = "researcher-key"
    change: ResearcherKey


def succeed(state: LedgerState, change: ResearcherKey) -> LedgerState:
    """The state with a key in another's place; raises Refused(CONFLICT), (KEY_REVOKED) or
    (NOT_PERMITTED)."""
    genesis = state.genesis
    try:
        change.check(genesis.network if genesis else "")
    except (VerificationFailed, BadInput):
        raise Refused(Code.NOT_PERMITTED, what="signature") from None
    if not state.revoked.isdisjoint({change.old, change.new}):
        raise Refused(Code.KEY_REVOKED)
    if len(keys_from(first_key(change.old, state.successors), state.successors)) > MOST_OF_ONE:
        raise Refused(Code.CONFLICT, what="too many keys")
    taken = {*state.successors, *state.successors.values()}
    if change.old in state.successors or change.new in taken:
        raise Refused(Code.CONFLICT, what="key has a successor, or was used before")
    return state.having(successors={**state.successors, change.old: change.new})
