"""The audit bundle: everything an auditor needs to check the network offline."""

from __future__ import annotations

import shutil
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse

from coordinator.api.bundles import pack_bundle, settled
from coordinator.api.schema import CosignatureForm, CosignatureView, Heads, HeadView, LogHead
from coordinator.api.services import AuditorOnly, AuditorOrAdmin, Insider, Services, Use
from coordinator.api.shelf import Packed
from coordinator.api.waiting import sync_ledgers
from privacy.checkpoint import (
    AUDITOR,
    LOG,
    check_cosignature,
    open_checkpoint,
    origin_of,
    witness_name,
)
from privacy.contract.signing import PublicKey
from privacy.errors import Code, Refused, VerificationFailed

router = APIRouter(prefix="/v1/audit", tags=["audit"])

MAX_LINES = 10_000


@router.get("/log", operation_id="getLogHead")
def get_log_head(
    services: Use,
    _caller: Insider,
    since: Annotated[int, Query(ge=0, description="The size of a head that you hold.")] = 0,
) -> LogHead:
    """The newest signed head of the coordinator's own log, and what shows that the first `since`
    lines are still the same. 404 if there were never so many."""
    size = services.log.size()
    if since > size:
        raise Refused(Code.NOT_FOUND, size=size)
    checkpoint, hashes = services.log.consistency(since, size)
    return LogHead(checkpoint=checkpoint, size=size, since=since, hashes=list(hashes))


@router.get(
    "/log/lines",
    operation_id="getLogLines",
    response_class=Response,
    responses={200: {"content": {"application/jsonl": {}}, "description": "A line each."}},
)
def get_log_lines(
    services: Use,
    _caller: AuditorOrAdmin,
    start: Annotated[int, Query(ge=0)] = 0,
    count: Annotated[int, Query(ge=1, le=MAX_LINES)] = 1000,
) -> Response:
    """Lines of the log from `start` on: which statement was made, never what it says."""
    lines = services.store.log.lines(start, start + count)
    return Response(b"".join(line + b"\n" for line in lines), media_type="application/jsonl")


@router.get("/heads", operation_id="getHeads")
def get_heads(services: Use, _caller: AuditorOrAdmin) -> Heads:
    """The newest signed head of the coordinator's log and of every node's ledger, to witness."""
    keys = services.store.network.roster.keys
    own = HeadView(of=LOG, key=services.key.public.text, checkpoint=services.log.checkpoint())
    newest = {node: services.store.ledgers.newest_checkpoint(node) for node in sorted(keys)}
    heads = [
        HeadView(of=node, key=keys[node].text, checkpoint=facts.text)
        for node, facts in newest.items()
        if facts is not None
    ]
    return Heads(network=services.store.network.id, heads=[own, *heads])


@router.get(
    "/ledgers/{node}/lines",
    operation_id="getLedgerLines",
    response_class=Response,
    responses={200: {"content": {"application/jsonl": {}}, "description": "A line each."}},
)
def get_ledger_lines(
    services: Use,
    _caller: AuditorOrAdmin,
    node: str,
    start: Annotated[int, Query(ge=0)] = 0,
    count: Annotated[int, Query(ge=1, le=MAX_LINES)] = 1000,
) -> Response:
    """Entries of the copy of a node's ledger, from `start` on."""
    lines = services.store.ledgers.entries(node, start, start + count)
    return Response(b"".join(line + b"\n" for line in lines), media_type="application/jsonl")


@router.post("/cosignatures", operation_id="addCosignature", status_code=201)
def add_cosignature(services: Use, caller: AuditorOnly, form: CosignatureForm) -> CosignatureView:
    """Keep an auditor's cosignature beside the head that it is on."""
    keys = {**services.store.network.roster.keys, LOG: services.key.public}
    network, by = services.store.network.id, f"{AUDITOR}{caller.id}"
    if form.of not in keys or not caller.public_key:
        raise Refused(Code.NOT_FOUND)
    try:
        head = open_checkpoint(form.checkpoint, keys[form.of], origin_of(network, form.of))
        own = PublicKey.from_text(caller.public_key)
        check_cosignature(head, form.cosignature, witness_name(network, by), own)
    except VerificationFailed:
        raise Refused(Code.BAD_SIGNATURE) from None
    services.store.ledgers.add_checkpoint(form.of, by, head.size, form.checkpoint, form.cosignature)
    return CosignatureView(of=form.of, by=by, size=head.size)


@router.get(
    "/bundle",
    operation_id="getAuditBundle",
    response_class=FileResponse,
    responses={200: {"content": {"application/gzip": {}}, "description": "A tar.gz archive."}},
)
async def get_audit_bundle(
    request: Request, services: Use, _caller: AuditorOrAdmin
) -> FileResponse:
    """Every node's ledger with checkpoints and witnesses, plans and releases, as a tar.gz.

    The nodes' newest entries are fetched first, as far as the nodes can be reached. With `Range`
    and `If-Range` the rest of an archive that was cut off is sent, while it is kept.
    """
    packed = None
    if "range" in request.headers:
        packed = services.shelf.find(request.headers.get("if-range", ""))
    if packed is None:
        packed = await _packed(services)
    return FileResponse(
        packed.path,
        headers={"etag": packed.tag},
        media_type="application/gzip",
        filename="cairn-audit.tar.gz",
    )


async def _packed(services: Services) -> Packed:
    before = await to_thread.run_sync(settled, services)
    await sync_ledgers(services)
    folder = services.shelf.new_folder()
    try:
        archive = await to_thread.run_sync(pack_bundle, services, folder, before)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return services.shelf.put(archive)
