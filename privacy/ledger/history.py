"""What a ledger's rules say of histories that broke, and of ways out of a restored backup."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

from privacy.checkpoint import LOG
from privacy.contract.time import parse_instant
from privacy.errors import Code, Refused
from privacy.ledger.history_entry import (
    BudgetForfeited,
    HistoryAccepted,
    HistoryBroken,
    LedgerRecovered,
    Told,
)
from privacy.ledger.state import LedgerState

SHORTEST_PERIOD = timedelta(days=365)  # a policy's limit is for a year


def told(state: LedgerState, body: Told, at: str) -> LedgerState:
    """The state after what an entry tells of a broken history; raises Refused(CONFLICT)."""
    match body:
        case HistoryBroken():
            return _break(state, body)
        case HistoryAccepted():
            return _accept(state, body)
        case LedgerRecovered():
            return _recover(state, body)
        case BudgetForfeited():
            return _forfeit(state, body, at)
        case _:
            assert_never(body)


def _break(state: LedgerState, body: HistoryBroken) -> LedgerState:
    if body.of in state.faults:
        raise Refused(Code.CONFLICT, what="broken already")
    return state.having(faults={**state.faults, body.of: body})


def _accept(state: LedgerState, body: HistoryAccepted) -> LedgerState:
    if body.of == LOG and not state.halted:
        raise Refused(Code.CONFLICT, what="nothing is broken")
    return state.having(faults={of: f for of, f in state.faults.items() if of != body.of})


def _recover(state: LedgerState, body: LedgerRecovered) -> LedgerState:
    if body.kept >= state.size:
        raise Refused(Code.CONFLICT, what="nothing came back")
    return state


def _forfeit(state: LedgerState, body: BudgetForfeited, at: str) -> LedgerState:
    """A year, or what is left of the period if that is more, in which nothing is left."""
    policy, period = state.policy, state.period
    if policy is None or body.rho != policy.yearly_rho:
        raise Refused(Code.CONFLICT, what="rho is not the policy's")
    if parse_instant(body.ends) - parse_instant(at) < SHORTEST_PERIOD:
        raise Refused(Code.CONFLICT, what="period is shorter than a year")
    if period is not None and body.ends < period.ends:
        raise Refused(Code.CONFLICT, what="period is shorter than the one before")
    return state.forfeited(body, at)
