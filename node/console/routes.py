"""Every page of the console by its address, each made in a worker thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio import to_thread
from fastapi import APIRouter, Request, Response

from node.console import data, decisions, home, policy
from node.console.door import COOKIE, PLACE, ConsoleDoor
from node.console.visit import Visit, go
from node.parts import Parts
from pages.forms import Form, form_of
from pages.kit import static_router
from privacy.errors import BadInput, Code, Refused, VerificationFailed

Page = Callable[..., Response]

ADDRESSES: tuple[tuple[str, str, Page], ...] = (
    ("GET", "/", home.show),
    ("POST", "/pause", home.pause),
    ("POST", "/resume", home.resume),
    ("GET", "/studies", decisions.studies),
    ("GET", "/studies/{digest}", decisions.study),
    ("POST", "/studies/{digest}", decisions.decide),
    ("POST", "/studies/{digest}/members", decisions.tell_members),
    ("GET", "/questions", decisions.questions),
    ("POST", "/questions/{mark}", decisions.decide_question),
    ("GET", "/data", data.show),
    ("POST", "/data", data.import_folder),
    ("GET", "/policy", policy.show),
    ("POST", "/policy", policy.change),
    ("GET", "/consent", home.consent),
    ("GET", "/activity", home.activity),
    ("POST", "/activity", home.verify),
    ("GET", "/network", home.network),
    ("POST", "/network", home.confirm),
)


def console_router(parts: Parts, door: ConsoleDoor, connected: Callable[[], bool]) -> APIRouter:
    """The console of one running node."""
    router = APIRouter(include_in_schema=False)
    for method, address, page in ADDRESSES:
        endpoint = _endpoint(page, parts, door, connected)
        router.add_api_route(PLACE + address, endpoint, methods=[method])
    _doors(router, parts, door, connected)
    router.include_router(static_router())
    return router


def _doors(
    router: APIRouter, parts: Parts, door: ConsoleDoor, connected: Callable[[], bool]
) -> None:
    @router.get(PLACE + "/open/{secret}")
    def ask(secret: str, request: Request) -> Response:
        """A button: whatever merely looks at links does not use one up."""
        return Visit(request, parts, door, connected()).page("open.html", secret=secret[:64])

    @router.post(PLACE + "/open")
    async def open_link(request: Request) -> Response:
        form = await form_of(request)
        try:
            secret = door.open(form.value("secret"))
        except Refused:
            return Visit(request, parts, door, connected()).page("closed.html", 401)
        response = go(f"{PLACE}/")
        door.set_cookie(response, secret)
        return response

    @router.post(PLACE + "/leave")
    async def leave(request: Request) -> Response:
        visit = Visit(request, parts, door, connected(), await form_of(request))
        visit.changing()
        door.sessions.end(request.cookies.get(COOKIE, ""))
        response = visit.page("closed.html")
        response.delete_cookie(COOKIE, path=PLACE)
        return response


def _endpoint(
    page: Page, parts: Parts, door: ConsoleDoor, connected: Callable[[], bool]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        form = Form() if request.method == "GET" else await form_of(request)
        visit = Visit(request, parts, door, connected(), form)
        return await to_thread.run_sync(_made, page, visit)

    return endpoint


def _made(page: Page, visit: Visit) -> Response:
    """The page; of what goes wrong, a page that says what and what to do."""
    try:
        _ = visit.session
        return page(visit, **visit.request.path_params)
    except Refused as refused:
        if refused.code is Code.NOT_SIGNED_IN:
            return visit.page("closed.html", 401)
        return visit.page("trouble.html", 409, words=str(refused), code=refused.code.value)
    except BadInput as wrong:
        return visit.page("trouble.html", 422, words=str(wrong), code=Code.BAD_REQUEST.value)
    except VerificationFailed as wrong:
        return visit.page("trouble.html", 500, words=str(wrong), code=Code.LEDGER_STOPPED.value)
