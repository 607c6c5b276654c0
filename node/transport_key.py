"""The key a node shows to the coordinator's Flower link (EC P-384, as Flower has it).

It opens the door and nothing more: what a node says is signed by its Ed25519 identity.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP384R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from privacy.contract.canonical import b64
from privacy.errors import BadInput


def new_transport_key() -> EllipticCurvePrivateKey:
    """A fresh key from the operating system's randomness."""
    return generate_private_key(SECP384R1())


def save_transport_key(key: EllipticCurvePrivateKey, path: Path) -> None:
    """Write the key, readable by its owner alone; never overwrites one."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)


def load_transport_key(path: Path) -> EllipticCurvePrivateKey:
    """Read a saved key; raises BadInput unless it is an EC P-384 private key."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError):
        raise BadInput("not a private key in PEM form", where=str(path)) from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP384R1):
        raise BadInput("not an EC P-384 key", where=str(path))
    return key


def public_text(key: EllipticCurvePrivateKey) -> str:
    """The public half on one line: base64 of its SubjectPublicKeyInfo."""
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64(spki)
