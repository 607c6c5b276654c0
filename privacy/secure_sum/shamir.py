"""Shamir sharing of 32-byte secrets over a prime field just above 2^256.

Guarantee: fewer than `threshold` shares of one secret are independent of it (up to the
2^-127 bias of reducing 384 random bits modulo the prime); `threshold` of them determine it.
Assumes: `entropy` returns independent uniform bytes, fresh for every sharing.
Source: Shamir, "How to share a secret", 1979.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from privacy.errors import BadInput

Entropy = Callable[[int], bytes]  # n -> n uniform bytes

PRIME = 2**256 + 297  # the smallest prime above 2^256, so that every 32-byte secret fits
SECRET_BYTES = 32
SHARE_BYTES = 33
_WIDE = 48


def split(secret: bytes, threshold: int, holders: int, entropy: Entropy) -> list[int]:
    """One share per holder 1..`holders`: the values of a random polynomial through `secret`.

    The polynomial has degree `threshold` - 1 and takes the secret at 0. Raises BadInput for a
    secret that is not 32 bytes and a threshold outside 2..`holders`.
    """
    if len(secret) != SECRET_BYTES:
        raise BadInput("a shared secret has 32 bytes")
    if not 2 <= threshold <= holders:
        raise BadInput("the threshold lies outside 2..holders")
    noise = entropy(_WIDE * (threshold - 1))
    coefficients = [int.from_bytes(secret, "big")] + [
        int.from_bytes(noise[i : i + _WIDE], "big") % PRIME for i in range(0, len(noise), _WIDE)
    ]
    return [_evaluate(coefficients, point) for point in range(1, holders + 1)]


def _evaluate(coefficients: list[int], point: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * point + coefficient) % PRIME
    return value


def combine(shares: Mapping[int, int], threshold: int) -> bytes:
    """The secret behind `shares` (holder number, from 1, to share).

    Shares beyond the threshold must lie on the same polynomial. Raises BadInput for too few
    shares, values outside the field, and shares that disagree.
    """
    points = tuple(sorted(shares))
    if not 2 <= threshold <= len(points):
        raise BadInput("too few shares")
    if points[0] < 1 or not all(0 <= shares[point] < PRIME for point in points):
        raise BadInput("a share lies outside the field")
    basis = points[:threshold]
    for point in points[threshold:]:
        if _interpolate(shares, basis, point) != shares[point]:
            raise BadInput("shares do not lie on one polynomial")
    secret = _interpolate(shares, basis, 0)
    if secret >= 2 ** (8 * SECRET_BYTES):
        raise BadInput("the shared value is not a 32-byte secret")
    return secret.to_bytes(SECRET_BYTES, "big")


def _interpolate(shares: Mapping[int, int], basis: tuple[int, ...], at: int) -> int:
    weights = _weights(basis, at)
    return sum(shares[x] * weight for x, weight in zip(basis, weights, strict=True)) % PRIME


@lru_cache(maxsize=4096)
def _weights(basis: tuple[int, ...], at: int) -> tuple[int, ...]:
    """Lagrange's weights: the same for every secret that the same holders open."""
    weights = []
    for x in basis:
        top, bottom = 1, 1
        for other in basis:
            if other != x:
                top = top * (at - other) % PRIME
                bottom = bottom * (x - other) % PRIME
        weights.append(top * pow(bottom, -1, PRIME) % PRIME)
    return tuple(weights)


def encode(share: int) -> bytes:
    """A share as 33 bytes, whatever its value."""
    return share.to_bytes(SHARE_BYTES, "big")


def decode(data: bytes) -> int:
    """Read what `encode` wrote; raises BadInput for anything else."""
    value = int.from_bytes(data, "big")
    if len(data) != SHARE_BYTES or value >= PRIME:
        raise BadInput("not a share")
    return value
