"""Shares on their way from dealer to holder, through a coordinator that cannot read them.

Guarantee: only the holder of the recipient's session key reads a piece, and it opens only as
what it is: this sender's shares of this set, for this recipient, between these two adverts.
Assumes: each piece is sealed once (its key is derived for it alone, so the nonce is constant).
Source: X25519 and HKDF-SHA256 for the key, ChaCha20-Poly1305 (RFC 8439) for the piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from privacy.errors import BadInput
from privacy.secure_sum.masks import derive
from privacy.secure_sum.messages import MAX_SETS, context

_NONCE = bytes(12)
_HEADER = b"CSS1"
_COUNT_BYTES = 4


@dataclass(frozen=True)
class End:
    """One end of a channel: a node and the digest of its signed advert."""

    node: str
    advert: str


@dataclass(frozen=True, repr=False)
class Channel:
    """What two sessions have in common. `secret` is their X25519 secret and never prints."""

    secret: bytes
    here: End
    there: End

    def seal(self, set_index: int, plain: bytes) -> bytes:
        """Encrypt this node's shares of one set for the peer. Once per set."""
        info = _context(self.here, self.there, set_index)
        return ChaCha20Poly1305(derive(self.secret, info)).encrypt(_NONCE, plain, info)

    def unseal(self, set_index: int, sealed: bytes) -> bytes:
        """Decrypt the peer's shares of one set; raises BadInput if anything was changed."""
        info = _context(self.there, self.here, set_index)
        try:
            return ChaCha20Poly1305(derive(self.secret, info)).decrypt(_NONCE, sealed, info)
        except InvalidTag:
            raise BadInput("sealed shares do not open") from None

    def __repr__(self) -> str:
        return f"Channel({self.here.node} to {self.there.node})"


def _context(sender: End, recipient: End, set_index: int) -> bytes:
    ends = (sender.node, sender.advert, recipient.node, recipient.advert)
    return context("channel", *ends, set_index)


def join_sealed(pieces: Sequence[bytes]) -> bytes:
    """One blob for one peer: the sealed pieces of all sets, which have equal sizes."""
    size = len(pieces[0])
    numbers = len(pieces).to_bytes(_COUNT_BYTES, "big") + size.to_bytes(_COUNT_BYTES, "big")
    return _HEADER + numbers + b"".join(pieces)


def split_sealed(blob: bytes) -> list[bytes]:
    """The pieces of a blob by set index, so that only the set in use need be forwarded.

    Raises BadInput for anything that `join_sealed` cannot have written.
    """
    start = len(_HEADER) + 2 * _COUNT_BYTES
    header, numbers = blob[: len(_HEADER)], blob[len(_HEADER) : start]
    count = int.from_bytes(numbers[:_COUNT_BYTES], "big")
    size = int.from_bytes(numbers[_COUNT_BYTES:], "big")
    if header != _HEADER or not 1 <= count <= MAX_SETS or len(blob) != start + count * size:
        raise BadInput("not sealed shares")
    return [blob[start + i * size : start + (i + 1) * size] for i in range(count)]
