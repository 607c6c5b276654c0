"""The node's own API, for its organisation alone: loopback with the steward's token, or the
socket in the node's folder, which only its own user can open. Nothing here is for outsiders.

It never shows a record. Errors are problem documents; a text about a file's values is given to
the steward only, who holds the file.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from node.api_forms import (
    AboutForm,
    ConfirmForm,
    ConsentForm,
    ConsoleForm,
    EndLinkageForm,
    FileForm,
    FolderForm,
    HistoryForm,
    LayForm,
    LinkForm,
    PeriodForm,
    ProofForm,
    ReasonForm,
    RecoverForm,
    ScoreForm,
    TextForm,
)
from node.console.door import PLACE, ConsoleDoor
from node.console.routes import console_router
from node.console.visit import trouble_page
from node.member.links import Sessions
from node.parts import Parts
from node.steward import Steward
from node.study_api import add_study_routes
from node.upkeep_api import add_upkeep_routes
from pages.links import OneTimeLinks
from privacy.errors import BadInput, CairnError, Code, Refused, VerificationFailed

MAX_BODY_BYTES = 256 * 1024
MAX_UPLOAD_BYTES = 65 * 2**20
UPLOADS = f"{PLACE}/data/sheet"


def create_app(parts: Parts, connected: Callable[[], bool]) -> FastAPI:
    """The API of one running node."""
    app = FastAPI(title="Cairn node", version="1", docs_url=None, redoc_url=None)
    steward = Steward(parts)
    token = parts.home.steward_token()
    folder_socket = (str(parts.home.socket_file), None)

    def admit(request: Request) -> None:
        # The listener decides. The peer's address cannot: whoever hangs up early has none.
        if request.scope.get("server") == folder_socket:
            return
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not hmac.compare_digest(given.encode(), token.encode()):
            raise Refused(Code.NOT_SIGNED_IN)

    _problems(app)
    guard = [Depends(admit)]
    _home_routes(app, steward, connected, guard)
    _data_routes(app, steward, guard)
    _peer_routes(app, steward, guard)
    _linkage_routes(app, parts, guard)
    add_study_routes(app, parts, guard)
    add_upkeep_routes(app, parts, guard)
    _way_out_routes(app, parts, guard)
    _evidence_routes(app, steward, guard)
    _console_routes(app, parts, connected, guard)
    return app


def _console_routes(
    app: FastAPI, parts: Parts, connected: Callable[[], bool], guard: list[Any]
) -> None:
    service = parts.service
    links = OneTimeLinks(service.entropy, service.clock)
    door = ConsoleDoor(links, Sessions(service.entropy, service.clock))
    app.include_router(console_router(parts, door, connected))

    @app.post("/v1/console", operation_id="open_console", dependencies=guard)
    def open_console(form: ConsoleForm) -> dict[str, str]:
        return {"path": door.link(form.by)}


def _home_routes(
    app: FastAPI, steward: Steward, connected: Callable[[], bool], guard: list[Any]
) -> None:
    @app.get("/health", operation_id="health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/status", operation_id="status", dependencies=guard)
    def status() -> dict[str, Any]:
        return {**steward.status(), "connected": connected()}

    @app.get("/v1/promise", operation_id="promise", dependencies=guard)
    def promise() -> dict[str, Any]:
        return steward.promise()

    @app.post("/v1/pause", operation_id="pause", dependencies=guard)
    def pause() -> dict[str, Any]:
        steward.pause()
        return steward.status()

    @app.post("/v1/resume", operation_id="resume", dependencies=guard)
    def resume() -> dict[str, Any]:
        steward.resume()
        return steward.status()


def _data_routes(app: FastAPI, steward: Steward, guard: list[Any]) -> None:
    @app.post("/v1/import", operation_id="import_data", dependencies=guard)
    def import_data(form: FolderForm) -> dict[str, Any]:
        return steward.import_data(form.folder)

    @app.post("/v1/check", operation_id="check_data", dependencies=guard)
    def check_data(form: FolderForm) -> dict[str, Any]:
        return steward.check_data(form.folder)

    @app.post("/v1/consent", operation_id="set_consent", dependencies=guard)
    def consent(form: ConsentForm) -> dict[str, str]:
        about = form.model_dump(include={"terms", "text", "language", "evidence"})
        steward.consent(form.member, form.purpose, form.state, form.starts, form.ends, about)
        return {"status": "recorded"}

    @app.post("/v1/score", operation_id="score_members", dependencies=guard)
    def score(form: ScoreForm) -> dict[str, Any]:
        return steward.score(form.model, form.out, form.horizon)

    @app.post("/v1/consent/proof", operation_id="consent_proof", dependencies=guard)
    def consent_proof(form: ProofForm) -> dict[str, Any]:
        return steward.consent_proof(form.epoch, form.member)

    @app.post("/v1/consent/import", operation_id="import_consent", dependencies=guard)
    def import_consent(form: FileForm) -> dict[str, Any]:
        return steward.import_consent(form.file)

    @app.post("/v1/consent/export", operation_id="export_consent", dependencies=guard)
    def export_consent(form: FileForm) -> dict[str, Any]:
        return steward.export_consent(form.file)

    @app.post("/v1/consent/texts", operation_id="adopt_text", dependencies=guard)
    def adopt_text(form: TextForm) -> dict[str, str]:
        return {"digest": steward.adopt_text(form.purpose, form.language, form.text)}

    @app.post("/v1/member-link", operation_id="member_link", dependencies=guard)
    def member_link(form: LinkForm) -> dict[str, str]:
        return {"link": steward.member_link(form.member, form.days)}

    @app.post("/v1/lay-result", operation_id="lay_result", dependencies=guard)
    def lay_result(form: LayForm) -> dict[str, str]:
        steward.lay_result(form.release, form.text)
        return {"status": "shown"}

    @app.post("/v1/erase", operation_id="erase", dependencies=guard)
    def erase(form: AboutForm) -> dict[str, Any]:
        return {"status": "erased", "backups": steward.erase(form.member, form.reference)}

    @app.post("/v1/new-person", operation_id="new_person", dependencies=guard)
    def new_person(form: AboutForm) -> dict[str, str]:
        steward.new_person(form.member, form.reference)
        return {"status": "recorded"}

    @app.post("/v1/publish", operation_id="publish", dependencies=guard)
    def publish() -> dict[str, Any]:
        return steward.publish()


def _peer_routes(app: FastAPI, steward: Steward, guard: list[Any]) -> None:
    @app.get("/v1/rosters", operation_id="list_rosters", dependencies=guard)
    def rosters() -> list[dict[str, Any]]:
        return steward.rosters()

    @app.post("/v1/rosters/confirm", operation_id="confirm_roster", dependencies=guard)
    def confirm(form: ConfirmForm) -> dict[str, str]:
        steward.confirm(form.digest, form.fingerprints)
        return {"confirmed": form.digest}

    @app.get("/v1/period", operation_id="next_period", dependencies=guard)
    def next_period() -> dict[str, Any]:
        return steward.next_period()

    @app.post("/v1/period", operation_id="open_period", dependencies=guard)
    def open_period(form: PeriodForm) -> dict[str, Any]:
        Steward(steward.parts, form.by).open_period(form.starts, form.signed)
        return steward.budget()


def _way_out_routes(app: FastAPI, parts: Parts, guard: list[Any]) -> None:
    @app.post("/v1/history/accept", operation_id="accept_history", dependencies=guard)
    def accept_history(form: HistoryForm) -> dict[str, str]:
        Steward(parts, form.by).accept_history(form.of, form.reason)
        return {"accepted": form.of}

    @app.post("/v1/ledger/recover", operation_id="recover_ledger", dependencies=guard)
    def recover(form: RecoverForm) -> dict[str, Any]:
        return Steward(parts, form.by).recover(form.reason, form.file)

    @app.post("/v1/ledger/assume-spent", operation_id="assume_spent", dependencies=guard)
    def assume_spent(form: ReasonForm) -> dict[str, Any]:
        return Steward(parts, form.by).assume_spent(form.reason)


def _linkage_routes(app: FastAPI, parts: Parts, guard: list[Any]) -> None:
    @app.get("/v1/linkage", operation_id="linkage", dependencies=guard)
    def linkage() -> dict[str, Any]:
        return Steward(parts).linkage()

    @app.post("/v1/linkage/end", operation_id="end_linkage", dependencies=guard)
    def end_linkage(form: EndLinkageForm) -> dict[str, str]:
        return {"session": Steward(parts, form.by).end_linkage(form.why)}


def _evidence_routes(app: FastAPI, steward: Steward, guard: list[Any]) -> None:
    @app.get("/v1/ledger", operation_id="read_ledger", dependencies=guard)
    def ledger(
        start: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> dict[str, Any]:
        return steward.ledger(start, start + limit)

    @app.get("/v1/left", operation_id="what_left", dependencies=guard)
    def left(compare: bool = False) -> list[dict[str, Any]]:
        return steward.left_the_building(compare)

    @app.post("/v1/ledger/verify", operation_id="verify_ledger", dependencies=guard)
    def verify() -> dict[str, Any]:
        return steward.verify()


def _problems(app: FastAPI) -> None:
    """Every error as a problem document with its catalogue code."""

    @app.middleware("http")
    async def limit_body(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        length = request.headers.get("content-length", "0")
        chunked = "transfer-encoding" in request.headers
        most = MAX_UPLOAD_BYTES if request.url.path == UPLOADS else MAX_BODY_BYTES
        if chunked or not length.isdigit() or int(length) > most:
            return _told(request, 413, Code.TOO_LARGE, "the request is too large")
        return await call_next(request)

    @app.exception_handler(CairnError)
    def refused(request: Request, error: CairnError) -> Response:
        match error:
            case Refused():
                status = _status(error.code)
                return _told(request, status, error.code, str(error), error.public_fields)
            case BadInput():
                return _told(request, 422, Code.BAD_REQUEST, str(error))
            case VerificationFailed():
                return _told(request, 500, Code.LEDGER_STOPPED, str(error))
            case _:
                return _told(request, 500, Code.INTERNAL, "the node could not do this")

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return _problem(422, Code.BAD_REQUEST, f"{where}: {first['msg']}")

    @app.exception_handler(HTTPException)
    def http_error(request: Request, error: HTTPException) -> Response:
        code = Code.NOT_FOUND if error.status_code == 404 else Code.BAD_REQUEST
        return _told(request, error.status_code, code, "no such page here")

    @app.exception_handler(Exception)
    def internal(request: Request, _error: Exception) -> Response:
        return _told(request, 500, Code.INTERNAL, "the node could not do this")


def _status(code: Code) -> int:
    match code:
        case Code.NOT_SIGNED_IN:
            return 401
        case Code.UNKNOWN_STUDY | Code.NOT_FOUND | Code.ROSTER_MISMATCH:
            return 404
        case _:
            return 409


def _told(
    request: Request,
    status: int,
    code: Code,
    detail: str,
    fields: Mapping[str, str | int | float] | None = None,
) -> Response:
    """A page for whoever is at the console, a problem document for a program."""
    if request.url.path.startswith(f"{PLACE}/"):
        return trouble_page(request, status, code, detail)
    return _problem(status, code, detail, fields)


def _problem(
    status: int, code: Code, detail: str, fields: Mapping[str, str | int | float] | None = None
) -> JSONResponse:
    body = {
        "type": f"urn:cairn:{code.value}",
        "title": code.value.replace("_", " "),
        "status": status,
        "code": code.value,
        "detail": detail,
        "fields": dict(fields or {}),
    }
    return JSONResponse(body, status, media_type="application/problem+json")
