"""Whether this node takes part in a linkage: decided from public facts alone, as `node.gate` does.

What the organisation's policy says of partners, fields and room, and what the budget allows, is
the ledger's to refuse (`privacy.ledger.linkage`); here is what the ledger does not know.
"""

from __future__ import annotations

from datetime import timedelta

from node.gate import CLOCK_SKEW, Facts, check_ready
from privacy.contract.dictionary import ColumnRef, Dictionary, Rows
from privacy.contract.signing import Envelope
from privacy.contract.time import parse_instant
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.link_entry import LinkBegun
from privacy.linkage.dummies import COST, LOG2_SIGMA
from privacy.linkage.session import SESSION, LinkSession

LONGEST_LINKAGE = timedelta(hours=24)


def decide_linkage(envelope: Envelope, facts: Facts, network: str) -> LinkSession:
    """The session, if this node may take part in it; raises Refused with a catalogue code."""
    try:
        session = LinkSession.from_json(envelope.open(SESSION, facts.coordinator))
    except (VerificationFailed, BadInput):
        raise Refused(Code.BAD_SIGNATURE, what="linkage") from None
    check_ready(facts)
    _check_time(session, facts)
    if session.network != network or session.roster != facts.roster.digest:
        raise Refused(Code.ROSTER_MISMATCH)
    if facts.node not in session.nodes or not set(session.nodes) <= set(facts.roster.keys):
        raise Refused(Code.ROSTER_MISMATCH, what="linkage")
    if not set(session.nodes) <= facts.confirmed:
        raise Refused(Code.PEERS_NOT_CONFIRMED)
    if session.dictionary != facts.dictionary.digest:
        raise Refused(Code.DICTIONARY_MISMATCH)
    fields_of(session.fields, facts.dictionary)
    return session


def _check_time(session: LinkSession, facts: Facts) -> None:
    created, expires = parse_instant(session.created), parse_instant(session.expires)
    if not created - CLOCK_SKEW <= facts.now < expires or expires - created > LONGEST_LINKAGE:
        raise Refused(Code.EXPIRED, what="linkage")


def fields_of(names: tuple[str, ...], dictionary: Dictionary) -> tuple[ColumnRef, ...]:
    """The identifiers by which a person is recognised; raises Refused for any other column.

    What is no identifier could be asked about: it must not be what tells two people apart.
    """
    found = [dictionary.refs.get(name) for name in names]
    fields = tuple(ref for ref in found if ref is not None)
    sound = all(ref.column.identifier and ref.table.rows is Rows.ONE for ref in fields)
    if len(fields) != len(names) or not sound:
        raise Refused(Code.UNKNOWN_COLUMN, what="linkage fields")
    return fields


def charge_of(session: LinkSession, room: int) -> LinkBegun:
    """What the ledger is told, and charged, before a member is looked up."""
    return LinkBegun(
        session=session.digest,
        nodes=session.nodes,
        fields=session.fields,
        room=room,
        ends=session.ends,
        log2_sigma=LOG2_SIGMA,
        rho=COST.text,
    )
