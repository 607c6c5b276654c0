"""Keys and delegations that nobody may ask with any more: one signed list that only grows.

A study names keys, and stays as it was signed; so a key that is lost or whose owner has left is
taken out here, and so is a delegation that its signer took back early. The list needs no trust: it
can only make nodes answer less.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import StringConstraints, model_validator

from privacy.contract.facts import Fact
from privacy.contract.signing import PublicKey

MAX_KEYS = 4096
Digest = Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{64}\z")]


class Revocation(Fact):
    """Everything that was revoked in a network so far, sorted; `number` counts the lists."""

    network: str
    number: int
    keys: tuple[str, ...]  # Ed25519 public keys, base64
    delegations: tuple[Digest, ...] = ()  # digests of their statements

    @property
    def everything(self) -> frozenset[str]:
        """Keys and delegations."""
        return frozenset(self.keys) | frozenset(self.delegations)

    @model_validator(mode="after")
    def _sorted_and_distinct(self) -> Self:
        if self.number < 1:
            raise ValueError("lists are numbered from 1")
        if not self.everything:
            raise ValueError("a list names one at least")
        for named in (self.keys, self.delegations):
            if list(named) != sorted(set(named)):
                raise ValueError("keys and delegations are sorted and distinct")
            if len(named) > MAX_KEYS:
                raise ValueError(f"at most {MAX_KEYS} of a kind")
        for key in self.keys:
            PublicKey.from_text(key)
        return self
