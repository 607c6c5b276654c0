"""The audit bundle: everything an auditor needs to check the network offline."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from anyio import to_thread
from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from coordinator.api.bundles import pack_bundle
from coordinator.api.services import AuditorOrAdmin, Use
from coordinator.api.waiting import sync_ledgers

router = APIRouter(prefix="/v1/audit", tags=["audit"])


@router.get(
    "/bundle",
    operation_id="getAuditBundle",
    response_class=FileResponse,
    responses={200: {"content": {"application/gzip": {}}, "description": "A tar.gz archive."}},
)
async def get_audit_bundle(services: Use, _caller: AuditorOrAdmin) -> FileResponse:
    """Every node's ledger with checkpoints and witnesses, plans and releases, as a tar.gz.

    The nodes' newest entries are fetched first, as far as the nodes can be reached.
    """
    settled = await to_thread.run_sync(services.store.releases.digests)
    await sync_ledgers(services)
    folder = Path(await to_thread.run_sync(tempfile.mkdtemp, "", "cairn-audit-"))
    try:
        archive = await to_thread.run_sync(pack_bundle, services, folder, settled)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return FileResponse(
        archive,
        media_type="application/gzip",
        filename="cairn-audit.tar.gz",
        background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
    )
