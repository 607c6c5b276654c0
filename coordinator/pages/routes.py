"""Every page by its address. Each is made in a worker thread: it asks the operations of this
very process, which need the event loop free."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from coordinator.api.problems import CATALOGUE, of_http
from coordinator.api.services import services_of
from coordinator.client.errors import Refused as Told
from coordinator.pages import (
    again,
    audits,
    catalogue,
    dossiers,
    histories,
    insights,
    ledgers,
    model_pages,
    planner,
    releases,
    runs,
    signing_in,
    studies,
)
from coordinator.pages.visit import Visit, go_on
from pages.forms import Form, form_of
from pages.kit import static_router
from pages.languages import N_
from privacy.errors import BadInput, Code, Refused, VerificationFailed

Page = Callable[..., Response]
_NOTHING = N_("There is no such page. Go on from the beginning.")
AT_ONCE = 2  # pages that are made at once: more would wait for one another, and all come late
LONGER = 16  # what is asked for, and files, at once: one that takes long keeps no page waiting

ADDRESSES: tuple[tuple[str, str, Page], ...] = (
    ("GET", "/", studies.home),
    ("GET", "/sign-in", signing_in.form),
    ("POST", "/sign-in", signing_in.sign_in),
    ("GET", "/open/{secret}", signing_in.ask_to_open),
    ("POST", "/open", signing_in.open_link),
    ("POST", "/sign-out", signing_in.sign_out),
    ("GET", "/catalogue", catalogue.show),
    ("GET", "/studies", studies.every),
    ("GET", "/studies/{study}", studies.one),
    ("POST", "/studies/{study}/leave", studies.ask_for_leave),
    ("GET", "/studies/{study}/leave/{asked}", studies.leave),
    ("POST", "/studies/{study}/step", studies.ask_for_step),
    ("GET", "/studies/{study}/step/{asked}", studies.step),
    ("POST", "/studies/{study}/delegation", studies.paste_delegation),
    ("GET", "/studies/{study}/ask", planner.show),
    ("POST", "/studies/{study}/ask", planner.run),
    ("GET", "/runs", runs.every),
    ("GET", "/runs/{run}", runs.one),
    ("GET", "/runs/{run}/state", runs.state),
    ("POST", "/runs/{run}/cancel", runs.cancel),
    ("GET", "/releases", releases.every),
    ("GET", "/studies/{study}/releases/{release}", releases.one),
    ("POST", "/studies/{study}/releases/{release}", releases.top_up),
    ("GET", "/models", model_pages.every),
    ("GET", "/studies/{study}/releases/{release}/model", model_pages.one),
    ("GET", "/studies/{study}/releases/{release}/model.{kind}", model_pages.file),
    ("GET", "/studies/{study}/releases/{release}/file.{kind}", releases.file),
    ("GET", "/organisations", audits.organisations),
    ("GET", "/audit", audits.overview),
    ("GET", "/audit/verify", ledgers.verification),
    ("POST", "/audit/verify", ledgers.verify),
    ("GET", "/audit/verify/state", ledgers.state),
    ("GET", "/audit/dossiers", dossiers.every),
    ("GET", "/audit/dossiers/{name}", dossiers.one),
    ("GET", "/audit/dossiers/{name}/file.{kind}", dossiers.file),
    ("GET", "/audit/organisations/{node}", histories.policies),
    ("GET", "/audit/withdrawals", histories.withdrawals),
    ("GET", "/audit/what-if", histories.what_if),
    ("GET", "/audit/ledgers/{node}", ledgers.one),
    ("GET", "/audit/ledgers/{node}/{seq}", ledgers.entry),
    ("GET", "/audit/ledgers/{node}/{seq}/{kind}.json", ledgers.entry_file),
    ("GET", "/insights", insights.every),
    ("GET", "/insights/{study}", insights.one),
    ("GET", "/insights/{study}/card", insights.framed_card),
    ("GET", "/insights/{study}/file.{kind}", insights.file),
)


def page_router() -> APIRouter:
    """All pages and the few files that they need. The operations that a page asks run in threads
    of their own."""
    router = APIRouter(include_in_schema=False)
    reading, auditing, longer = map(CapacityLimiter, (AT_ONCE, AT_ONCE, LONGER))
    for method, address, page in ADDRESSES:
        pages = auditing if address.startswith("/audit") else reading
        limiter = longer if method == "POST" or ".{kind}" in address else pages
        router.add_api_route(address, _endpoint(page, limiter), methods=[method])
    router.include_router(static_router())
    return router


def answer_browsers(app: FastAPI) -> None:
    """Where there is nothing, whoever reads in a browser sees a page that says so."""

    async def nothing(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException) or not _reads_pages(request):
            return await of_http(request, error)
        visit = Visit(request, services_of(request))
        return await to_thread.run_sync(
            _trouble, visit, Code.NOT_FOUND, error.status_code, _NOTHING
        )

    app.add_exception_handler(HTTPException, nothing)


def _reads_pages(request: Request) -> bool:
    browser = "text/html" in request.headers.get("accept", "")
    return browser and not request.url.path.startswith("/v1/")


def _endpoint(page: Page, limiter: CapacityLimiter) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        form = Form()
        if request.method == "POST":
            try:
                form = await form_of(request)
            except BadInput:
                return _trouble(Visit(request, services_of(request)), Code.BAD_REQUEST, 400)
        visit = Visit(request, services_of(request), form)
        return await to_thread.run_sync(_made, page, visit, limiter=limiter)

    return endpoint


def _made(page: Page, visit: Visit) -> Response:
    """The page; of what goes wrong, a page that says what and what to do."""
    try:
        return page(visit, **visit.request.path_params)
    except Refused as refused:
        if refused.code is Code.NOT_SIGNED_IN and visit.request.method == "GET":
            return _to_sign_in(visit)
        if visit.request.method == "POST" and (kept := again.kept(visit, refused)) is not None:
            return kept
        title = refused.title if isinstance(refused, Told) else ""
        return _trouble(visit, refused.code, CATALOGUE[refused.code][0], title)
    except BadInput as wrong:
        return _trouble(visit, Code.BAD_REQUEST, 400, str(wrong))
    except VerificationFailed:
        words = N_("What the store holds does not agree with its signature. Tell the operator.")
        return _trouble(visit, Code.INTERNAL, 500, words)


def _to_sign_in(visit: Visit) -> Response:
    """Sign in, then on to what was asked for, with what stands in its address; of the part of a
    page that renews itself, to the page."""
    asked = visit.request.url
    path = asked.path.removesuffix("/state")
    to = f"{path}?{asked.query}" if asked.query else path
    return go_on(visit.request, f"/sign-in?{urlencode({'to': to}, safe='/')}")


def _trouble(visit: Visit, code: Code, status: int, title: str = "") -> Response:
    words = title or CATALOGUE[code][1]
    return visit.page("trouble.html", status, words=words, code=code.value)
