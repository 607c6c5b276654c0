"""What the nodes and the coordinator of one linkage sign.

Every node signs its advert and every list it hands on. A list names who made it and, in order,
who raised it, so that each node checks that it comes from the neighbour it must come from, and
was raised by nobody twice.

Guarantee: a node raises each organisation's list once, in one place of the ring, and no list of
another session, of a stranger, or of another length than advertised.
Assumes: identity keys are pinned with the roster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from privacy.contract.canonical import sha256_hex
from privacy.contract.facts import Fact
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.contract.time import parse_day, parse_instant
from privacy.errors import BadInput, ProtocolError, VerificationFailed
from privacy.linkage.dummies import MAX_NODES, most_dummies

MAX_LIST = 2**24
SESSION = "link-session"
ADVERT = "link-advert"
LIST = "link-list"


class LinkSession(Fact):
    """One linkage of all members who opted in, over the nodes of one roster (`link-session`).

    It holds from `starts` to `ends`, days, the period in which a member's counting node is
    fixed. `fields` names what a person is recognised by: identifiers of the dictionary. It has
    to be over by the instant `expires`.
    """

    network: str
    roster: str
    dictionary: str
    nodes: Annotated[tuple[str, ...], Field(min_length=3, max_length=MAX_NODES)]
    fields: Annotated[tuple[str, ...], Field(min_length=1, max_length=8)]
    starts: str
    ends: str
    created: str
    expires: str
    nonce: str

    @model_validator(mode="after")
    def _sorted(self) -> Self:
        parse_day(self.starts), parse_day(self.ends)
        parse_instant(self.created), parse_instant(self.expires)
        if not (self.starts <= self.ends and self.created < self.expires):
            raise ValueError("it ends after it begins")
        if list(self.nodes) != sorted(set(self.nodes)):
            raise ValueError("nodes are sorted and distinct")
        return self

    def ring_from(self, owner: str) -> tuple[str, ...]:
        """The nodes in the order in which they raise `owner`'s list."""
        if owner not in self.nodes:
            raise ProtocolError("a list of a stranger")
        at = self.nodes.index(owner)
        return (*self.nodes[at:], *self.nodes[:at])


class LinkAdvert(Fact):
    """What a node says first: a key for this session, and how long its list will be.

    `size` is declared, not counted: room for every member and all dummies.
    """

    session: str
    node: str
    key: str
    size: Annotated[int, Field(ge=1, le=MAX_LIST)]


class LinkList(Fact):
    """A list on its way: `raised_by` in order, and the SHA-256 of its points."""

    session: str
    owner: str
    raised_by: tuple[str, ...]
    points: str


def list_size(members: int, nodes: Sequence[str]) -> int:
    """The length of a list with room for `members` (declared) and all dummies."""
    size = members + most_dummies(nodes)
    if not 0 <= members <= size <= MAX_LIST:
        raise BadInput(f"a list holds up to {MAX_LIST - most_dummies(nodes)} members")
    return size


def seal_list(
    session: LinkSession, raised_by: tuple[str, ...], points: bytes, key: SigningKey
) -> Envelope:
    """The statement of the node that raised the list last."""
    stated = LinkList(
        session=session.digest, owner=raised_by[0], raised_by=raised_by, points=sha256_hex(points)
    )
    return Envelope.seal(LIST, stated.to_json(), key)


def open_list(
    session: LinkSession, envelope: Envelope, points: bytes, keys: Mapping[str, PublicKey]
) -> LinkList:
    """The list, if the last node that it names signed exactly these points for this session.

    Raises ProtocolError naming that node otherwise.
    """
    stated = _open_statement(session, envelope, keys)
    if stated.points != sha256_hex(points):
        raise ProtocolError("other points than those signed", sender=stated.raised_by[-1])
    return stated


def open_finished(
    session: LinkSession, envelope: Envelope, keys: Mapping[str, PublicKey]
) -> LinkList:
    """What is stated of a list that every node has raised; raises ProtocolError otherwise."""
    stated = _open_statement(session, envelope, keys)
    if stated.raised_by != session.ring_from(stated.owner):
        raise ProtocolError("a list that is not finished", sender=stated.raised_by[-1])
    return stated


def _open_statement(
    session: LinkSession, envelope: Envelope, keys: Mapping[str, PublicKey]
) -> LinkList:
    stated = _stated(envelope)
    sender = stated.raised_by[-1] if stated.raised_by else ""
    ring = session.ring_from(stated.owner)
    if stated.session != session.digest or stated.raised_by != ring[: len(stated.raised_by)]:
        raise ProtocolError("a list out of its order", sender=sender)
    if not sender or sender not in keys:
        raise ProtocolError("a list of a stranger", sender=sender)
    try:
        envelope.open(LIST, keys[sender])
    except VerificationFailed:
        raise ProtocolError("a list that was not signed", sender=sender) from None
    return stated


def _stated(envelope: Envelope) -> LinkList:
    try:
        return LinkList.from_json(envelope.open(LIST, envelope.key))
    except (VerificationFailed, BadInput):
        raise ProtocolError("not a list") from None


def open_adverts(
    session: LinkSession, envelopes: Sequence[Envelope], keys: Mapping[str, PublicKey]
) -> dict[str, LinkAdvert]:
    """The adverts of exactly the session's nodes; raises ProtocolError otherwise."""
    adverts: dict[str, LinkAdvert] = {}
    for envelope in envelopes:
        try:
            advert = LinkAdvert.from_json(envelope.open(ADVERT, envelope.key))
        except (VerificationFailed, BadInput):
            raise ProtocolError("not an advert") from None
        if advert.session != session.digest or keys.get(advert.node) != envelope.key:
            raise ProtocolError("an advert of another session or node", sender=advert.node)
        adverts[advert.node] = advert
    if sorted(adverts) != list(session.nodes) or len(envelopes) != len(adverts):
        raise ProtocolError("one advert of every node, and no other")
    return adverts
