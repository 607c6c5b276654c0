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
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from privacy.contract.canonical import Json, canonical_bytes
from privacy.errors import BadInput
from privacy.secure_sum.messages import PROTOCOL

_CHUNK = 1 << 15  # words per step: keystream and sum stay in the processor's cache
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


def derive(secret: bytes, context: Json) -> bytes:
    """A 32-byte key from `secret` for exactly `context` (HKDF-SHA256, no salt)."""
    info = canonical_bytes(context)
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)


def self_mask(seed: bytes, attempt: str, node: str) -> Mask:
    """The mask that only a threshold of holders can open, from a 32-byte seed."""
    return Mask(derive(seed, [PROTOCOL, "self-mask", attempt, node]))


def pair_mask(secret: bytes, attempt: str, node: str, peer: str) -> Mask:
    """`node`'s part of the mask it has in common with `peer`; the two parts cancel.

    `secret` is their X25519 secret; `attempt` the attempt's digest. The node whose name comes
    first adds, the other subtracts.
    """
    low, high = sorted((node, peer))
    key = derive(secret, [PROTOCOL, "pair-mask", attempt, low, high])
    return Mask(key, subtract=node == high)


def apply(total: NDArray[np.uint64], masks: Sequence[Mask]) -> None:
    """Add all `masks` to `total` in place, modulo 2^64."""
    streams = [(_keystream(mask.key), np.subtract if mask.subtract else np.add) for mask in masks]
    zeros = bytes(8 * min(_CHUNK, len(total)))
    buffer = bytearray(len(zeros) + _BLOCK_BYTES)
    words = np.frombuffer(buffer, dtype="<u8", count=len(zeros) // 8)
    for start in range(0, len(total), _CHUNK):
        part = total[start : start + _CHUNK]
        plain = zeros[: 8 * len(part)]
        for stream, combine in streams:
            stream.update_into(plain, buffer)
            combine(part, words[: len(part)], out=part)


def _keystream(key: bytes) -> CipherContext:
    return Cipher(algorithms.AES(key), modes.CTR(bytes(_BLOCK_BYTES))).encryptor()


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
