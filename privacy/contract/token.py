"""A person's token: one secret from which a bearer credential and a signing key derive.

A token is made where it is used and stays there. Only the bearer credential (to be let in)
and the public key (to be named as an investigator) are ever sent; from either, the secret
and the other half cannot be computed.

Source: HKDF-SHA256, RFC 5869.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from privacy.contract.canonical import sha256_hex
from privacy.contract.signing import SigningKey
from privacy.errors import BadInput

_FORM = re.compile(r"cairn_([a-z])_([A-Za-z0-9_-]{43})")
_BEARER = re.compile(r"[A-Za-z0-9_-]{43}")


class Role(StrEnum):
    """What a person may do. The first letter stands in the token, for the reader alone."""

    RESEARCHER = "researcher"
    STEWARD = "steward"
    AUDITOR = "auditor"
    CLINICIAN = "clinician"
    ADMIN = "admin"

    @property
    def letter(self) -> str:
        letters = {"researcher": "r", "steward": "s", "auditor": "a", "clinician": "c"}
        return letters.get(self.value, "m")


@dataclass(frozen=True)
class Token:
    """32 secret bytes with the role they were made for; prints nothing of the secret.

    The role is a reminder for its owner. What the holder may do is decided where the bearer
    credential is checked.
    """

    role: Role
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != 32:
            raise BadInput("a token has 32 secret bytes")

    @classmethod
    def new(cls, role: Role, entropy: Callable[[int], bytes]) -> Self:
        return cls(role, entropy(32))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `text`; raises BadInput (which never quotes it) for any other form."""
        found = _FORM.fullmatch(text.strip())
        letters = {role.letter: role for role in Role}
        if found is None or found[1] not in letters:
            raise BadInput("not a token", instead="cairn_, a letter, _ and 43 characters")
        return cls(letters[found[1]], _unb64url(found[2]))

    @property
    def text(self) -> str:
        """The token itself: secret."""
        return f"cairn_{self.role.letter}_{_b64url(self.secret)}"

    @property
    def bearer(self) -> str:
        """The credential that opens a session: sent over TLS, stored only as a hash."""
        return _b64url(self._derive(b"cairn/v1/bearer"))

    @property
    def signing_key(self) -> SigningKey:
        """The key that signs questions; only its public half is ever sent."""
        return SigningKey(self._derive(b"cairn/v1/signing"))

    @property
    def bearer_sha256(self) -> str:
        return bearer_sha256(self.bearer)

    def _derive(self, info: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(self.secret)

    def __str__(self) -> str:
        return f"Token({self.role.value})"


def bearer_sha256(bearer: str) -> str:
    """What a server stores of a bearer credential; raises BadInput for what cannot be one."""
    if not _BEARER.fullmatch(bearer):
        raise BadInput("not a bearer credential")
    return sha256_hex(b"cairn bearer\n" + _unb64url(bearer))


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _unb64url(text: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(text + "=")
    except (binascii.Error, ValueError):
        raise BadInput("not base64url") from None
    if _b64url(data) != text:
        raise BadInput("base64url is not in canonical form")
    return data
