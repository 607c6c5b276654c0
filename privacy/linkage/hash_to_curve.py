"""From a text to a point of Curve25519 of which nobody knows a discrete logarithm.

Suite curve25519_XMD:SHA-512_ELL2_RO_: two field elements from SHA-512, each mapped to the curve
by Elligator 2, added, and multiplied by the cofactor 8. Only the u-coordinate is kept.

Guarantee: indifferentiable from a random point of the group of prime order, so that a point
raised to a secret is an oblivious pseudo-random function of the text.
Assumes: who hashes may know the text; the time taken depends on it.
Source: RFC 9380 sections 5.2, 5.3.1, 6.7.1, 8.5 and appendix J.4.1 (test vectors).
"""

from __future__ import annotations

import hashlib

from privacy.errors import BadInput

POINT_BYTES = 32
PRIME = 2**255 - 19
DOMAIN = b"cairn/v1/linkage-with-curve25519_XMD:SHA-512_ELL2_RO_"

_A = 486662
_SQRT_MINUS_ONE = pow(2, (PRIME - 1) // 4, PRIME)
_FIELD_BYTES = 48
_BLOCK_BYTES = 128
_DIGEST_BYTES = 64

_Affine = tuple[int, int]


def hash_to_point(message: bytes, domain: bytes = DOMAIN) -> bytes:
    """The u-coordinate, 32 bytes little-endian, of the point that `message` hashes to."""
    first, second = hash_to_field(message, domain)
    u = _times_eight(_sum_u(_elligator(first), _elligator(second)))
    return u.to_bytes(POINT_BYTES, "little")


def hash_to_field(message: bytes, domain: bytes = DOMAIN) -> tuple[int, int]:
    """Two uniform elements of the field."""
    data = _expand(message, domain, 2 * _FIELD_BYTES)
    halves = data[:_FIELD_BYTES], data[_FIELD_BYTES:]
    first, second = (int.from_bytes(half, "big") % PRIME for half in halves)
    return first, second


def _expand(message: bytes, domain: bytes, length: int) -> bytes:
    """expand_message_xmd with SHA-512."""
    if not 0 < len(domain) < 256:
        raise BadInput("a domain has 1 to 255 bytes")
    tag = domain + bytes([len(domain)])
    head = bytes(_BLOCK_BYTES) + message + length.to_bytes(2, "big") + b"\0" + tag
    start = hashlib.sha512(head).digest()
    block = hashlib.sha512(start + b"\1" + tag).digest()
    out = block
    for number in range(2, -(-length // _DIGEST_BYTES) + 1):
        mixed = bytes(a ^ b for a, b in zip(start, block, strict=True))
        block = hashlib.sha512(mixed + bytes([number]) + tag).digest()
        out += block
    return out[:length]


def _elligator(u: int) -> _Affine:
    """Elligator 2 with Z = 2; 1 + 2u² is never zero, since -1/2 is no square here."""
    x = -_A * pow(1 + 2 * u * u, -1, PRIME) % PRIME
    root = _square_root(_right_side(x))
    if root is not None:
        return x, root if root & 1 else PRIME - root
    x = (-x - _A) % PRIME
    root = _square_root(_right_side(x))
    if root is None:
        raise ArithmeticError("one of the two is a square")
    return x, PRIME - root if root & 1 else root


def _right_side(x: int) -> int:
    return x * (x * (x + _A) + 1) % PRIME


def _square_root(value: int) -> int | None:
    """A square root, or None for what has none. The prime is 5 modulo 8."""
    root = pow(value, (PRIME + 3) // 8, PRIME)
    if root * root % PRIME != value:
        root = root * _SQRT_MINUS_ONE % PRIME
    return root if root * root % PRIME == value else None


def _sum_u(one: _Affine, other: _Affine) -> int:
    """The u-coordinate of the sum of two points."""
    (x1, y1), (x2, y2) = one, other
    if x1 == x2 and (y1 + y2) % PRIME == 0:
        raise BadInput("hashes to no point", instead="this happens once in 2^250 texts")
    if x1 == x2:
        slope = (3 * x1 * x1 + 2 * _A * x1 + 1) * pow(2 * y1, -1, PRIME)
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, PRIME)
    return (slope * slope - _A - x1 - x2) % PRIME


def _times_eight(u: int) -> int:
    """Three doublings by u-coordinates alone."""
    x, z = u, 1
    for _ in range(3):
        plus, minus = (x + z) ** 2 % PRIME, (x - z) ** 2 % PRIME
        four = plus - minus
        x, z = plus * minus % PRIME, four * (plus + (_A - 2) // 4 * four) % PRIME
    if z == 0:
        raise BadInput("hashes to no point", instead="this happens once in 2^250 texts")
    return x * pow(z, -1, PRIME) % PRIME
