"""The key with which pages sign what a researcher asks there, under a delegation of theirs."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from privacy.contract.signing import SigningKey


def page_key(coordinator: SigningKey, person: str) -> SigningKey:
    """Of one person alone, and the same after every restart."""
    info = b"cairn/v1/web-delegate\n" + person.encode()
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=info)
    return SigningKey(derived.derive(coordinator.secret_bytes()))
