"""The certificate authority of a network's link, as its coordinator states it to the nodes.

Guarantee: a node takes another authority by the coordinator's key in force alone.
Assumes: an authority protects the link from onlookers and strangers, no more: what counts in a
message is signed by the keys of coordinator and nodes, whoever carries it.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import StringConstraints

from privacy.contract.facts import Fact
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.errors import VerificationFailed
from privacy.ledger.fields import Instant

AUTHORITY = "tls-authority"


class TlsAuthority(Fact):
    """From `at` on the link of `network` is certified by this authority (PEM)."""

    network: str
    certificate: Annotated[str, StringConstraints(max_length=16_384)]
    at: Instant

    def sealed(self, key: SigningKey) -> Envelope:
        return Envelope.seal(AUTHORITY, self.to_json(), key)

    @classmethod
    def opened(cls, envelope: Envelope, key: PublicKey, network: str) -> Self:
        """Raises VerificationFailed unless `key` signed it for this network."""
        found = cls.from_json(envelope.open(AUTHORITY, key))
        if found.network != network:
            raise VerificationFailed("an authority of another network")
        return found
