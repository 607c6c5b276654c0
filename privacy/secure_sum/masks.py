"""Masks: AES-256-CTR keystreams added to 64-bit words, and the keys they come from.

Guarantee: a mask is a pseudorandom vector over Z_2^64, different for every attempt and pair,
because the attempt's digest and the parties stand in the HKDF info of its key. The time taken
depends on the length alone.
Assumes: AES-256 is a pseudorandom permutation; a mask key is used for one vector.
Source: Bonawitz et al., "Practical secure aggregation for privacy-preserving machine
learning", CCS 2017; RFC 5869 (HKDF); RFC 7748 (X25519).
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from privacy.errors import BadInput
from privacy.secure_sum.messages import context

_CHUNK = 1 << 14  # words per step: keystream and sum stay in the processor's cache
_SEGMENT = 1 << 17  # words that one stretch of keystream covers: several cores share the work
_HELPERS = 1  # threads beside the caller's
_BLOCK_BYTES = 16


@dataclass(frozen=True, repr=False)
class Mask:
    """A keystream to be added to (or subtracted from) a vector. Its key never prints."""

    key: bytes
    subtract: bool = False

    def negated(self) -> Mask:
        return Mask(self.key, not self.subtract)

    def __repr__(self) -> str:
        return "Mask(…)"


def derive(secret: bytes, info: bytes) -> bytes:
    """A 32-byte key from `secret` for exactly the context `info` (HKDF-SHA256, no salt)."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)


def self_mask(seed: bytes, attempt: str, node: str) -> Mask:
    """The mask that only a threshold of holders can open, from a 32-byte seed."""
    return Mask(derive(seed, context("self-mask", attempt, node)))


def pair_mask(secret: bytes, attempt: str, node: str, peer: str) -> Mask:
    """`node`'s part of the mask it has in common with `peer`; the two parts cancel.

    `secret` is their X25519 secret; `attempt` the attempt's digest. The node whose name comes
    first adds, the other subtracts.
    """
    low, high = sorted((node, peer))
    key = derive(secret, context("pair-mask", attempt, low, high))
    return Mask(key, subtract=node == high)


def mask(
    vector: NDArray[np.uint64], masks: Sequence[Mask], *, overwrite: bool = False
) -> tuple[NDArray[np.uint64], str]:
    """`vector` plus all `masks` modulo 2^64, and its `vector_digest`.

    With `overwrite` the result takes the place of `vector`, which is gone; else it is a copy.
    """
    masked = vector if overwrite else vector.copy()
    digest = hashlib.sha256()
    for part in _segments(masked, [], masks):
        digest.update(part.astype("<u8", copy=False).data)
    return masked, digest.hexdigest()


def total(vectors: Sequence[NDArray[np.uint64]], masks: Sequence[Mask]) -> NDArray[np.uint64]:
    """The sum of `vectors` and `masks` modulo 2^64, as a fresh vector."""
    summed = vectors[0].copy()
    for _ in _segments(summed, vectors[1:], masks):
        pass
    return summed


def _segments(
    out: NDArray[np.uint64], vectors: Sequence[NDArray[np.uint64]], masks: Sequence[Mask]
) -> Iterator[NDArray[np.uint64]]:
    """Add `vectors` and `masks` to `out`, and yield it segment by segment, in order.

    Segments are independent: helpers work on other cores, and the caller's thread does one
    whenever the next it needs is not ready.
    """
    starts = range(0, len(out), _SEGMENT)
    waiting = deque(starts)
    ready: dict[int, NDArray[np.uint64]] = {}

    def do_next() -> bool:
        try:
            start = waiting.popleft()
        except IndexError:
            return False
        ready[start] = _add(out[start : start + _SEGMENT], start, vectors, masks)
        return True

    def do_rest() -> None:
        while do_next():
            pass

    with ThreadPoolExecutor(max_workers=_HELPERS) as pool:
        helpers = [pool.submit(do_rest) for _ in starts[1:][:_HELPERS]]
        for start in starts:
            while start not in ready:
                if not do_next():
                    _finish(helpers)
            yield ready[start]


def _finish(helpers: Sequence[Future[None]]) -> None:
    for helper in helpers:
        helper.result()


def _add(
    part: NDArray[np.uint64],
    start: int,
    vectors: Sequence[NDArray[np.uint64]],
    masks: Sequence[Mask],
) -> NDArray[np.uint64]:
    """Add what belongs to `part`, the segment of a vector that begins at word `start`."""
    for vector in vectors:
        part += vector[start : start + len(part)]
    _add_masks(part, start // _SEGMENT, masks)
    return part


def _add_masks(part: NDArray[np.uint64], segment: int, masks: Sequence[Mask]) -> None:
    """Add `masks` to `part`, segment number `segment` of a vector."""
    streams = [
        (_keystream(mask.key, segment), np.subtract if mask.subtract else np.add) for mask in masks
    ]
    zeros = bytes(8 * min(_CHUNK, len(part)))
    buffer = bytearray(len(zeros) + _BLOCK_BYTES)
    words = np.frombuffer(buffer, dtype="<u8", count=len(zeros) // 8)
    for begin in range(0, len(part), _CHUNK):
        piece = part[begin : begin + _CHUNK]
        plain = zeros if len(piece) == len(words) else zeros[: 8 * len(piece)]
        for stream, combine in streams:
            stream.update_into(plain, buffer)
            combine(piece, words[: len(piece)], out=piece)


def _keystream(key: bytes, segment: int) -> CipherContext:
    """AES-256-CTR, the counter block starting at (segment: 12 bytes, 2: 4 bytes), big-endian.

    This is the encryption half of GCM, whose tag is not used: the same bytes as CTR mode, from
    code that works on several blocks at once (2.5 times faster where the processor can).
    """
    nonce = segment.to_bytes(12, "big")
    return Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()


def vector_bytes(vector: NDArray[np.uint64]) -> bytes:
    """The wire form of a vector: little-endian 64-bit words."""
    return vector.astype("<u8", copy=False).tobytes()


def vector_from_bytes(data: bytes | memoryview, length: int) -> NDArray[np.uint64]:
    """Read the wire form of `length` words; raises BadInput for any other size."""
    if len(data) != 8 * length:
        raise BadInput("a masked vector has another length")
    return np.frombuffer(data, dtype="<u8").astype(np.uint64, copy=False)


def vector_digest(vector: NDArray[np.uint64]) -> str:
    """SHA-256 (hexadecimal) of the wire form."""
    data = np.ascontiguousarray(vector, dtype="<u8")
    return hashlib.sha256(data.data).hexdigest()


def vector_digests(vectors: Sequence[NDArray[np.uint64]]) -> list[str]:
    """The digests of several vectors, on several cores where they are long."""
    if sum(map(len, vectors)) <= _SEGMENT:
        return [vector_digest(vector) for vector in vectors]
    with ThreadPoolExecutor(max_workers=_HELPERS + 1) as pool:
        return list(pool.map(vector_digest, vectors))


def check_vector(vector: NDArray[np.uint64], length: int) -> None:
    """Raise BadInput unless `vector` is `length` unsigned 64-bit words."""
    if vector.dtype != np.uint64 or vector.shape != (length,):
        raise BadInput("a vector of the attempt's length in uint64 is expected")


def new_private_key(raw: bytes) -> bytes:
    """Thirty-two random bytes as an X25519 private key, with the fixed bits set.

    X25519 ignores these bits; fixing them leaves no bit of an opened key that could change
    unnoticed.
    """
    return bytes([raw[0] & 0xF8]) + raw[1:31] + bytes([raw[31] & 0x7F | 0x40])


def private_key(raw: bytes) -> X25519PrivateKey:
    """Load what `new_private_key` made; raises BadInput if the fixed bits are not set."""
    if len(raw) != 32 or new_private_key(raw) != raw:
        raise BadInput("not a private key in its fixed form")
    return X25519PrivateKey.from_private_bytes(raw)


def shared_secret(key: X25519PrivateKey, peer: bytes) -> bytes:
    """X25519; raises BadInput for a public key of low order (the result would be public)."""
    try:
        return key.exchange(X25519PublicKey.from_public_bytes(peer))
    except ValueError:
        raise BadInput("a public key has low order") from None
