"""The linkages of a bundle: who was linked with whom, and that every node learnt the same.

What cannot be checked afterwards is who is whom: pseudonyms mean nothing once the nodes have
forgotten their secrets. That each person was given one place is what the nodes compared their
dummies for, before they signed the transcript.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from coordinator.audit.bundle import Bundle
from coordinator.audit.documents import Network, at, require
from privacy.contract.canonical import digest as digest_of
from privacy.contract.plan import Plan
from privacy.contract.signing import Envelope
from privacy.errors import ProtocolError, VerificationFailed
from privacy.ledger.entry import Reserve
from privacy.ledger.link_entry import LinkBegun, Linked
from privacy.ledger.state import LedgerState
from privacy.linkage.session import SESSION, LinkAdvert, LinkSession, list_size
from privacy.linkage.transcript import LinkTranscript, check_transcript, open_learnt
from privacy.log import Logged


@dataclass(frozen=True)
class Linkage:
    """A signed session; `transcript` is "" where it came to nothing, `sizes` what was declared."""

    session: LinkSession
    transcript: str
    sizes: dict[str, int]


def read_linkages(bundle: Bundle, network: Network) -> dict[str, Linkage]:
    """Every linkage by its session's digest, with every signature in it checked."""
    found = {}
    for digest in bundle.named("linkages"):
        name = f"linkages/{digest}.json"
        value = bundle.json(name)
        with at(name):
            try:
                found[digest] = _linkage(bundle, network, digest, value)
            except ProtocolError as error:
                raise VerificationFailed(str(error)) from None
    return found


def _linkage(bundle: Bundle, network: Network, digest: str, value: Any) -> Linkage:
    require(isinstance(value, dict) and set(value) == {"session", "transcript", "learnt"}, "form")
    signer = bundle.signer(Logged.LINKAGE, digest)
    session = LinkSession.from_json(Envelope.from_json(value["session"]).open(SESSION, signer))
    require(session.digest == digest, "is filed under another digest")
    require(session.network == network.name, "is of another network")
    roster = network.rosters.get(session.roster)
    if roster is None or not set(session.nodes) <= set(roster.keys):
        raise VerificationFailed("roster is not in the bundle, or does not hold its nodes")
    if value["transcript"] is None:
        return Linkage(session, "", {})
    transcript = LinkTranscript.from_json(value["transcript"])
    check_transcript(session, transcript, roster.keys)
    learnt = [Envelope.from_json(each) for each in value["learnt"]]
    said = open_learnt(session.digest, session.nodes, learnt, roster.keys)
    require(said == digest_of(transcript.to_json()), "nodes signed another transcript")
    adverts = {node: LinkAdvert.from_json(e["body"]) for node, e in transcript.adverts.items()}
    return Linkage(session, said, {node: each.size for node, each in adverts.items()})


def check_begun(linkages: dict[str, Linkage], node: str, body: LinkBegun) -> str:
    """A charge for a linkage against its session; returns it in words."""
    found = linkages.get(body.session)
    if found is None:
        raise VerificationFailed("begins a linkage that is not in the bundle")
    session = found.session
    require(node in session.nodes, "the linkage does not name this node")
    agrees = (body.nodes, body.fields, body.ends) == (session.nodes, session.fields, session.ends)
    require(agrees, "does not agree with its linkage")
    size = found.sizes.get(node, list_size(body.room, body.nodes))
    require(size == list_size(body.room, body.nodes), "declared another number of members")
    return f"with {', '.join(n for n in body.nodes if n != node)}, by {', '.join(body.fields)}"


def check_linked(linkages: dict[str, Linkage], body: Linked) -> None:
    """What a ledger says is in force was learnt by every node, by the transcript it names."""
    found = linkages.get(body.session)
    require(found is not None and found.transcript == body.transcript, "no such transcript")


def check_counts_by(body: Reserve, plan: Plan, before: LedgerState) -> None:
    """A linked plan counts by the linkage in force, and is answered by exactly its nodes."""
    require(body.linkage == plan.linkage, "does not agree with its plan: linkage")
    if plan.linkage:
        nodes = before.linkage.begun.nodes if before.linkage else ()
        require(plan.participants == nodes, "is answered by others than were linked")
