"""The Merkle tree of RFC 6962: one short root commits to every entry and to their order.

    leaf      SHA-256(0x00 || data)
    node      SHA-256(0x01 || left || right)
    empty     SHA-256()

The left part of a node is the largest power of two smaller than its size. All hashes are
32 raw bytes.

Guarantee: two different lists of entries have different roots; a proof that verifies shows
that a leaf stands at its index, or that an older tree is a prefix of a newer one.
Assumes: SHA-256 is collision resistant.
Source: RFC 6962 section 2.1; RFC 9162 sections 2.1.3.2 and 2.1.4.2 (verification).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from privacy.errors import BadInput, VerificationFailed

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of one entry."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True)
class Frontier:
    """What appending needs: the roots of the complete subtrees, largest (leftmost) first.

    A tree of `size` leaves has one for every bit set in `size`.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> Frontier:
        """The frontier after one more leaf hash; O(log n)."""
        peaks, size = list(self.peaks), self.size
        while size & 1:
            leaf = node_hash(peaks.pop(), leaf)
            size >>= 1
        return Frontier(self.size + 1, (*peaks, leaf))

    @property
    def root(self) -> bytes:
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root

    def to_bytes(self) -> bytes:
        """Size (8 bytes, big endian) and peaks."""
        return self.size.to_bytes(8, "big") + b"".join(self.peaks)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read `to_bytes`' form; raises BadInput for any other length."""
        size = int.from_bytes(data[:8], "big")
        if len(data) != 8 + HASH_BYTES * size.bit_count():
            raise BadInput("not a frontier")
        starts = range(8, len(data), HASH_BYTES)
        return cls(size, tuple(data[start : start + HASH_BYTES] for start in starts))


class Tree:
    """A growing tree that keeps every complete subtree: 64 bytes for each leaf.

    Appending costs O(1) on average; the root of any earlier size, and any proof, O(log² n).
    """

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels = [bytearray()]
        for leaf in leaves:
            self.append(leaf)

    @property
    def size(self) -> int:
        return len(self._levels[0]) // HASH_BYTES

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        if len(leaf) != HASH_BYTES:
            raise BadInput("a leaf hash has 32 bytes")
        level = self._levels[0]
        level += leaf
        higher = 1
        while len(level) % (2 * HASH_BYTES) == 0:
            pair = bytes(level[-2 * HASH_BYTES :])
            if higher == len(self._levels):
                self._levels.append(bytearray())
            level = self._levels[higher]
            level += node_hash(pair[:HASH_BYTES], pair[HASH_BYTES:])
            higher += 1

    def leaf(self, index: int) -> bytes:
        """The leaf hash at `index`."""
        if not 0 <= index < self.size:
            raise BadInput("no such leaf")
        return self._at(0, index)

    def root(self, size: int | None = None) -> bytes:
        """The root of the first `size` leaves (default: all)."""
        return self.frontier(size).root

    def frontier(self, size: int | None = None) -> Frontier:
        """The frontier of the first `size` leaves (default: all)."""
        size = self._checked(size)
        peaks, start = [], 0
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                peaks.append(self._at(level, start >> level))
                start += 1 << level
        return Frontier(size, tuple(peaks))

    def inclusion_proof(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        """The hashes that lead from leaf `index` to the root of the first `size` leaves."""
        size = self._checked(size)
        if not 0 <= index < size:
            raise BadInput("no such leaf")
        proof, low, high = [], 0, size
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                proof.append(self._range(middle, high))
                high = middle
            else:
                proof.append(self._range(low, middle))
                low = middle
        return tuple(reversed(proof))

    def consistency_proof(self, old: int, size: int | None = None) -> tuple[bytes, ...]:
        """The hashes that show the first `old` leaves to be a prefix of the first `size`."""
        size = self._checked(size)
        if not 0 <= old <= size:
            raise BadInput("the older tree is not the smaller one")
        if old in (0, size):
            return ()
        proof, low, high, whole = [], 0, size, True
        while high != old:
            middle = low + _split(high - low)
            if old <= middle:
                proof.append(self._range(middle, high))
                high = middle
            else:
                proof.append(self._range(low, middle))
                low, whole = middle, False
        if not whole:
            proof.append(self._range(low, high))
        return tuple(reversed(proof))

    def _checked(self, size: int | None) -> int:
        if size is None:
            return self.size
        if not 0 <= size <= self.size:
            raise BadInput("the tree has never had this size")
        return size

    def _at(self, level: int, index: int) -> bytes:
        start = index * HASH_BYTES
        return bytes(self._levels[level][start : start + HASH_BYTES])

    def _range(self, low: int, high: int) -> bytes:
        """The hash of leaves low..high-1, where `low` is a multiple of the padded length."""
        length = high - low
        if length & (length - 1) == 0:
            level = length.bit_length() - 1
            return self._at(level, low >> level)
        middle = low + _split(length)
        return node_hash(self._range(low, middle), self._range(middle, high))


def _split(length: int) -> int:
    """The largest power of two smaller than `length` (at least 2)."""
    return 1 << ((length - 1).bit_length() - 1)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier = frontier.append(leaf)
    return frontier.root


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Raise VerificationFailed unless `leaf` stands at `index` of the tree of `size` leaves."""
    if not 0 <= index < size:
        raise VerificationFailed("leaf index lies outside the tree")
    position, last, value = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise VerificationFailed("inclusion proof is too long")
        if position & 1 or position == last:
            value = node_hash(sibling, value)
            position, last = _climb_left_edge(position, last)
        else:
            value = node_hash(value, sibling)
        position, last = position >> 1, last >> 1
    if last != 0 or value != root:
        raise VerificationFailed("inclusion proof does not hold")


def verify_consistency(
    old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> None:
    """Raise VerificationFailed unless the tree of `old` leaves is a prefix of that of `size`."""
    if not 0 <= old <= size:
        raise VerificationFailed("the newer tree is smaller than the older one")
    if old in (0, size):
        expected = EMPTY_ROOT if old == 0 else root
        if proof or old_root != expected:
            raise VerificationFailed("consistency proof does not hold")
        return
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        raise VerificationFailed("consistency proof is too short")
    _check_path(old, old_root, size, root, path)


def _check_path(old: int, old_root: bytes, size: int, root: bytes, path: list[bytes]) -> None:
    position, last = old - 1, size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    older = newer = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise VerificationFailed("consistency proof is too long")
        if position & 1 or position == last:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            position, last = _climb_left_edge(position, last)
        else:
            newer = node_hash(newer, sibling)
        position, last = position >> 1, last >> 1
    if last != 0 or older != old_root or newer != root:
        raise VerificationFailed("consistency proof does not hold")


def _climb_left_edge(position: int, last: int) -> tuple[int, int]:
    """Skip the levels at which an unpaired node on the right edge has no sibling."""
    while position and not position & 1:
        position, last = position >> 1, last >> 1
    return position, last
