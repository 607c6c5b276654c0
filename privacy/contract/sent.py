"""An organisation asks the coordinator for the very bytes that it stored of its node's answers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Self

from privacy.contract.facts import Fact
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.contract.time import instant_text, parse_instant
from privacy.errors import BadInput, VerificationFailed
from privacy.ledger.fields import Digest, Index, Instant, Name

KIND = "sent-request"
FRESH = timedelta(minutes=5)


class SentRequest(Fact):
    """What is asked for: one round's masked vector of the node that signs (`sent-request`)."""

    network: Name
    node: Name
    plan: Digest
    round: Index
    at: Instant

    @classmethod
    def of(cls, network: str, node: str, plan: str, round_: int, now: datetime) -> Self:
        return cls(network=network, node=node, plan=plan, round=round_, at=instant_text(now))

    def sealed(self, key: SigningKey) -> Envelope:
        return Envelope.seal(KIND, self.to_json(), key)


def open_sent_request(envelope: Envelope, key: PublicKey, now: datetime) -> SentRequest:
    """The request, if the node signed it minutes ago; raises VerificationFailed otherwise."""
    try:
        request = SentRequest.from_json(envelope.open(KIND, key))
    except BadInput as error:
        raise VerificationFailed(error.what) from None
    if abs(parse_instant(request.at) - now) > FRESH:
        raise VerificationFailed("was signed at another time")
    return request
