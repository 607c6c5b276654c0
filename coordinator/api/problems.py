"""Every error as problem+json (RFC 9457) from the closed catalogue.

The text of an exception never leaves: an answer holds a code, its fixed title and public
fields, nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from pages.languages import N_
from privacy.errors import BadInput, Code, ProtocolError, Refused, VerificationFailed

MEDIA_TYPE = "application/problem+json"

CATALOGUE: Mapping[Code, tuple[int, str]] = {
    Code.BAD_REQUEST: (400, N_("The request is not well formed.")),
    Code.UNKNOWN_STUDY: (404, N_("There is no such study for you.")),
    Code.UNKNOWN_COLUMN: (422, N_("The dictionary does not declare this column.")),
    Code.BAD_EXPRESSION: (422, N_("The cohort is not a valid expression.")),
    Code.TOO_MANY_CELLS: (422, N_("The analysis has too many cells.")),
    Code.ANALYSIS_NOT_ALLOWED: (403, N_("The study does not allow this analysis.")),
    Code.OTHER_ORGANISATIONS: (409, N_("Other organisations would answer now than those named.")),
    Code.OUTSIDE_STUDY: (403, N_("The study does not name this column.")),
    Code.BAD_EPSILON: (422, N_("Epsilon is not a number above 0 and at most 1e15.")),
    Code.OUT_OF_REACH: (422, N_("No epsilon reaches this error.")),
    Code.NOT_COMBINABLE: (409, N_("These releases cannot be combined.")),
    Code.NOT_REUSABLE: (409, N_("That release cannot be reused by this question.")),
    Code.NOT_SIGNED_IN: (401, N_("Sign in with a valid token.")),
    Code.NOT_PERMITTED: (403, N_("Your role may not do this.")),
    Code.BAD_SIGNATURE: (403, N_("The signature does not hold.")),
    Code.NOT_AN_INVESTIGATOR: (403, N_("The signing key is not an investigator of the study.")),
    Code.KEY_REVOKED: (403, N_("The signing key was revoked.")),
    Code.PROVIDER_OFFLINE: (503, N_("The identity provider does not answer as it should.")),
    Code.WEAK_PASSWORD: (422, N_("Choose a longer password, or one that is harder to guess.")),
    Code.RATE_LIMITED: (429, N_("Too many requests; try again later.")),
    Code.TOO_LARGE: (413, N_("The request is too large.")),
    Code.NOT_FOUND: (404, N_("There is nothing here for you.")),
    Code.CONFLICT: (409, N_("This conflicts with what is already stored.")),
    Code.NOT_APPROVED: (403, N_("The study is not approved.")),
    Code.NOT_IN_PERIOD: (403, N_("The study's period does not cover today.")),
    Code.EXPIRED: (409, N_("The question or plan has expired.")),
    Code.REPLAYED: (409, N_("This question was asked before.")),
    Code.PAUSED: (503, N_("An organisation has paused its node.")),
    Code.BUDGET_EXCEEDED: (403, N_("The privacy budget does not cover this question.")),
    Code.STUDY_BUDGET_EXCEEDED: (403, N_("The study's allowance does not cover this question.")),
    Code.RESEARCHER_BUDGET_EXCEEDED: (403, N_("Your part of the allowance does not cover this.")),
    Code.QUESTION_LIMIT: (403, N_("An organisation lets no single question cost so much.")),
    Code.DELEGATION_EXCEEDED: (403, N_("The delegation does not cover this question.")),
    Code.NOT_DELEGATED: (403, N_("The delegation does not hold for this question.")),
    Code.DECLINED: (403, N_("Too many organisations will not answer this.")),
    Code.DICTIONARY_MISMATCH: (409, N_("The dictionary has changed.")),
    Code.ROSTER_MISMATCH: (409, N_("The list of nodes has changed.")),
    Code.PEERS_NOT_CONFIRMED: (503, N_("A steward has not confirmed enough peers.")),
    Code.POLICY_FLOOR: (403, N_("An organisation's policy does not allow this.")),
    Code.PLAN_MISMATCH: (409, N_("The question is for another version of the study.")),
    Code.TOO_MANY_ATTEMPTS: (422, N_("Too many attempts.")),
    Code.KEYS_NOT_READY: (503, N_("The nodes are preparing keys; try again.")),
    Code.NOT_WITNESSED: (503, N_("A node is waiting for its witnesses.")),
    Code.LEDGER_STOPPED: (503, N_("A node's ledger has stopped.")),
    Code.HISTORY_BROKEN: (503, N_("The coordinator's log is not the one that a node has seen.")),
    Code.NOT_LINKED: (409, N_("Members are not linked between the organisations that answer.")),
    Code.MISSING_SOFTWARE: (503, N_("Software that this needs is not installed.")),
    Code.NODE_OFFLINE: (503, N_("A node is offline.")),
    Code.NOT_ENOUGH_NODES: (503, N_("Fewer nodes than needed can answer now.")),
    Code.ATTEMPT_LOST: (503, N_("The attempt was lost.")),
    Code.TOTAL_OUT_OF_RANGE: (502, N_("A total is none that the members can have added up to.")),
    Code.COHORT_TOO_SMALL: (
        403,
        N_("The cohort is too small: its answer is withheld, and paid for."),
    ),
    Code.CANCELLED: (409, N_("The run was cancelled.")),
    Code.INTERNAL: (500, N_("Something went wrong here; it has been recorded.")),
}

SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_BY_STATUS = {
    401: Code.NOT_SIGNED_IN,
    403: Code.NOT_PERMITTED,
    404: Code.NOT_FOUND,
    413: Code.TOO_LARGE,
    429: Code.RATE_LIMITED,
}


class Problem(BaseModel):
    """The body of every error."""

    model_config = ConfigDict(frozen=True)

    type: str
    title: str
    status: int
    code: Code
    fields: dict[str, str | int | float]


def problem(
    code: Code, fields: Mapping[str, str | int | float] | None = None, status: int | None = None
) -> JSONResponse:
    """An error response; `status` replaces the catalogue's only for HTTP's own errors."""
    usual, title = CATALOGUE[code]
    body = Problem(
        type=f"urn:cairn:{code.value}",
        title=title,
        status=status or usual,
        code=code,
        fields=dict(fields or {}),
    )
    headers = {}
    if code is Code.NOT_SIGNED_IN:
        headers["WWW-Authenticate"] = "Bearer"
    if code is Code.RATE_LIMITED:
        headers["Retry-After"] = str(body.fields.get("retry_after_seconds", 60))
    return JSONResponse(
        body.model_dump(mode="json"), body.status, headers=headers, media_type=MEDIA_TYPE
    )


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, Refused):
        return problem(Code.INTERNAL)
    return problem(error.code, error.public_fields)


async def _bad_input(_request: Request, _error: Exception) -> JSONResponse:
    return problem(Code.BAD_REQUEST)


async def _bad_signature(_request: Request, _error: Exception) -> JSONResponse:
    return problem(Code.BAD_SIGNATURE)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """Names the part of the request that is wrong, never what stood there."""
    where = ""
    if isinstance(error, RequestValidationError) and error.errors():
        first = error.errors()[0]
        unknown = first["type"] == "extra_forbidden"
        parts = first["loc"][:-1] if unknown else first["loc"]
        where = ".".join(str(part) for part in parts)[:100]
    return problem(Code.BAD_REQUEST, {"where": where}, 422)


async def of_http(_request: Request, error: Exception) -> JSONResponse:
    """The problem of a request that no operation answers."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status >= 500:
        return problem(Code.INTERNAL)
    response = problem(_BY_STATUS.get(status, Code.BAD_REQUEST), status=status)
    if isinstance(error, HTTPException) and status == 405:
        response.headers.update(error.headers or {})
    return response


async def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
    """Outside every other layer, so this one sets the headers itself."""
    response = problem(Code.INTERNAL)
    response.headers.update(SAFE_HEADERS)
    return response


_Handler = Callable[[Request, Exception], Awaitable[JSONResponse]]
_HANDLERS: Mapping[type[Exception], _Handler] = {
    Refused: _refused,
    BadInput: _bad_input,
    VerificationFailed: _bad_signature,
    ProtocolError: _bad_signature,
    RequestValidationError: _invalid,
    HTTPException: of_http,
    Exception: _unexpected,
}


def install(app: FastAPI) -> None:
    """Answer every error in this form. `Exception` is the HTTP boundary."""
    for error, handler in _HANDLERS.items():
        app.add_exception_handler(error, handler)


def responses() -> dict[int | str, dict[str, Any]]:
    """For the OpenAPI document: any operation may answer with a problem."""
    return {"default": {"description": "An error from the catalogue.", "model": Problem}}
