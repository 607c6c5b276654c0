"""Commitments that make every secret and every share of a prepared set checkable.

A node advertises, per set, the hash of its self-mask seed and the root of a hash tree over
all the shares it deals. Whoever receives a share checks it against the advert before anything
is masked; whoever opens one later can be told apart from the dealer who dealt it wrongly.

Guarantee: binding as far as SHA-256 resists collisions; hiding, because every leaf holds its
own 16-byte salt beside a share of a 256-bit secret.
Source: Merkle trees with the leaf and node prefixes of RFC 6962.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from privacy.errors import BadInput
from privacy.secure_sum import shamir
from privacy.secure_sum.messages import context

SALT_BYTES = 16
_HASH = 32
_LEAF, _NODE, _EMPTY = b"\x00", b"\x01", hashlib.sha256(b"\x02").digest()


class ShareOf(IntEnum):
    """The two secrets of a set. For one peer a node reveals a share of one of them, never both."""

    SEED = 0
    KEY = 1


@dataclass(frozen=True, repr=False)
class Share:
    """One holder's share of one secret, with its salt. Never prints."""

    value: int
    salt: bytes

    def to_bytes(self) -> bytes:
        return shamir.encode(self.value) + self.salt

    @classmethod
    def from_bytes(cls, data: bytes) -> Share:
        """Read `to_bytes`; raises BadInput for anything else."""
        if len(data) != PIECE_BYTES:
            raise BadInput("not a share")
        return cls(shamir.decode(data[: shamir.SHARE_BYTES]), data[shamir.SHARE_BYTES :])

    def __repr__(self) -> str:
        return "Share(…)"


PIECE_BYTES = shamir.SHARE_BYTES + SALT_BYTES


@dataclass(frozen=True, repr=False)
class OpenedShare:
    """A share with its path to the advertised root: what a node reveals."""

    share: Share
    path: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        return self.share.to_bytes() + b"".join(self.path)

    @classmethod
    def from_bytes(cls, data: bytes, holders: int) -> OpenedShare:
        """Read `to_bytes` for a group of `holders`; raises BadInput for anything else."""
        if len(data) != PIECE_BYTES + _HASH * depth(holders):
            raise BadInput("an opened share has another length")
        return cls(Share.from_bytes(data[:PIECE_BYTES]), _hashes(data[PIECE_BYTES:]))

    def __repr__(self) -> str:
        return "OpenedShare(…)"


@dataclass(frozen=True)
class Dealer:
    """Whose set a commitment belongs to: bound into every leaf and seed commitment."""

    node: str
    session: str
    set_index: int

    def _context(self, what: str) -> bytes:
        return context(what, self.node, self.session, self.set_index)

    def seed_commitment(self, seed: bytes) -> bytes:
        """The advertised hash of a self-mask seed (32 bytes)."""
        return hashlib.sha256(self._context("seed") + b"\n" + seed).digest()

    def leaves(self, pairs: Sequence[tuple[Share, Share]]) -> list[bytes]:
        """Leaf hashes: for each holder the share of the seed, then that of the key."""
        start = self._leaf_start
        return [
            _leaf(start, 2 * i + kind, pair[kind])
            for i, pair in enumerate(pairs)
            for kind in ShareOf
        ]

    def verify(
        self, root: bytes, opened: OpenedShare, holder: int, kind: ShareOf, holders: int
    ) -> None:
        """Raise BadInput unless `opened` is what this dealer dealt to `holder` (from 0)."""
        position = 2 * holder + kind
        node = _leaf(self._leaf_start, position, opened.share)
        if len(opened.path) != depth(holders):
            raise BadInput("the path has another length")
        for sibling in opened.path:
            node = _join(sibling, node) if position & 1 else _join(node, sibling)
            position >>= 1
        if node != root:
            raise BadInput("a share does not match the dealer's commitment")

    def pair(self, shares: tuple[Share, Share], upper: tuple[bytes, ...], holder: int) -> Pair:
        """Both opened shares of one holder from the part of the path that they have in common."""
        start = self._leaf_start
        seed, key = (_leaf(start, 2 * holder + kind, shares[kind]) for kind in ShareOf)
        return OpenedShare(shares[0], (key, *upper)), OpenedShare(shares[1], (seed, *upper))

    @cached_property
    def _leaf_start(self) -> hashlib._Hash:
        return hashlib.sha256(_LEAF + hashlib.sha256(self._context("share")).digest())


Pair = tuple[OpenedShare, OpenedShare]


def depth(holders: int) -> int:
    """Hashes in a path: the tree has two leaves per holder, filled up to a power of two."""
    return (2 * holders - 1).bit_length()


def tree(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """All levels of the tree, leaves first; the last level is the root alone."""
    width = 1 << (len(leaves) - 1).bit_length()
    levels = [[*leaves, *[_EMPTY] * (width - len(leaves))]]
    while len(levels[-1]) > 1:
        level = levels[-1]
        levels.append([_join(level[i], level[i + 1]) for i in range(0, len(level), 2)])
    return levels


def path(levels: Sequence[Sequence[bytes]], position: int) -> tuple[bytes, ...]:
    """The siblings from leaf `position` up to the root."""
    return tuple(level[(position >> i) ^ 1] for i, level in enumerate(levels[:-1]))


def _hashes(data: bytes) -> tuple[bytes, ...]:
    return tuple(data[i : i + _HASH] for i in range(0, len(data), _HASH))


def read_pair(data: bytes, dealer: Dealer, holder: int, holders: int) -> Pair:
    """Both opened shares of `holder` from `write_pair`'s bytes; raises BadInput."""
    if len(data) != pair_bytes(holders):
        raise BadInput("sealed shares have another length")
    seed = Share.from_bytes(data[:PIECE_BYTES])
    key = Share.from_bytes(data[PIECE_BYTES : 2 * PIECE_BYTES])
    return dealer.pair((seed, key), _hashes(data[2 * PIECE_BYTES :]), holder)


def write_pair(pair: Pair) -> bytes:
    """Both shares and the common part of their paths."""
    seed, key = pair
    return seed.share.to_bytes() + key.share.to_bytes() + b"".join(seed.path[1:])


def pair_bytes(holders: int) -> int:
    return 2 * PIECE_BYTES + _HASH * (depth(holders) - 1)


def _leaf(start: hashlib._Hash, position: int, share: Share) -> bytes:
    leaf = start.copy()
    leaf.update(position.to_bytes(4, "big") + share.to_bytes())
    return leaf.digest()


def _join(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()
