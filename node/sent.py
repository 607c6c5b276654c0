"""What left this building, compared byte by byte with what the coordinator stored of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import httpx

from node.home import Settings
from node.ledger_index import Departure
from privacy.contract.canonical import sha256_hex, unb64
from privacy.contract.sent import SentRequest
from privacy.contract.signing import SigningKey
from privacy.errors import BadInput
from privacy.ledger.entry import Commit

TIMEOUT_SECONDS = 60.0


class Stored(StrEnum):
    """What the coordinator has of one byte string that left."""

    SAME = "same"  # the very bytes
    OTHER = "other"  # not the bytes that left
    NONE = "none"  # nothing was opened with them, so nothing is kept
    NOTHING_LEFT = "nothing left"  # it was charged, and lost before it was sent


@dataclass(frozen=True)
class Comparison:
    """Asks the coordinator, as this node."""

    settings: Settings
    key: SigningKey
    clock: Callable[[], datetime]

    def compare(self, left: Departure) -> dict[str, str]:
        """What is stored of one departure; raises BadInput where nobody answers."""
        commit = left.commit
        if commit.bytes == 0:
            return {"stored": Stored.NOTHING_LEFT.value}
        said = self._ask(commit)
        if said is None or said.get("attempt") != commit.attempt:
            return {"stored": Stored.NONE.value}
        return _judged(commit, str(said.get("masked")))

    def _ask(self, commit: Commit) -> dict[str, Any] | None:
        settings, where = self.settings, self.settings.coordinator_url
        wish = SentRequest.of(
            settings.network, settings.node, commit.plan, commit.round, self.clock()
        )
        body = {"request": wish.sealed(self.key).to_json()}
        try:
            answer = httpx.post(f"{where}/v1/own/sent", json=body, timeout=TIMEOUT_SECONDS)
            found = answer.json()
        except (httpx.HTTPError, ValueError):
            raise BadInput("the coordinator does not answer", where=where) from None
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if not answer.is_success or not isinstance(found, dict):
            raise BadInput("the coordinator does not let this node ask", where=where)
        return found


def _judged(commit: Commit, text: str) -> dict[str, str]:
    try:
        data = unb64(text)
    except BadInput:
        return {"stored": Stored.OTHER.value, "stored_sha256": "unreadable"}
    same = len(data) == commit.bytes and sha256_hex(data) == commit.masked_sha256
    if same:
        return {"stored": Stored.SAME.value}
    return {"stored": Stored.OTHER.value, "stored_sha256": sha256_hex(data)}
