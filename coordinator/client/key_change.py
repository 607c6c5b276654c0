"""Taking another key to sign with, which the old one signs: approved studies go on with it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from coordinator.client.transport import Transport
from privacy.contract.researcher_key import ResearcherKey
from privacy.contract.time import instant_text
from privacy.contract.token import Token


def change_key(
    transport: Transport, old: Token, new: Token, *, with_credential: bool, now: datetime
) -> None:
    """Tell the coordinator, signed by both keys; nodes hear of it at their next contact.

    `with_credential` puts the new token's credential in the old one's place too. A change that
    was taken already is not asked for again. Raises Refused.
    """
    key = new.signing_key
    if transport.get("/v1/me")["public_key"] == key.public.text:
        return
    network = str(transport.get("/v1/network")["id"])
    change = ResearcherKey.of(old.signing_key, key, network, instant_text(now))
    body: dict[str, Any] = {"change": change.to_json()}
    if with_credential:
        body["bearer_sha256"] = new.bearer_sha256
    transport.post("/v1/me/key/change", body)
