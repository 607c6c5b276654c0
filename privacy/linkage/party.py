"""A node's part in a linkage, step by step. It sees no pseudonym of its own members.

    advert          says a session key and the length of its list
    deal            the first node seals a seed for every other
    own_list        its members, dummies and random points in random order, raised once
    hand_on         raises another's list, once each
    vouch           takes which places are counted elsewhere, says so of its dummies, sealed
    learn           compares all dummies, and only then believes what it was told of its members

Guarantee: what leaves a node is points raised to a secret that it uses once, of a number that it
declared, in an order that it drew. What it learns is, for each of its members who opted in,
whether another organisation counts them: not which, and nothing of anybody else.
Assumes: nodes raise what they were given. Whoever assigns wrongly, or raises some points to
another power, is found out with the probability that a changed place holds a dummy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from privacy.contract.canonical import b64, canonical_bytes, unb64
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.errors import BadInput, ProtocolError
from privacy.linkage.dummies import Dummy, most_dummies, shared_dummies
from privacy.linkage.hash_to_curve import hash_to_point
from privacy.linkage.raising import Exponent, join_points, split_points
from privacy.linkage.session import (
    ADVERT,
    LinkAdvert,
    LinkSession,
    list_size,
    open_adverts,
    open_list,
    seal_list,
)
from privacy.linkage.spelling import spelt_text
from privacy.linkage.transcript import check_finished, seal_learnt, transcript_of
from privacy.randomness import KEY_BYTES, Entropy, fresh_keystream
from privacy.secure_sum.masks import derive

_NONCE = bytes(12)
_MEMBER, _DUMMY, _NOBODY = b"member\n", b"dummy\n", b"nobody\n"


def person(fields: Sequence[str], values: Sequence[str]) -> bytes:
    """What is hashed of one person: the session's fields, in one spelling.

    Days come as `privacy.linkage.spelling.spelt` writes them. Raises BadInput unless there is a
    value for each field that says something.
    """
    written = [spelt_text(value) for value in values]
    if len(written) != len(fields) or not all(written):
        raise BadInput("a value for every field", instead=", ".join(fields))
    return _MEMBER + canonical_bytes([list(fields), written])


@dataclass(frozen=True)
class Places:
    """Which place of this node's list holds which of its members or dummies. Never prints."""

    members: Mapping[bytes, int]
    dummies: Mapping[bytes, int]

    def __repr__(self) -> str:
        return "Places(…)"


class Party:
    """One node in one session; every step happens once, in order.

    `members` is how many it declares, at least as many as opted in. Raises ProtocolError for
    whatever a peer or the coordinator must not send, BadInput for what the organisation must
    not ask.
    """

    def __init__(
        self,
        session: LinkSession,
        node: str,
        members: int,
        *,
        key: SigningKey,
        peers: Mapping[str, PublicKey],
        entropy: Entropy,
    ) -> None:
        if node not in session.nodes or not set(session.nodes) <= set(peers):
            raise BadInput("not a session of this node and peers that it knows")
        self.session, self.node = session, node
        self._key, self._peers, self._entropy = key, peers, entropy
        self._size = list_size(members, session.nodes)
        self._room = members
        self._exponent = Exponent.fresh(entropy)
        self._channel = X25519PrivateKey.from_private_bytes(entropy(KEY_BYTES))
        self._adverts: dict[str, LinkAdvert] = {}
        self._sent: dict[str, Envelope] = {}  # everybody's adverts, as signed
        self._finished: dict[str, Envelope] = {}
        self._dummies: tuple[Dummy, ...] = ()
        self._seed = b""
        self._raised: set[str] = set()
        self._places: Places | None = None
        self._elsewhere = b""

    def __repr__(self) -> str:
        return f"Party({self.node})"

    @property
    def dealer(self) -> str:
        return self.session.nodes[0]

    def advert(self) -> Envelope:
        """This node's session key and the length of its list, signed."""
        public = b64(self._channel.public_key().public_bytes_raw())
        advert = LinkAdvert(
            session=self.session.digest, node=self.node, key=public, size=self._size
        )
        return Envelope.seal(ADVERT, advert.to_json(), self._key)

    def meet(self, adverts: Sequence[Envelope]) -> None:
        """Take everybody's adverts; this node's own has to be among them unchanged."""
        opened = open_adverts(self.session, adverts, self._peers)
        own = LinkAdvert.from_json(self.advert().open(ADVERT, self._key.public))
        if self._adverts or opened[self.node] != own:
            raise ProtocolError("adverts that are not the first, or not this node's own")
        self._adverts = opened
        self._sent = dict(zip(opened, adverts, strict=True))

    def deal(self) -> dict[str, bytes]:
        """For the dealer: a fresh seed, sealed for every other node."""
        if self.node != self.dealer or not self._adverts or self._seed:
            raise ProtocolError("not this node's to deal, or not now")
        seed = self._entropy(KEY_BYTES)
        others = [node for node in self.session.nodes if node != self.node]
        sealed = {
            node: self._pairwise(node).encrypt(_NONCE, seed, self._bound()) for node in others
        }
        self._take(seed)
        return sealed

    def receive(self, sealed: bytes) -> None:
        """For the others: open the dealer's seed."""
        if self.node == self.dealer or not self._adverts or self._seed:
            raise ProtocolError("not this node's to receive, or not now")
        try:
            seed = self._pairwise(self.dealer).decrypt(_NONCE, sealed, self._bound())
        except InvalidTag:
            raise ProtocolError("a seed that does not open", sender=self.dealer) from None
        self._take(seed)

    def own_list(self, members: Sequence[bytes]) -> tuple[Envelope, bytes]:
        """This node's list: `members` (each as `person` writes it), dummies and random names.

        How long it takes depends on the list's length alone: a name that fills it is hashed and
        raised like any. Raises BadInput for more members than declared, or one twice.
        """
        if not self._seed or self._places is not None:
            raise ProtocolError("one list, after the seed")
        if len(members) > self._room or len(set(members)) != len(members):
            raise BadInput("more members than declared, or one twice")
        names = [*members, *(_DUMMY + dummy.name for dummy in self._own_dummies())]
        order = self._order(self._size)
        filled = names + [
            _NOBODY + self._entropy(KEY_BYTES) for _ in range(self._size - len(names))
        ]
        placed = dict(zip(filled, order, strict=True))
        by_place = sorted(filled, key=placed.__getitem__)
        points = [self._exponent.raised(hash_to_point(name)) for name in by_place]
        self._places = Places(
            {name: placed[name] for name in members},
            {dummy.name: placed[_DUMMY + dummy.name] for dummy in self._own_dummies()},
        )
        self._raised.add(self.node)
        data = join_points(points)
        return seal_list(self.session, (self.node,), data, self._key), data

    def hand_on(self, envelope: Envelope, points: bytes) -> tuple[Envelope, bytes]:
        """Another organisation's list, raised by this node as well."""
        stated = open_list(self.session, envelope, points, self._peers)
        ring = self.session.ring_from(stated.owner)
        turn = len(stated.raised_by)
        if turn == len(ring) or ring[turn] != self.node or stated.owner in self._raised:
            raise ProtocolError("not this node's turn", sender=stated.raised_by[-1])
        listed = split_points(points, self._adverts[stated.owner].size)
        self._raised.add(stated.owner)
        data = join_points(self._exponent.raised(point) for point in listed)
        return seal_list(self.session, ring[: turn + 1], data, self._key), data

    def vouch(self, elsewhere: bytes, lists: Sequence[Envelope]) -> bytes:
        """Take what is counted elsewhere, a bit a place; says what became of its dummies.

        `lists` are all finished lists, without their points. What it says is sealed for the
        nodes alone and of one length.
        """
        places = self._listed()
        if self._elsewhere or len(elsewhere) != -(-self._size // 8):
            raise ProtocolError("not one bit for every place, or not for the first time")
        self._finished = check_finished(self.session, lists, self._peers)
        self._elsewhere = elsewhere
        counted = bytearray(-(-most_dummies(self.session.nodes) // 8))
        for number, dummy in enumerate(self._own_dummies()):
            if not _bit(elsewhere, places.dummies[dummy.name]):
                counted[number // 8] |= 1 << number % 8
        return self._among_nodes(self.node).encrypt(_NONCE, bytes(counted), self._bound())

    def learn(self, vouched: Mapping[str, bytes]) -> frozenset[bytes]:
        """Those of its members who are counted elsewhere.

        Raises ProtocolError unless every dummy is counted by exactly one of its nodes.
        """
        if not self._elsewhere:
            raise ProtocolError("nothing was learnt yet")
        self._check(vouched)
        members = self._listed().members
        return frozenset(name for name, place in members.items() if _bit(self._elsewhere, place))

    def learnt(self, vouched: Mapping[str, bytes]) -> tuple[Envelope, str]:
        """Its word, once it has learnt, on the transcript that it saw; and that one's digest."""
        self._check(vouched)
        seen = transcript_of(self.session, self._sent, self._finished, vouched).digest
        return seal_learnt(self.session, self.node, seen, self._key), seen

    def _check(self, vouched: Mapping[str, bytes]) -> None:
        counted = {node: self._opened(node, vouched.get(node, b"")) for node in self.session.nodes}
        numbers = dict.fromkeys(self.session.nodes, 0)
        for dummy in self._dummies:
            times = 0
            for node in dummy.nodes:
                times += _bit(counted[node], numbers[node])
                numbers[node] += 1
            if times != 1:
                raise ProtocolError(f"a dummy was counted {times} times")

    def _opened(self, node: str, sealed: bytes) -> bytes:
        try:
            return self._among_nodes(node).decrypt(_NONCE, sealed, self._bound())
        except InvalidTag:
            raise ProtocolError("what a node vouches for does not open", sender=node) from None

    def _own_dummies(self) -> list[Dummy]:
        return [dummy for dummy in self._dummies if self.node in dummy.nodes]

    def _listed(self) -> Places:
        if self._places is None:
            raise ProtocolError("no list was made yet")
        return self._places

    def _take(self, seed: bytes) -> None:
        self._seed = seed
        self._dummies = shared_dummies(seed, self.session.nodes)

    def _order(self, size: int) -> list[int]:
        """A uniformly random order: by 128 random bits each, which never tie in practice."""
        words = fresh_keystream(self._entropy).u64(2 * size).tolist()
        keys = zip(words[::2], words[1::2], strict=True)
        return [place for _, place in sorted((key, place) for place, key in enumerate(keys))]

    def _pairwise(self, peer: str) -> ChaCha20Poly1305:
        theirs = X25519PublicKey.from_public_bytes(unb64(self._adverts[peer].key))
        try:
            secret = self._channel.exchange(theirs)
        except ValueError:
            raise ProtocolError("a session key of low order", sender=peer) from None
        return ChaCha20Poly1305(derive(secret, b"cairn/v1/linkage/seed" + self._bound()))

    def _among_nodes(self, sender: str) -> ChaCha20Poly1305:
        return ChaCha20Poly1305(derive(self._seed, b"cairn/v1/linkage/vouch" + sender.encode()))

    def _bound(self) -> bytes:
        """The session and everybody's adverts: what a sealed piece belongs to."""
        adverts = [self._adverts[node].digest for node in sorted(self._adverts)]
        return canonical_bytes([self.session.digest, adverts])


def _bit(bits: bytes, place: int) -> int:
    return bits[place // 8] >> place % 8 & 1
