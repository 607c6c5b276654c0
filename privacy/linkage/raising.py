"""Raising points to a secret: one node's part of every pseudonym.

A point goes round all nodes; the order in which they raise it does not matter.

Guarantee: from points and what they were raised to, nothing about the secret or about another
point raised to it can be computed.
Assumes: the decisional Diffie–Hellman problem on Curve25519; a secret serves one session.
Source: RFC 7748 (X25519, which clears cofactors and takes the same time for every secret);
Jarecki, Kiayias and Krawczyk 2014 (the exponentiation as an oblivious PRF); Meadows 1986 and
Huberman, Franklin and Hogg 1999 (private intersection by commuting exponents).
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from privacy.errors import BadInput, ProtocolError
from privacy.linkage.hash_to_curve import POINT_BYTES, PRIME
from privacy.randomness import Entropy

SECRET_BYTES = 32


class Exponent:
    """A node's secret for one session. Never prints."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SECRET_BYTES:
            raise BadInput(f"an exponent has {SECRET_BYTES} secret bytes")
        self._key = X25519PrivateKey.from_private_bytes(secret)

    @classmethod
    def fresh(cls, entropy: Entropy) -> Exponent:
        return cls(entropy(SECRET_BYTES))

    def raised(self, point: bytes) -> bytes:
        """The point to the power of the secret; raises ProtocolError for a point of low order."""
        try:
            return self._key.exchange(X25519PublicKey.from_public_bytes(point))
        except ValueError:
            raise ProtocolError("a point of low order") from None

    def __repr__(self) -> str:
        return "Exponent(…)"


def random_point(entropy: Entropy) -> bytes:
    """A point that fills a list: like one of a name, and of no name."""
    key = X25519PrivateKey.from_private_bytes(entropy(SECRET_BYTES))
    return key.public_key().public_bytes_raw()


def join_points(points: Iterable[bytes]) -> bytes:
    """A list as it travels: its points one after the other."""
    return b"".join(points)


def split_points(data: bytes, count: int) -> list[bytes]:
    """Exactly `count` distinct points in canonical form; raises ProtocolError otherwise.

    A list in which one point stands twice could mark whoever made it, or be a replay.
    """
    if len(data) != count * POINT_BYTES:
        raise ProtocolError(f"a list of {count} points has {count * POINT_BYTES} bytes")
    points = [data[start : start + POINT_BYTES] for start in range(0, len(data), POINT_BYTES)]
    if any(int.from_bytes(point, "little") >= PRIME for point in points):
        raise ProtocolError("a point is not in canonical form")
    if len(set(points)) != count:
        raise ProtocolError("a point stands twice")
    return points
