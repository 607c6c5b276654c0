"""Ed25519 identities and signed envelopes: who said exactly what.

Guarantee: `verify` accepts a statement only if the holder of the key signed these bytes
for this kind of statement; a signature made for one kind is never valid for another.
Assumes: the signing key stays with its owner; the public key was pinned out of band.
Source: RFC 8032 (Ed25519); domain separation by a prefix that names the kind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from privacy.contract.canonical import (
    Json,
    b64,
    canonical_bytes,
    parse_canonical,
    sha256_hex,
    unb64,
)
from privacy.errors import BadInput, VerificationFailed


@dataclass(frozen=True)
class FormerKey:
    """A key that signed the checkpoints of a ledger's first `until` entries, and none after."""

    key: PublicKey
    until: int


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key: 32 raw bytes.

    `former` are the keys that its owner had before. They open checkpoints of their time, and
    nothing else.
    """

    raw: bytes
    former: tuple[FormerKey, ...] = field(default=(), compare=False, repr=False)

    def at(self, place: int) -> PublicKey:
        """The key that signed at `place`, counted from 0, of its owner's log."""
        later = [former for former in self.former if place < former.until]
        return later[0].key if later else PublicKey(self.raw)

    @property
    def every(self) -> tuple[PublicKey, ...]:
        """This key and those before it, the newest first."""
        return (self, *(former.key for former in reversed(self.former)))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read the base64 form; raises BadInput unless it is 32 bytes."""
        raw = unb64(text)
        if len(raw) != 32:
            raise BadInput("a public key has 32 bytes")
        return cls(raw)

    @property
    def text(self) -> str:
        return b64(self.raw)

    @property
    def fingerprint(self) -> str:
        """Sixteen groups of four hexadecimal digits, to be read aloud and compared."""
        digits = sha256_hex(b"cairn key\n" + self.raw)
        return "-".join(digits[i : i + 4] for i in range(0, 64, 4))

    def verify(self, kind: str, message: bytes, signature: bytes) -> None:
        """Raise VerificationFailed unless `signature` was made by this key over `message`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, _tagged(kind, message))
        except (InvalidSignature, ValueError):
            raise VerificationFailed(f"signature of {kind} does not hold") from None


class SigningKey:
    """An Ed25519 private key that never prints."""

    def __init__(self, raw: bytes) -> None:
        if len(raw) != 32:
            raise BadInput("a signing key has 32 bytes")
        self._key = Ed25519PrivateKey.from_private_bytes(raw)

    @property
    def public(self) -> PublicKey:
        return PublicKey(self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def sign(self, kind: str, message: bytes) -> bytes:
        return self._key.sign(_tagged(kind, message))

    def secret_bytes(self) -> bytes:
        """The 32 secret bytes, for the key file alone."""
        return self._key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())

    def __repr__(self) -> str:
        return "SigningKey(…)"


def _tagged(kind: str, message: bytes) -> bytes:
    return b"cairn/v1/" + kind.encode("ascii") + b"\n" + message


@dataclass(frozen=True)
class Envelope:
    """A statement with its signature: `{"body", "kind", "key", "signature"}` on the wire."""

    kind: str
    body: bytes  # canonical JSON
    key: PublicKey
    signature: bytes

    @classmethod
    def seal(cls, kind: str, body: Json, key: SigningKey) -> Self:
        data = canonical_bytes(body)
        return cls(kind, data, key.public, key.sign(kind, data))

    def open(self, kind: str, key: PublicKey) -> Any:
        """The body, if it is a `kind` signed by `key`; raises VerificationFailed otherwise."""
        if self.kind != kind or self.key != key:
            raise VerificationFailed(f"not a {kind} by the expected key")
        key.verify(kind, self.body, self.signature)
        return parse_canonical(self.body)

    def open_kept(self, kind: str, key: PublicKey) -> Any:
        """The body of what was checked when it came: a former key of the owner counts too."""
        known = [each for each in key.every if each == self.key]
        return self.open(kind, known[0] if known else key)

    def resaid(self, key: SigningKey) -> Self:
        """The same statement, of the same digest, said again under `key`."""
        if self.key == key.public:
            return self
        return type(self)(self.kind, self.body, key.public, key.sign(self.kind, self.body))

    @property
    def digest(self) -> str:
        """SHA-256 of the signed body: the name of this statement."""
        return sha256_hex(self.body)

    def to_json(self) -> dict[str, Any]:
        return {
            "body": parse_canonical(self.body),
            "kind": self.kind,
            "key": self.key.text,
            "signature": b64(self.signature),
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read the wire form; raises BadInput for anything else. Does not verify."""
        try:
            if set(value) != {"body", "kind", "key", "signature"}:
                raise BadInput("an envelope has body, kind, key and signature")
            return cls(
                str(value["kind"]),
                canonical_bytes(value["body"]),
                PublicKey.from_text(value["key"]),
                unb64(value["signature"]),
            )
        except (TypeError, KeyError, AttributeError):
            raise BadInput("not an envelope") from None

    def to_bytes(self) -> bytes:
        return canonical_bytes(self.to_json())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        return cls.from_json(parse_canonical(data))
