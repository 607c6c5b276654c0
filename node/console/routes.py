"""Every page of the console by its address, each made in a worker thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from anyio import to_thread
from fastapi import APIRouter, Request, Response

from node.console import coordinator, data, decisions, home, inbox, linkage, people, policy, wizard
from node.console.door import COOKIE, PLACE, ConsoleDoor
from node.console.kept import Kept
from node.console.visit import Visit, go
from node.console.words import in_words
from node.parts import Parts
from pages.forms import Form, check_from_here, form_of
from pages.kit import static_router
from privacy.errors import BadInput, Code, Refused, VerificationFailed

Page = Callable[..., Response]
MOST_FIELDS = 5_000  # of a mapping of many columns and words

ADDRESSES: tuple[tuple[str, str, Page], ...] = (
    ("GET", "/", home.show),
    ("POST", "/pause", home.pause),
    ("POST", "/resume", home.resume),
    ("GET", "/studies", inbox.show),
    ("POST", "/studies", inbox.decide),
    ("POST", "/rules", inbox.change_rule),
    ("GET", "/studies/{digest}", decisions.study),
    ("POST", "/studies/{digest}", decisions.decide),
    ("POST", "/studies/{digest}/members", decisions.tell_members),
    ("GET", "/questions", decisions.questions),
    ("POST", "/questions", decisions.decide_questions),
    ("POST", "/questions/{mark}", decisions.decide_question),
    ("GET", "/data", data.show),
    ("POST", "/data", data.import_folder),
    ("GET", "/data/quality", data.show_quality),
    ("GET", "/data/import/{number:int}", data.imported),
    ("GET", "/data/import/{number:int}/state", data.import_state),
    ("GET", "/data/sheet", wizard.show),
    ("GET", "/data/sheet/map", wizard.mapping),
    ("POST", "/data/sheet/map", wizard.remap),
    ("GET", "/policy", policy.show),
    ("POST", "/policy", policy.change),
    ("POST", "/policy/period", policy.renew),
    ("GET", "/consent", home.consent),
    ("GET", "/activity", home.activity),
    ("POST", "/activity", home.verify),
    ("GET", "/activity/left.csv", home.download),
    ("GET", "/network", home.network),
    ("POST", "/network", home.confirm),
    ("GET", "/coordinator", coordinator.show),
    ("POST", "/coordinator", coordinator.accept),
    ("GET", "/linkage", linkage.show),
    ("POST", "/linkage", linkage.change),
    ("GET", "/people", people.show),
    ("POST", "/people/invite", people.invite),
    ("POST", "/people/join", people.join),
    ("POST", "/people/end", people.end),
    ("GET", "/people/leave", people.leaving),
    ("POST", "/people/leave", people.leave),
)


@dataclass(frozen=True)
class Console:
    """What every page works with."""

    parts: Parts
    door: ConsoleDoor
    connected: Callable[[], bool]
    kept: Kept = field(default_factory=Kept)

    def visit(self, request: Request, form: Form | None = None) -> Visit:
        said = Form() if form is None else form
        return Visit(request, self.parts, self.door, self.connected(), self.kept, said)


def console_router(parts: Parts, door: ConsoleDoor, connected: Callable[[], bool]) -> APIRouter:
    """The console of one running node."""
    router = APIRouter(include_in_schema=False)
    console = Console(parts, door, connected)
    for method, address, page in ADDRESSES:
        router.add_api_route(PLACE + address, _endpoint(page, console), methods=[method])
    _doors(router, console)
    router.include_router(static_router())
    return router


def _doors(router: APIRouter, console: Console) -> None:
    door = console.door

    @router.get(PLACE + "/open/{secret}")
    def ask(secret: str, request: Request) -> Response:
        """A button: whatever merely looks at links does not use one up."""
        return console.visit(request).page("open.html", secret=secret[:64])

    @router.post(PLACE + "/open")
    async def open_link(request: Request) -> Response:
        form = await form_of(request)
        try:
            check_from_here(request)
            secret = door.open(form.value("secret"))
        except Refused:
            return console.visit(request).page("closed.html", 401)
        decisions.CHARTS.warm_beside()
        response = go(f"{PLACE}/")
        door.set_cookie(response, secret)
        return response

    @router.post(PLACE + "/leave")
    async def leave(request: Request) -> Response:
        visit = console.visit(request, await form_of(request))
        visit.changing()
        door.sessions.end(request.cookies.get(COOKIE, ""))
        response = visit.page("closed.html")
        response.delete_cookie(COOKIE, path=PLACE)
        return response

    @router.post(PLACE + "/data/sheet")
    async def upload(request: Request) -> Response:
        if door.session(request) is None:
            return console.visit(request).page("closed.html", 401)
        form, file, body = await wizard.uploaded(request)
        visit = console.visit(request, form)
        return await to_thread.run_sync(_made, lambda seen: wizard.take(seen, file, body), visit)


def _endpoint(page: Page, console: Console) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        form = Form() if request.method == "GET" else await form_of(request, MOST_FIELDS)
        return await to_thread.run_sync(_made, page, console.visit(request, form))

    return endpoint


def _made(page: Page, visit: Visit) -> Response:
    """The page; of what goes wrong, a page that says what and what to do."""
    try:
        _ = visit.session
        return page(visit, **visit.request.path_params)
    except Refused as refused:
        if refused.code is Code.NOT_SIGNED_IN:
            return visit.page("closed.html", 401)
        return visit.page("trouble.html", 409, words=in_words(refused), code=refused.code.value)
    except BadInput as wrong:
        return visit.page("trouble.html", 422, words=str(wrong), code=Code.BAD_REQUEST.value)
    except VerificationFailed as wrong:
        return visit.page("trouble.html", 500, words=str(wrong), code=Code.LEDGER_STOPPED.value)
