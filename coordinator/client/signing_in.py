"""Signing in to a coordinator from a program: what is sent, and what is kept."""

from __future__ import annotations

from typing import Any

from privacy.contract.signing import Envelope, SigningKey


def proof_of_key(key: SigningKey, person: str, network: str) -> dict[str, Any]:
    """Proof that whoever registers a public key holds its other half."""
    return Envelope.seal("key", {"person": person, "network": network}, key).to_json()
