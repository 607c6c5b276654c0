"""The members' listener: their page, its forms and the same as JSON. Nothing else is on it.

Made on the server, without a script and without a request elsewhere. No address holds a member's
key; whoever has no open link sees the same answer whatever they try. A member who looks or says
something changes nothing in the ledger, and no message to the coordinator.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from node.desk import Voice
from node.member.choices import Choices, Evidence
from node.member.links import SESSION, MemberLinks, MemberSession, RateLimit, Sessions
from node.parts import Parts
from node.receipt import seal_receipt
from node.study_desk import StudyDesk
from pages.forms import check_from_here
from pages.kit import Kit, static_router
from pages.languages import N_
from privacy.errors import BadInput, CairnError

COOKIE = "cairn_member"
TOKEN_HEADER = "x-cairn-form-token"  # noqa: S105 - a header's name
MAX_BODY_BYTES = 16 * 1024  # a question of 2,000 letters, as forms write them
MAX_FIELDS = 8
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
KIT = Kit("node.member", "member")
_NO_LINK = (
    N_("This link cannot be opened"),
    N_("It is over, or was opened before. Ask for a new one."),
)
_TOO_MANY = (N_("Too many requests"), N_("Try again in a minute."))
_NO_PAGE = (N_("There is no such page"), N_("Open your page with a link."))
_SAID = {
    "withdrawn": N_("Your consent is withdrawn. It counts from the next question on."),
    "asked": N_("Thank you. Your organisation reads it; who wrote it is not kept."),
    "given": N_("Your consent is recorded. It counts from the next question on."),
}
_KEPT = ("Cache-Control",)  # files of the pages, which say nothing of anybody
Fields = dict[str, str]


class _Stop(Exception):
    """An answer that is not the one asked for: status, title and text."""

    def __init__(self, status: int, title: str, text: str) -> None:
        self.status, self.title, self.text = status, title, text
        super().__init__(title)


def _message(request: Request, status: int, title: str, text: str, secret: str = "") -> Response:
    shown = {"title": title, "text": text, "secret": secret}
    return KIT.page(request, "message.html", status, **shown)


class MemberDoor:
    """Who may come in: links, sessions, forms and how many requests."""

    def __init__(self, parts: Parts) -> None:
        service = parts.service
        self.links = MemberLinks(parts.home.links_file, service.entropy, service.clock)
        self.sessions = Sessions(service.entropy, service.clock)
        self.limit = RateLimit(service.clock)
        self.secure = parts.settings.member_url.startswith("https://")

    def open(self, secret: str) -> tuple[str, MemberSession]:
        """Open a link; raises _Stop, always the same, for one that is not open."""
        member = self.links.take(secret)
        if member is None:
            raise _Stop(404, *_NO_LINK)
        return self.sessions.begin(member)

    def session(self, request: Request) -> MemberSession:
        """The session of the request's cookie; raises _Stop without one."""
        session = self.sessions.find(request.cookies.get(COOKIE, ""))
        if session is None:
            raise _Stop(401, N_("This page is closed"), N_("Open it again with a new link."))
        return session

    def changing(self, request: Request, token: str) -> MemberSession:
        """The session of a request that changes something, made from a form of this page."""
        session = self.session(request)
        if not hmac.compare_digest(session.form_token.encode(), token.encode()):
            raise _Stop(403, N_("This form is too old"), N_("Open the page again."))
        return session

    def wish_once(self, request: Request, study: str) -> None:
        """One priority per study in a session; raises _Stop for another."""
        if not self.sessions.once(request.cookies.get(COOKIE, ""), study):
            raise _Stop(
                409, N_("You said so already"), N_("Ask a question, or come back another time.")
            )

    def set_cookie(self, response: Response, secret: str) -> None:
        response.set_cookie(
            COOKIE,
            secret,
            max_age=int(SESSION.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=self.secure,
        )


def create_member_app(parts: Parts) -> FastAPI:
    """The members' pages and API of one running node."""
    app = FastAPI(title="Cairn members", docs_url=None, redoc_url=None, openapi_url=None)
    door = MemberDoor(parts)
    choices = Choices(parts, parts.home.diseases(), Evidence(parts.service.ledger))
    _guard(app, door)
    _open_routes(app, door)
    _page_routes(app, door, choices, StudyDesk(parts))
    _receipt_route(app, door, choices, parts)
    _voice_routes(app, door, choices, StudyDesk(parts))
    _api_routes(app, door, choices)
    return app


def _guard(app: FastAPI, door: MemberDoor) -> None:
    @app.middleware("http")
    async def every(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        caller = request.client.host if request.client else "nobody"
        if not door.limit.admits(caller):
            response: Response = _message(
                request, 429, N_("Too many requests"), N_("Try again in a minute.")
            )
        else:
            response = await call_next(request)
        kept = request.url.path.startswith("/static/")
        response.headers.update({k: v for k, v in HEADERS.items() if k not in _KEPT or not kept})
        return response

    @app.exception_handler(_Stop)
    def stopped(request: Request, stop: _Stop) -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse({"title": stop.title, "detail": stop.text}, stop.status)
        return _message(request, stop.status, stop.title, stop.text)

    @app.exception_handler(HTTPException)
    @app.exception_handler(RequestValidationError)
    def no_page(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        return _message(
            request, status, N_("There is no such page"), N_("Open your page with a link.")
        )

    @app.exception_handler(CairnError)
    def refused(request: Request, error: CairnError) -> Response:
        text = error.what if isinstance(error, BadInput) else N_("Please ask your organisation.")
        return _message(request, 409, N_("This could not be done"), text)

    @app.exception_handler(Exception)
    def failed(request: Request, _error: Exception) -> Response:
        return _message(
            request, 500, N_("This could not be done"), N_("Please ask your organisation.")
        )


async def _fields(request: Request) -> Fields:
    """A form's fields, each once; raises _Stop for anything longer than this page's forms."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY_BYTES:
            raise _Stop(413, N_("Too long"), N_("Use the forms of the page."))
    try:
        found = parse_qs(data.decode("ascii"), max_num_fields=MAX_FIELDS, strict_parsing=bool(data))
    except ValueError:
        raise _Stop(400, N_("This could not be read"), N_("Use the forms of the page.")) from None
    return {name: values[0] for name, values in found.items()}


def _open_routes(app: FastAPI, door: MemberDoor) -> None:
    @app.get("/open/{secret}")
    def ask(secret: str, request: Request) -> Response:
        # A link is opened by its button: programs that look at links in mail do not press it.
        words = N_("Your data and your choices"), N_("This link opens once.")
        return _message(request, 200, *words, secret[:64])

    @app.post("/open")
    async def open_link(request: Request) -> Response:
        check_from_here(request)
        fields = await _fields(request)
        secret, _ = await run_in_threadpool(door.open, fields.get("secret", ""))
        response = RedirectResponse("/", 303)
        door.set_cookie(response, secret)
        return response

    app.include_router(static_router())


def _page(
    request: Request,
    session: MemberSession,
    choices: Choices,
    desk: StudyDesk,
    status: int = 200,
    **more: str,
) -> Response:
    """A member's own page; `typed` is a question that could not be kept, of the study `about`."""
    shown = {**choices.page(session.member), "proposed": desk.studies_for_members()}
    words: dict[str, Any] = {"said": "", "about": "", "typed": "", "wrong": "", **more}
    words["form_token"] = session.form_token
    return KIT.page(request, "page.html", status, **words, **shown)


def _page_routes(app: FastAPI, door: MemberDoor, choices: Choices, desk: StudyDesk) -> None:
    @app.get("/")
    def page(request: Request, said: str = "") -> Response:
        return _page(request, door.session(request), choices, desk, said=_SAID.get(said, ""))

    @app.post("/withdraw")
    async def withdraw(request: Request) -> Response:
        fields = await _fields(request)
        session = door.changing(request, fields.get("form_token", ""))
        await run_in_threadpool(choices.withdraw, session.member, fields.get("purpose", ""))
        return RedirectResponse("/?said=withdrawn", 303)

    @app.post("/give")
    async def give(request: Request) -> Response:
        fields = await _fields(request)
        session = door.changing(request, fields.get("form_token", ""))
        purpose, text = fields.get("purpose", ""), fields.get("text", "")
        await run_in_threadpool(choices.give, session.member, purpose, text)
        return RedirectResponse("/?said=given", 303)

    @app.post("/leave")
    async def leave(request: Request) -> Response:
        fields = await _fields(request)
        door.changing(request, fields.get("form_token", ""))
        door.sessions.end(request.cookies.get(COOKIE, ""))
        response = _message(
            request, 200, N_("This page is closed"), N_("You can close the window.")
        )
        response.delete_cookie(COOKIE)
        return response


def _voice_routes(app: FastAPI, door: MemberDoor, choices: Choices, desk: StudyDesk) -> None:
    @app.post("/ask")
    async def ask(request: Request) -> Response:
        fields = await _fields(request)
        session = door.changing(request, fields.get("form_token", ""))
        study, words = fields.get("study", ""), fields.get("words", "")
        try:
            await run_in_threadpool(desk.member_says, study, Voice.QUESTION.value, words)
        except BadInput as error:
            typed = {"about": study, "typed": words, "wrong": error.what}
            page = partial(_page, request, session, choices, desk, 422, **typed)
            return await run_in_threadpool(page)
        return RedirectResponse("/?said=asked", 303)

    @app.post("/wish")
    async def wish(request: Request) -> Response:
        fields = await _fields(request)
        door.changing(request, fields.get("form_token", ""))
        study, much = fields.get("study", ""), fields.get("priority", "")
        if much not in ("1", "2", "3", "4", "5"):
            raise _Stop(400, N_("How much is missing"), N_("Choose 1 to 5."))
        door.wish_once(request, study)
        await run_in_threadpool(desk.member_says, study, Voice.PRIORITY.value, "", int(much))
        return RedirectResponse("/?said=asked", 303)


def _receipt_route(app: FastAPI, door: MemberDoor, choices: Choices, parts: Parts) -> None:
    @app.get("/receipt/{number}")
    def receipt(request: Request, number: int) -> Response:
        session = door.session(request)
        words = dict(choices.words(session.member))
        if number not in words:
            raise _Stop(404, N_("There is no such receipt"), N_("Go back to your page."))
        sealed = seal_receipt(
            words[number],
            organisation=parts.settings.name,
            node=parts.service.node,
            key=parts.service.key,
        )
        name = f'attachment; filename="consent-receipt-{number}.json"'
        headers = {"Content-Disposition": name}
        return Response(sealed.to_bytes(), media_type="application/ld+json", headers=headers)


def _api_routes(app: FastAPI, door: MemberDoor, choices: Choices) -> None:
    @app.post("/api/open")
    async def api_open(request: Request) -> Response:
        check_from_here(request)
        fields = await _fields(request)
        secret, session = await run_in_threadpool(door.open, fields.get("secret", ""))
        response = JSONResponse({"form_token": session.form_token})
        door.set_cookie(response, secret)
        return response

    @app.get("/api/me")
    def me(request: Request) -> dict[str, Any]:
        return choices.page(door.session(request).member)

    @app.post("/api/withdraw")
    async def api_withdraw(request: Request) -> dict[str, str]:
        fields = await _fields(request)
        session = door.changing(request, request.headers.get(TOKEN_HEADER, ""))
        await run_in_threadpool(choices.withdraw, session.member, fields.get("purpose", ""))
        return {"status": "withdrawn"}

    @app.post("/api/give")
    async def api_give(request: Request) -> dict[str, str]:
        fields = await _fields(request)
        session = door.changing(request, request.headers.get(TOKEN_HEADER, ""))
        purpose, text = fields.get("purpose", ""), fields.get("text", "")
        await run_in_threadpool(choices.give, session.member, purpose, text)
        return {"status": "given"}
