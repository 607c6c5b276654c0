"""Keys that nobody may ask with any more: one signed list that only grows.

A study names keys, and stays as it was signed; so a key that is lost or whose owner has left is
taken out here. The list needs no trust: it can only make nodes answer less.
"""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from privacy.contract.facts import Fact
from privacy.contract.signing import PublicKey

MAX_KEYS = 4096


class Revocation(Fact):
    """Every key of a network that was revoked so far, sorted; `number` counts the lists."""

    network: str
    number: int
    keys: tuple[str, ...]  # Ed25519 public keys, base64

    @model_validator(mode="after")
    def _sorted_and_distinct(self) -> Self:
        if self.number < 1:
            raise ValueError("lists are numbered from 1")
        if not self.keys or list(self.keys) != sorted(set(self.keys)):
            raise ValueError("keys are sorted and distinct, one at least")
        if len(self.keys) > MAX_KEYS:
            raise ValueError(f"at most {MAX_KEYS} keys")
        for key in self.keys:
            PublicKey.from_text(key)
        return self
