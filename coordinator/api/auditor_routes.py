"""What auditors read on line, from the coordinator's copies, and the verification of these."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from coordinator.api import dossiers
from coordinator.api.audit_schema import (
    AuditOverview,
    Dossier,
    DossierList,
    DossierView,
    EntryDetail,
    EntryList,
    PolicyList,
    ReplayAsk,
    ReplayView,
    VerificationState,
    WithdrawalList,
)
from coordinator.api.auditor_views import (
    entries_view,
    entry_view,
    overview_view,
    policies_view,
    verification_state,
    withdrawals_view,
)
from coordinator.api.services import AuditorOrAdmin, Services, Use
from coordinator.api.verifying import Checked
from coordinator.audit.supposition import supposition
from coordinator.reading import Sought
from privacy.errors import Code, Refused

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


@router.get("/ledgers/{node}/policies", operation_id="listPolicies")
def list_policies(services: Use, _caller: AuditorOrAdmin, node: str) -> PolicyList:
    """What every policy of an organisation changed, who set it, when and why; and what its
    members are promised."""
    return policies_view(services, node)


@router.get("/withdrawals", operation_id="listWithdrawals")
def list_withdrawals(
    services: Use,
    _caller: AuditorOrAdmin,
    page: Annotated[int | None, Query(ge=1, le=10**6)] = None,
) -> WithdrawalList:
    """Approvals taken back, keys revoked and pauses, and whether they held, by time: all of them,
    or 200 to a page, of which the first has the newest. 404 until a verification held."""
    return withdrawals_view(_held(services), page)


@router.post("/replays", operation_id="replayLedgers")
def replay_ledgers(services: Use, _caller: AuditorOrAdmin, ask: ReplayAsk) -> ReplayView:
    """Which questions other limits, rules or noise would have refused. 404 until a verification
    held."""
    checked = _held(services)
    suppose = supposition(
        [f"{name}={text}" for name, text in ask.limits.items()],
        preset_name=ask.preset,
        margin=ask.margin,
        memberships=ask.memberships,
        noise=ask.noise,
        nodes=ask.nodes,
    )
    return ReplayView(made_at=checked.at, **checked.replayed(suppose).to_json())


@router.get("/dossiers", operation_id="listDossiers")
def list_dossiers(services: Use, _caller: AuditorOrAdmin) -> DossierList:
    """The studies and organisations of which there is a dossier. 404 until a verification held."""
    checked = _held(services)
    made = [
        DossierView(name=name, of=of, kind=kind, title=title)
        for name, of, kind, title in dossiers.names(checked)
    ]
    return DossierList(made_at=checked.at, dossiers=made, paper=dossiers.can_set_paper())


@router.get("/dossiers/{name}", operation_id="getDossier")
def get_dossier(
    services: Use,
    _caller: AuditorOrAdmin,
    name: str,
    rows: Annotated[int | None, Query(ge=1, le=10**6)] = None,
) -> Dossier:
    """One dossier, section by section. With `rows`, no more than the last so many lines of each
    table, and how many are left out."""
    checked = _held(services)
    found = dossiers.document(checked, name)
    value = found.to_json(rows)
    return Dossier(
        name=found.name,
        title=found.title,
        made_at=checked.at,
        about=list(found.about),
        sections=value["sections"],
    )


@router.get(
    "/dossiers/{name}/file",
    operation_id="getDossierFile",
    response_class=Response,
    responses={200: {"content": {each: {} for each in dossiers.FORMS.values()}}},
)
def get_dossier_file(
    services: Use,
    _caller: AuditorOrAdmin,
    name: str,
    form: Annotated[str, Query(pattern=r"\A(html|pdf|json)\z")] = "html",
) -> Response:
    """The dossier as a page, as PDF, or (of a study) as a draft for the registry of deployments."""
    body = dossiers.file(_held(services), name, form)
    return Response(body, media_type=dossiers.FORMS[form])


def _held(services: Services) -> Checked:
    """The newest copy that held; raises Refused(NOT_FOUND) before there is one."""
    checked = services.verifications.held
    if checked is None:
        raise Refused(Code.NOT_FOUND, what="verification")
    return checked
