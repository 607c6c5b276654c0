"""The second factor: six digits from a program on a telephone, or a recovery code.

What makes the digits is sealed in the database under a key of the coordinator's folder, so that
a copy of the database alone makes none. Of a recovery code only a hash is kept.

Source: TOTP, RFC 6238 (SHA-1, 30 seconds, 6 digits: what every program knows).
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import pyotp
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from privacy.contract.canonical import sha256_hex
from privacy.contract.signing import SigningKey
from privacy.errors import BadInput, VerificationFailed

STEP_SECONDS = 30
SECRET_BYTES = 20
RECOVERY_CODES = 10
_DIGITS = re.compile(r"[0-9]{6}")
_SECRET = re.compile(r"[A-Z2-7]{32}")
_RECOVERY_BYTES = 10
_NONCE_BYTES = 12


def new_secret(entropy: Callable[[int], bytes]) -> str:
    """160 random bits in base32, as programs for codes read them."""
    return base64.b32encode(entropy(SECRET_BYTES)).decode("ascii")


def check_secret(text: str) -> str:
    """The secret itself; raises BadInput, never quoting it, for another form."""
    if not _SECRET.fullmatch(text):
        raise BadInput("not a secret of a second factor", instead="32 characters A-Z and 2-7")
    return text


def enrolment_uri(secret: str, login: str, network: str) -> str:
    """What a program for codes reads, usually from a picture."""
    return pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=f"Cairn {network}")


def accepted_step(secret: str, code: str, now: datetime) -> int | None:
    """The half minute that `code` belongs to: this one or a neighbour. Takes the same steps
    whatever is right or wrong."""
    current = int(now.timestamp()) // STEP_SECONDS
    found = None
    tried = code if _DIGITS.fullmatch(code) else "none"
    for step in (current - 1, current, current + 1):
        if hmac.compare_digest(pyotp.HOTP(secret).at(step), tried):
            found = step
    return found


def new_recovery_codes(entropy: Callable[[int], bytes]) -> tuple[str, ...]:
    """Codes for a lost telephone, each good once: 80 random bits in four groups."""
    return tuple(_grouped(entropy(_RECOVERY_BYTES)) for _ in range(RECOVERY_CODES))


def _grouped(data: bytes) -> str:
    text = base64.b32encode(data).decode("ascii").lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def recovery_hash(principal: str, code: str) -> str:
    """What is stored of a recovery code, and looked up, with or without its hyphens."""
    bare = code.strip().lower().replace("-", "").replace(" ", "")
    return sha256_hex(f"cairn recovery\n{principal}\n{bare}".encode("utf-8", "surrogatepass"))


@dataclass(frozen=True)
class FactorSeal:
    """Seals the secrets of second factors for the database."""

    key: bytes = field(repr=False)
    entropy: Callable[[int], bytes]

    @classmethod
    def of(cls, identity: SigningKey, entropy: Callable[[int], bytes]) -> FactorSeal:
        """With a key derived from the coordinator's identity."""
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"cairn/v1/second-factor")
        return cls(derived.derive(identity.secret_bytes()), entropy)

    def seal(self, secret: str, principal: str) -> bytes:
        nonce = self.entropy(_NONCE_BYTES)
        said = secret.encode("ascii")
        return nonce + ChaCha20Poly1305(self.key).encrypt(nonce, said, principal.encode())

    def open(self, sealed: bytes, principal: str) -> str:
        """Raises VerificationFailed for what was sealed for another person or under another key."""
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return ChaCha20Poly1305(self.key).decrypt(nonce, rest, principal.encode()).decode()
        except InvalidTag:
            raise VerificationFailed("a second factor was sealed by another coordinator") from None
