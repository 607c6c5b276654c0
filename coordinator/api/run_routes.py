"""Previews, runs and releases."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Annotated

import numpy as np
from anyio import to_thread
from fastapi import APIRouter, Header, Query, Response

from coordinator.api.asking import start_run
from coordinator.api.combining import combined_view
from coordinator.api.entitlement import (
    answers_for,
    visible_release,
    visible_run,
    visible_versions,
)
from coordinator.api.previewing import make_preview
from coordinator.api.question_schema import (
    CombinedView,
    OpenedRound,
    OpenedRounds,
    PreviewAsk,
    PreviewView,
    ReleaseList,
    ReleaseView,
    RunAsk,
    RunList,
    RunView,
)
from coordinator.api.services import (
    ReleaseReader,
    Researcher,
    ResearcherOrAdmin,
    ResultReader,
    RunReader,
    Services,
    Use,
)
from coordinator.api.views import release_summary, release_view, run_view
from coordinator.api.waiting import preferred_wait_seconds, wait_for_run
from coordinator.store.facts import Principal
from coordinator.store.openings import StoredOpening
from privacy.contract.time import instant_text
from privacy.contract.token import Role
from privacy.errors import Code, Refused
from privacy.log import Logged

router = APIRouter(prefix="/v1", tags=["runs"])

MAX_OPENED = 2_000_000  # numbers of a release that are served together
_KEY = re.compile(r"[A-Za-z0-9_.:-]{1,128}")

IdempotencyKey = Annotated[
    str | None, Header(description="The same key with the same question gives the same run.")
]
Prefer = Annotated[str | None, Header(description="`wait=N`: seconds to wait for the answer.")]


@router.post("/previews", operation_id="previewQuestion")
def preview_question(ask: PreviewAsk, services: Use, caller: Researcher) -> PreviewView:
    """What a question would cost and how far off its answer may be; nothing is spent."""
    return make_preview(services, caller, ask)


@router.post("/runs", operation_id="startRun", status_code=202)
async def start(
    ask: RunAsk,
    response: Response,
    services: Use,
    caller: Researcher,
    *,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> RunView:
    """Run a signed question. 200 if it is finished on return, otherwise 202."""
    key = idempotency_key or ""
    if key and not _KEY.fullmatch(key):
        raise Refused(Code.BAD_REQUEST, where="header.idempotency-key")
    run = await to_thread.run_sync(start_run, services, caller, ask.question, key)
    response.headers["Location"] = f"/v1/runs/{run.id}"
    if not run.state.finished:
        await wait_for_run(services, run.id, preferred_wait_seconds(prefer))
    shown, finished = await to_thread.run_sync(_shown, services, caller, run.id)
    response.status_code = 200 if finished else 202
    return shown


@router.get("/runs", operation_id="listRuns")
def list_runs(
    services: Use, caller: RunReader, limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> RunList:
    """The newest runs of the studies you may see."""
    versions = visible_versions(services.store, caller)
    runs = services.store.runs.newest(studies=versions, limit=limit)
    found = answers_for(services.store, caller, runs)
    return RunList(runs=[run_view(run, release) for run, release in found])


@router.get("/runs/{run}", operation_id="getRun")
async def get_run(
    run: str,
    services: Use,
    caller: RunReader,
    wait: Annotated[float, Query(ge=0, le=3600, description="Seconds to wait for the end.")] = 0,
) -> RunView:
    """One run as it stands, or as it ends within `wait` seconds."""
    shown, finished = await to_thread.run_sync(_shown, services, caller, run)
    if finished or not wait:
        return shown
    await wait_for_run(services, run, wait)
    return (await to_thread.run_sync(_shown, services, caller, run))[0]


@router.post("/runs/{run}/cancel", operation_id="cancelRun")
def cancel_run(run: str, services: Use, caller: ResearcherOrAdmin) -> RunView:
    """Cancel a run: at once while it is queued, after the message under way once it has started.

    What organisations were charged stays charged and is told in the run's `fields`; the rest is
    free again. 409 if the run is over.
    """
    found = visible_run(services.store, caller, run)
    if caller.role is Role.RESEARCHER and found.principal != caller.id:
        raise Refused(Code.NOT_PERMITTED)
    runs = services.store.runs
    if not runs.cancel(run, instant_text(services.clock())) and not runs.ask_to_cancel(run):
        raise Refused(Code.CONFLICT, state=runs.get(run).state.value)
    return _shown(services, caller, run)[0]


@router.get("/releases", operation_id="listReleases")
def list_releases(
    services: Use,
    caller: ReleaseReader,
    study: Annotated[str, Query(max_length=200, description="A study's id; all without it.")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> ReleaseList:
    """The newest releases of the studies you may see."""
    versions = visible_versions(services.store, caller, study)
    found = services.store.releases.listed(versions, limit)
    return ReleaseList(releases=[release_summary(each) for each in found])


@router.get("/releases/{digest}", operation_id="getRelease")
def get_release(digest: str, services: Use, caller: ReleaseReader) -> ReleaseView:
    """A release with its estimate, its receipts and the coordinator's signature."""
    release, _ = visible_release(services.store, caller, digest)
    plan = services.store.releases.plan(release)
    return release_view(release, plan, services.log.prove(Logged.RELEASE, release.digest))


@router.get("/releases/{digest}/combined", operation_id="getCombined")
def get_combined(digest: str, services: Use, caller: ReleaseReader) -> CombinedView:
    """What a release and those that its question tops up say together; costs nothing."""
    return combined_view(services.store, caller, digest)


@router.get(
    "/releases/{digest}/state",
    operation_id="getReleaseState",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "Its bytes."}},
)
def get_state(digest: str, services: Use, caller: ResultReader) -> Response:
    """What the last round of a release was asked with: of training, the weights. The release
    names its SHA-256."""
    release, _ = visible_release(services.store, caller, digest)
    plan = services.store.releases.plan(release)
    state = services.store.openings.state(release.plan, len(plan.rounds) - 1)
    if state is None:
        raise Refused(Code.NOT_FOUND)
    return Response(state, media_type="application/octet-stream")


@router.get("/releases/{digest}/rounds", operation_id="getReleaseRounds")
def get_rounds(digest: str, services: Use, caller: ResultReader) -> OpenedRounds:
    """What every round of a release was asked with and what it opened, from which anybody makes
    the figures again. `too_many_cells` for a run that opened more than 2,000,000 numbers."""
    release, _ = visible_release(services.store, caller, digest)
    done = services.store.openings.of(release.plan)
    numbers = sum(len(each.totals) for each in done)
    if numbers > MAX_OPENED:
        raise Refused(Code.TOO_MANY_CELLS, cells=numbers, most=MAX_OPENED)
    return OpenedRounds(rounds=[_opened(each) for each in done])


def _opened(stored: StoredOpening) -> OpenedRound:
    totals = np.array(stored.totals, dtype="<i8").tobytes()
    return OpenedRound(
        state=b64encode(stored.state).decode("ascii"), totals=b64encode(totals).decode("ascii")
    )


def _shown(services: Services, caller: Principal, run_id: str) -> tuple[RunView, bool]:
    run = visible_run(services.store, caller, run_id)
    ((_, release),) = answers_for(services.store, caller, (run,))
    proof = None if release is None else services.log.prove(Logged.RELEASE, release.digest)
    return run_view(run, release, proof), run.state.finished
