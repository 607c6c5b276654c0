"""Signing in through an identity provider: in a browser, and at a command line."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from coordinator.api.login_routes import open_web
from coordinator.api.login_schema import (
    DeviceAnswer,
    DeviceAsk,
    DevicePollAsk,
    DeviceView,
    SessionView,
)
from coordinator.api.schema import PersonView
from coordinator.api.services import ApiSettings, Services, Use, counting_failures
from coordinator.login.oidc import OidcDesk
from coordinator.store.facts import Principal
from privacy.contract.time import instant_text
from privacy.errors import Code, Refused

router = APIRouter(prefix="/v1/oidc", tags=["people"])

_PATIENCE_SECONDS = 600


@router.get("/start", operation_id="startOidc", status_code=303, response_class=RedirectResponse)
def start(
    services: Use, invitation: Annotated[str | None, Query(max_length=512)] = None
) -> RedirectResponse:
    """Send the browser to the identity provider; with an invitation, to become a person here."""
    redirect = _desk(services).start(invitation)
    response = RedirectResponse(redirect.url, status_code=303)
    response.set_cookie(
        _cookie(services.settings),
        redirect.cookie,
        max_age=_PATIENCE_SECONDS,
        path="/",
        secure=services.settings.secure_cookies,
        httponly=True,
        samesite="lax",  # it has to come along when the provider sends the browser back
    )
    return response


@router.get("/callback", operation_id="finishOidc")
def finish(request: Request, response: Response, services: Use) -> SessionView:
    """Where the identity provider sends the browser back to: a session in a cookie."""
    name = _cookie(services.settings)
    with counting_failures(services, request):
        answer = dict(request.query_params)
        person = _desk(services).finish(request.cookies.get(name, ""), answer)
    response.delete_cookie(
        name, path="/", secure=services.settings.secure_cookies, httponly=True, samesite="lax"
    )
    return open_web(services, person, response)


@router.post("/device", operation_id="startDevice")
def start_device(ask: DeviceAsk, services: Use) -> DeviceView:
    """A code to enter at the identity provider, in any browser."""
    made = _desk(services).begin_device(ask.invitation)
    return DeviceView(**{**vars(made), "expires": instant_text(made.expires)})


@router.post("/device/poll", operation_id="pollDevice")
def poll_device(ask: DevicePollAsk, request: Request, services: Use) -> DeviceAnswer:
    """The session, once the person has agreed at the identity provider."""
    with counting_failures(services, request):
        found = _desk(services).poll_device(ask.handle)
    match found:
        case Principal():
            made = services.sessions.open_command(found)
            return DeviceAnswer(session=SessionView.of(made, PersonView.of(found)))
        case seconds:
            return DeviceAnswer(interval_seconds=seconds)


def _desk(services: Services) -> OidcDesk:
    if services.oidc is None:
        raise Refused(Code.NOT_FOUND, what="identity provider")
    return services.oidc


def _cookie(settings: ApiSettings) -> str:
    return "__Host-cairn-oidc" if settings.secure_cookies else "cairn-oidc"
