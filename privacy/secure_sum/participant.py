"""A node's side of the secure sum, as three states: Session, then KeySet, then Opening.

    Session.begin ── share ──> take ──> KeySet.mask ──> Opening.claim ── sign_list ── reveal

Each state holds the secrets that it still needs and hands on the next one; nothing leads back.

Guarantee: what a node hands out is its masked vector, and then, for one survivor list that a
threshold of participants signed, one kind of share for each peer. A coordinator that controls
the wire and at most t_collude participants learns the total over that list and nothing else.
Assumes: identity keys were pinned out of band; secrets stay in memory (a program that starts
again begins a new session; a copy of a running machine's memory must not be resumed).
Source: Bonawitz et al., CCS 2017, with signed adverts and signed survivor lists against an
active coordinator (their section 6.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from privacy.contract.canonical import b64
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.errors import BadInput, Code, Refused
from privacy.secure_sum import masks
from privacy.secure_sum.attempt import Attempt, check_group
from privacy.secure_sum.channel import Channel, End, join_sealed
from privacy.secure_sum.checks import Group, check_advert, check_identities, check_names
from privacy.secure_sum.commitments import Dealer, Pair, ShareOf, read_pair, write_pair
from privacy.secure_sum.messages import (
    ADVERT_KIND,
    MAX_SETS,
    PROTOCOL,
    KeyAdvert,
    Step,
    broken,
    read32,
)
from privacy.secure_sum.opening import Opening
from privacy.secure_sum.party import Member, Peer, Peers
from privacy.secure_sum.prepared import PreparedSet
from privacy.secure_sum.shamir import Entropy

__all__ = ["KeySet", "Opening", "Session"]


class Session:
    """One node's independent prepared sets for one group of nodes. Never prints its secrets."""

    def __init__(
        self, me: Member, channel: X25519PrivateKey, sets: Sequence[PreparedSet], advert: Envelope
    ) -> None:
        self._me = me
        self._channel = channel
        self._sets = dict(enumerate(sets))
        self._card = KeyAdvert.from_json(advert.open(ADVERT_KIND, me.key.public))
        self._peers: Peers | None = None
        self._heard: tuple[dict[str, Envelope], dict[str, PublicKey]] | None = None
        self._sent: dict[str, bytes] = {}
        self.advert = advert

    @classmethod
    def begin(
        cls,
        node: str,
        key: SigningKey,
        group: tuple[str, ...],
        *,
        roster: str,
        threshold: int,
        sets: int,
        entropy: Entropy,
    ) -> Self:
        """Draw all secrets of `sets` independent sets and sign their public side.

        `group` names all participants in ascending order, `threshold` is their attempts' T.
        Raises BadInput for a group, threshold or number of sets out of range.
        """
        check_group(group)
        if node not in group or not 2 <= threshold <= len(group) or not 1 <= sets <= MAX_SETS:
            raise BadInput("node, threshold or number of sets does not fit the group")
        me = Member(node, key, Group(group, roster, threshold))
        session = entropy(16).hex()
        channel = masks.private_key(masks.new_private_key(entropy(32)))
        prepared = [
            PreparedSet.deal(Dealer(node, session, index), threshold, len(group), entropy)
            for index in range(sets)
        ]
        return cls(me, channel, prepared, _sign_advert(me, session, channel, prepared))

    @property
    def id(self) -> str:
        return self._card.session

    @property
    def group(self) -> Group:
        """Who prepared keys together, under which roster and threshold."""
        return self._me.group

    @property
    def remaining(self) -> tuple[int, ...]:
        """Indexes of the sets not taken yet."""
        return tuple(sorted(self._sets))

    def share(
        self, adverts: Mapping[str, Envelope], keys: Mapping[str, PublicKey]
    ) -> dict[str, bytes]:
        """Verify every peer's advert and seal each peer's shares of all sets for it.

        `adverts` holds every participant's, this node's own included; `keys` are pinned
        identity keys. Returns one blob per peer (`channel.split_sealed` divides it by set).
        The same adverts give the same bytes again; others raise ProtocolError, as does an
        advert that is not what it must be.
        """
        identities = check_identities(self._me.group.participants, keys)
        heard = (dict(adverts), identities)
        if self._heard is None:
            peers = self._meet(adverts, identities)
            self._sent = {name: self._seal(peer) for name, peer in peers.by_name.items()}
            self._peers, self._heard = peers, heard
        elif self._heard != heard:
            raise broken(Step.ADVERT, "these shares were dealt under other adverts")
        return dict(self._sent)

    def take(self, index: int) -> KeySet:
        """Hand out a set: once, ever. Raises Refused(KEYS_NOT_READY) otherwise."""
        if self._peers is None:
            raise Refused(Code.KEYS_NOT_READY)
        prepared = self._sets.pop(index, None)
        if prepared is None:
            raise Refused(Code.KEYS_NOT_READY)
        return KeySet(self._me, self._card, self._peers, index, prepared)

    def _meet(self, adverts: Mapping[str, Envelope], keys: Mapping[str, PublicKey]) -> Peers:
        check_names(Step.ADVERT, adverts, self._me.group.participants)
        if adverts[self._me.node] != self.advert:
            raise broken(Step.ADVERT, "not the one this node signed", self._me.node)
        return Peers(
            {name: self._peer(name, adverts[name], keys[name]) for name in self._me.peers}, keys
        )

    def _peer(self, name: str, envelope: Envelope, key: PublicKey) -> Peer:
        advert = check_advert(self._me.group, envelope, key, name)
        if len(advert.public_sets) != len(self._card.public_sets):
            raise broken(Step.ADVERT, "another number of sets", name)
        public = read32(advert.channel_key, Step.ADVERT, name)
        try:
            secret = masks.shared_secret(self._channel, public)
        except BadInput as error:
            raise broken(Step.ADVERT, error.what, name) from None
        here, there = End(self._me.node, self.advert.digest), End(name, envelope.digest)
        return Peer(advert, Channel(secret, here, there))

    def _seal(self, peer: Peer) -> bytes:
        holder = self._me.group.participants.index(peer.advert.node)
        return join_sealed(
            [
                peer.channel.seal(index, write_pair(prepared.pairs[holder]))
                for index, prepared in sorted(self._sets.items())
            ]
        )

    def __repr__(self) -> str:
        return f"Session({self._me.node}, {len(self._sets)} sets left)"


def _sign_advert(
    me: Member, session: str, channel: X25519PrivateKey, sets: Sequence[PreparedSet]
) -> Envelope:
    advert = KeyAdvert(
        protocol=PROTOCOL,
        node=me.node,
        session=session,
        roster=me.group.roster,
        group=me.group.digest,
        threshold=me.group.threshold,
        channel_key=b64(channel.public_key().public_bytes_raw()),
        sets=b64(b"".join(prepared.advert.to_bytes() for prepared in sets)),
    )
    return Envelope.seal(ADVERT_KIND, advert.to_json(), me.key)


class KeySet:
    """One set taken out of a session: it masks one vector. Never prints its secrets."""

    def __init__(
        self, me: Member, card: KeyAdvert, peers: Peers, index: int, prepared: PreparedSet
    ) -> None:
        self._me = me
        self._card = card
        self._peers = peers
        self._index = index
        self._unused = [prepared]

    def mask(
        self,
        attempt: Attempt,
        vector: NDArray[np.uint64],
        sealed: Mapping[str, bytes],
        *,
        overwrite: bool = False,
    ) -> tuple[NDArray[np.uint64], Opening]:
        """Mask `vector` (`attempt.length` words modulo 2^64) for exactly this attempt.

        With `overwrite` the masked words take the place of the clear ones in `vector`.
        `sealed` holds every peer's sealed piece for this set. Nothing is masked unless the
        attempt fits this session, group, roster, threshold and set, and every peer's shares
        open and match its advert. Raises BadInput or ProtocolError for what does not fit (nothing
        was masked), Refused(KEYS_NOT_READY) if the set has been used.
        """
        self._check_attempt(attempt)
        masks.check_vector(vector, attempt.length)
        if overwrite and not vector.flags.carray:
            raise BadInput("only a contiguous vector that may be written can be overwritten")
        held = self._open_shares(sealed)
        prepared = self._use()
        held[self._me.node] = prepared.pairs[self._me.position]
        streams = self._masks(attempt, prepared)
        masked, digest = masks.mask(vector, streams, overwrite=overwrite)
        return masked, Opening(self._me, attempt, self._peers.keys, held, digest)

    def _check_attempt(self, attempt: Attempt) -> None:
        attempt.validate()
        if Group.of(attempt) != self._me.group:
            raise broken(Step.ATTEMPT, "for another group, roster or threshold")
        sessions = {name: peer.advert.session for name, peer in self._peers.by_name.items()}
        sessions[self._me.node] = self._card.session
        if dict(zip(attempt.participants, attempt.sessions, strict=True)) != sessions:
            raise broken(Step.ATTEMPT, "for other sessions")
        if attempt.set_index != self._index:
            raise broken(Step.ATTEMPT, "for another set")

    def _open_shares(self, sealed: Mapping[str, bytes]) -> dict[str, Pair]:
        check_names(Step.SHARES, sealed, self._me.peers)
        return {name: self._open_pair(name, sealed[name]) for name in self._me.peers}

    def _use(self) -> PreparedSet:
        try:
            return self._unused.pop()
        except IndexError:
            raise Refused(Code.KEYS_NOT_READY) from None

    def _open_pair(self, name: str, piece: bytes) -> Pair:
        peer, holder = self._peers.by_name[name], self._me.position
        holders = len(self._me.group.participants)
        dealer = Dealer(name, peer.advert.session, self._index)
        root = peer.advert.public_sets[self._index].shares
        try:
            pair = read_pair(peer.channel.unseal(self._index, piece), dealer, holder, holders)
            for kind in ShareOf:
                dealer.verify(root, pair[kind], holder, kind, holders)
        except BadInput as error:
            raise broken(Step.SHARES, error.what, name) from None
        return pair

    def _masks(self, attempt: Attempt, prepared: PreparedSet) -> list[masks.Mask]:
        found = [masks.self_mask(prepared.seed, attempt.digest, self._me.node)]
        for name, peer in self._peers.by_name.items():
            public = peer.advert.public_sets[self._index].mask_key
            try:
                secret = masks.shared_secret(prepared.mask_key, public)
            except BadInput as error:
                raise broken(Step.ADVERT, error.what, name) from None
            found.append(masks.pair_mask(secret, attempt.digest, self._me.node, name))
        return found

    def __repr__(self) -> str:
        return f"KeySet({self._me.node}, set {self._index})"
