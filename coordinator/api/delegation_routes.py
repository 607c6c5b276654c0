"""Leave to ask in somebody's name, taken back before its time."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from coordinator.api.services import Researcher, Use
from coordinator.people import list_revoked
from privacy.contract.delegation import ended_delegation
from privacy.contract.signing import Envelope
from privacy.errors import Code, Refused

router = APIRouter(prefix="/v1/delegations", tags=["studies"])


class DelegationEndAsk(BaseModel):
    """A delegation, and its end signed by the same key."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    delegation: dict[str, Any] = Field(description="The signed delegation.")
    end: dict[str, Any] = Field(description="Its end: an envelope of kind delegation-end.")


class DelegationEndView(BaseModel):
    """What nodes are told at their next contact."""

    delegation: str = Field(description="The digest of the delegation that counts no more.")


@router.post("/end", operation_id="endDelegation")
def end_delegation(ask: DelegationEndAsk, services: Use, caller: Researcher) -> DelegationEndView:
    """Take back a delegation of yours: nodes answer nothing under it from their next contact on."""
    given = Envelope.from_json(ask.delegation)
    ended = ended_delegation(given, Envelope.from_json(ask.end))
    if given.key.text != caller.public_key:
        raise Refused(Code.NOT_PERMITTED)
    list_revoked(services.store, services.key, delegations=(ended,))
    return DelegationEndView(delegation=ended)
