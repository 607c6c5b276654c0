"""What auditors read on line, from the coordinator's copies, and the verification of these."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from coordinator.api.audit_schema import (
    AuditOverview,
    EntryDetail,
    EntryList,
    VerificationState,
)
from coordinator.api.auditor_views import (
    entries_view,
    entry_view,
    overview_view,
    verification_state,
)
from coordinator.api.services import AuditorOrAdmin, Use
from coordinator.reading import Sought

router = APIRouter(prefix="/v1/audit", tags=["audit"])

Text = Annotated[str, Query(max_length=128)]
Day = Annotated[str, Query(pattern=r"\A([0-9]{4}-[0-9]{2}-[0-9]{2})?\z")]


@router.get("/overview", operation_id="getAuditOverview")
def get_audit_overview(services: Use, _caller: AuditorOrAdmin) -> AuditOverview:
    """Every organisation: spent of its limit, what is stopped and refused, who vouches for it."""
    return overview_view(services)


@router.get("/ledgers/{node}/entries", operation_id="listEntries")
def list_entries(
    services: Use,
    _caller: AuditorOrAdmin,
    node: str,
    kind: Text = "",
    study: Text = "",
    researcher: Text = "",
    since: Day = "",
    until: Day = "",
    page: Annotated[int, Query(ge=1, le=10**6)] = 1,
) -> EntryList:
    """Entries of a ledger in words, the newest first. A researcher is named by the beginning of
    the key's fingerprint."""
    return entries_view(services, node, Sought(kind, study, researcher, since, until), page)


@router.get("/ledgers/{node}/entries/{seq}", operation_id="getEntry")
def get_entry(services: Use, _caller: AuditorOrAdmin, node: str, seq: int) -> EntryDetail:
    """One entry: its bytes, and the proof that a checkpoint of the node covers it."""
    return entry_view(services, node, seq)


@router.post("/verifications", operation_id="startVerification", status_code=202)
def start_verification(services: Use, caller: AuditorOrAdmin) -> VerificationState:
    """Verify the coordinator's copies of everything, as `cairn audit verify` does. One at a
    time: while one is under way, nothing new begins."""
    services.verifications.start(services, caller.name)
    return verification_state(services)


@router.get("/verifications", operation_id="getVerification")
def get_verification(services: Use, _caller: AuditorOrAdmin) -> VerificationState:
    """How far the newest verification is, or what it found."""
    return verification_state(services)
