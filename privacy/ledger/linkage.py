"""The rules of linkages in a ledger: who may be linked with whom, how often, and at what cost.

A part of `privacy.ledger.fold`: node and auditor ask the same functions. What a linkage costs
is charged when it begins, through the filter that every question passes, and never given back.
"""

from __future__ import annotations

from privacy.contract.policy import Linking
from privacy.errors import Code, Refused
from privacy.ledger.fields import parse_rho
from privacy.ledger.link_entry import Linkage, LinkBegun, LinkBody, Linked, LinkEnded
from privacy.ledger.state import LedgerState
from privacy.linkage.dummies import COST, LOG2_SIGMA


def link(state: LedgerState, body: LinkBody, at: str) -> LedgerState:
    """The state after an entry on a linkage; raises Refused."""
    match body:
        case LinkBegun():
            return _begin(state, body, at)
        case Linked():
            return _keep(state, body, at)
        case LinkEnded():
            return _end(state, body)


def check_counts(state: LedgerState, linkage: str, at: str) -> None:
    """Refuse a reservation that counts by a linkage which is not in force here.

    Raises Refused(NOT_LINKED).
    """
    if not linkage:
        return
    known = state.linkage
    if known is None or known.session != linkage or not known.holds(at):
        raise Refused(Code.NOT_LINKED)


def _begin(state: LedgerState, body: LinkBegun, at: str) -> LedgerState:
    if state.paused or state.leaving:
        raise Refused(Code.PAUSED)
    if body.session in state.link_sessions:
        raise Refused(Code.REPLAYED)
    period = state.period
    if period is None or not period.starts <= at < period.ends:
        raise Refused(Code.NOT_IN_PERIOD)
    if not at[:10] <= body.ends <= period.ends[:10]:
        raise Refused(Code.NOT_IN_PERIOD, what="linkage")
    if state.linkage is not None and state.linkage.holds(at):
        raise Refused(Code.CONFLICT, what="a linkage is in force")
    _check_agreed(state, body)
    if (body.log2_sigma, parse_rho(body.rho)) != (LOG2_SIGMA, COST):
        raise Refused(Code.PLAN_MISMATCH, what="rho")
    state.admit(COST)
    return state.begun_link(body)


def _check_agreed(state: LedgerState, body: LinkBegun) -> None:
    """What the organisation's signed policy says of linkages, and no more."""
    agreed: Linking | None = state.policy.rules.linking if state.policy else None
    own = state.genesis.node if state.genesis else ""
    if agreed is None or own not in body.nodes:
        raise Refused(Code.POLICY_FLOOR, what="linkage")
    others = set(body.nodes) - {own}
    if not others <= set(agreed.partners) or list(body.nodes) != sorted({own, *others}):
        raise Refused(Code.POLICY_FLOOR, what="linkage partners")
    if body.fields != agreed.fields or body.room != agreed.room:
        raise Refused(Code.POLICY_FLOOR, what="linkage fields or room")
    if state.links >= agreed.a_year:
        raise Refused(Code.RATE_LIMITED, what="linkages", most=agreed.a_year)


def _keep(state: LedgerState, body: Linked, at: str) -> LedgerState:
    begun = state.linking
    if begun is None or begun.session != body.session:
        raise Refused(Code.CONFLICT, what="no such linkage is under way")
    kept = Linkage(begun=begun, transcript=body.transcript)
    if not kept.holds(at):
        raise Refused(Code.EXPIRED, what="linkage")
    return state.having(linkage=kept, linking=None)


def _end(state: LedgerState, body: LinkEnded) -> LedgerState:
    if state.linking is not None and state.linking.session == body.session:
        return state.having(linking=None)
    if state.linkage is not None and state.linkage.session == body.session and body.by:
        return state.having(linkage=None)
    raise Refused(Code.CONFLICT, what="no such linkage")
