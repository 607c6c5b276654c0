"""What an organisation's node asks of the coordinator by itself, under its own signature."""

from __future__ import annotations

import json

from fastapi import APIRouter, Request

from coordinator.api.schema import SentAsk, SentView
from coordinator.api.services import Use, counting_failures
from privacy.contract.sent import SentRequest, open_sent_request
from privacy.contract.signing import Envelope
from privacy.errors import BadInput, Code, Refused, VerificationFailed

router = APIRouter(prefix="/v1/own", tags=["own"])


@router.post("/sent", operation_id="getSent")
def get_sent(services: Use, request: Request, ask: SentAsk) -> SentView:
    """The masked vector of one round as the coordinator stored it, for the node that sent it.

    404 where nothing of it was opened, so that nothing is kept.
    """
    with counting_failures(services, request):
        wish = _opened(services, ask)
    if wish.network != services.store.network.id:
        raise Refused(Code.NOT_FOUND)
    stored = services.store.openings.transcript(wish.plan, wish.round)
    if stored is None:
        raise Refused(Code.NOT_FOUND)
    attempt, masked = _of_node(stored, wish.node)
    return SentView(plan=wish.plan, round=wish.round, attempt=attempt, masked=masked)


def _opened(services: Use, ask: SentAsk) -> SentRequest:
    keys = services.store.network.roster.keys
    try:
        envelope = Envelope.from_json(ask.request)
        node = next(name for name, key in keys.items() if key == envelope.key)
        wish = open_sent_request(envelope, keys[node], services.clock())
    except (BadInput, VerificationFailed, StopIteration):
        raise Refused(Code.NOT_PERMITTED) from None
    if wish.node != node:
        raise Refused(Code.NOT_PERMITTED)
    return wish


def _of_node(stored: bytes, node: str) -> tuple[int, str]:
    """The attempt and the vector's text, just as they stand there, right or wrong."""
    try:
        value = json.loads(stored)
        return int(value["attempt"]["attempt"]), str(value["masked"][node])
    except (ValueError, KeyError, TypeError):
        raise Refused(Code.NOT_FOUND) from None
