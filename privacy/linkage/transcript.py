"""What is left of a linkage for those who come after: who sent what, by hash and signature.

Nodes make the transcript for themselves and sign its digest; the coordinator keeps it. No list
of points is in it: a finished pseudonym means nothing to anybody once the secrets are gone.

Guarantee: nodes that sign one digest saw one session, the same adverts, the same finished lists
and the same sealed words on the dummies.
Assumes: identity keys are pinned with the roster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from privacy.contract.canonical import b64
from privacy.contract.facts import Fact
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.errors import BadInput, ProtocolError, VerificationFailed
from privacy.linkage.session import LinkSession, open_adverts, open_finished

LEARNT = "link-learnt"


class LinkTranscript(Fact):
    """Adverts, finished lists (without points) and the words on the dummies, by node."""

    session: str
    adverts: dict[str, dict[str, Any]]
    lists: dict[str, dict[str, Any]]
    vouched: dict[str, str]  # base64: sealed for the nodes alone


class Learnt(Fact):
    """A node's word that it compared all dummies and knows what it counts."""

    session: str
    node: str
    transcript: str


def transcript_of(
    session: LinkSession,
    adverts: Mapping[str, Envelope],
    lists: Mapping[str, Envelope],
    vouched: Mapping[str, bytes],
) -> LinkTranscript:
    """The transcript of what was seen; the same for whoever saw the same."""
    return LinkTranscript(
        session=session.digest,
        adverts={node: adverts[node].to_json() for node in session.nodes},
        lists={node: lists[node].to_json() for node in session.nodes},
        vouched={node: b64(vouched[node]) for node in session.nodes},
    )


def check_finished(
    session: LinkSession, lists: Sequence[Envelope], keys: Mapping[str, PublicKey]
) -> dict[str, Envelope]:
    """The finished list of every owner; raises ProtocolError unless all raised all of them."""
    found: dict[str, Envelope] = {}
    for envelope in lists:
        found[open_finished(session, envelope, keys).owner] = envelope
    if sorted(found) != list(session.nodes) or len(lists) != len(found):
        raise ProtocolError("one finished list of every node, and no other")
    return found


def check_transcript(
    session: LinkSession, transcript: LinkTranscript, keys: Mapping[str, PublicKey]
) -> None:
    """Every signature in it again; raises ProtocolError or BadInput."""
    if transcript.session != session.digest:
        raise ProtocolError("the transcript of another session")
    adverts = [Envelope.from_json(each) for each in transcript.adverts.values()]
    open_adverts(session, adverts, keys)
    lists = [Envelope.from_json(each) for each in transcript.lists.values()]
    if list(check_finished(session, lists, keys)) != sorted(transcript.lists):
        raise ProtocolError("a list under another's name")
    if sorted(transcript.vouched) != list(session.nodes):
        raise ProtocolError("what one node vouched for is missing")


def seal_learnt(session: LinkSession, node: str, transcript: str, key: SigningKey) -> Envelope:
    """A node's statement that it learnt by this transcript."""
    said = Learnt(session=session.digest, node=node, transcript=transcript)
    return Envelope.seal(LEARNT, said.to_json(), key)


def open_learnt(
    session: str,
    nodes: Sequence[str],
    statements: Sequence[Envelope],
    keys: Mapping[str, PublicKey],
) -> str:
    """The one transcript that all nodes of the session learnt by; raises ProtocolError."""
    said: dict[str, str] = {}
    for envelope in statements:
        learnt = _opened(envelope)
        if learnt.session != session or keys.get(learnt.node) != envelope.key:
            raise ProtocolError("a statement on another session, or a stranger's")
        said[learnt.node] = learnt.transcript
    if sorted(said) != sorted(nodes) or len(set(said.values())) != 1:
        raise ProtocolError("not every node learnt by one transcript")
    return next(iter(said.values()))


def _opened(envelope: Envelope) -> Learnt:
    try:
        return Learnt.from_json(envelope.open(LEARNT, envelope.key))
    except (VerificationFailed, BadInput):
        raise ProtocolError("not a statement on a linkage") from None
