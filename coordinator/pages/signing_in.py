"""Signing in and out in a browser."""

from __future__ import annotations

from fastapi import Response

from coordinator.api.login_routes import forget_cookie, open_web, set_cookie
from coordinator.api.services import counting_failures
from coordinator.login.local import Proof
from coordinator.pages.again import Kept, shown, sign_in_page
from coordinator.pages.visit import Visit, go, inside
from coordinator.store.facts import Principal
from pages.forms import check_from_here
from pages.languages import N_
from privacy.errors import Code, Refused

_WRONG = N_("These do not belong together: name, password and code. Try again.")
_BUSY = N_("Too many tries. Wait a minute, then try again.")
_NOT_YET = N_("You are not signed in yet. Sign in here, or in another tab, then try again.")
_NO_LINK = N_("This link is over, or was opened before. Ask for another with: cairn browser")


def form(visit: Visit) -> Response:
    """The form; whoever is signed in goes on."""
    to = inside(visit.request.query_params.get("to", ""))
    if visit.admitted is not None:
        return go(to)
    return sign_in_page(visit, 200, Kept(), visit.form, to)


def sign_in(visit: Visit) -> Response:
    """Sign in with a local account; then a form that was brought along is shown as it was typed.
    Whatever is wrong, the answer is the same."""
    check_from_here(visit.request)
    said, services = visit.form, visit.services
    to, brought = inside(said.value("to")), Kept.of_sign_in(said)
    if brought.address and visit.admitted is not None:
        return shown(visit, brought)
    if brought.address and "login" not in said.fields:
        return sign_in_page(visit, 401, brought, said.with_trouble(_NOT_YET), to)
    proof = Proof(said.value("login"), said.value("password"), said.value("code"))
    try:
        with counting_failures(services, visit.request):
            person = services.login.sign_in(proof, visit.address)
    except Refused as refused:
        busy = refused.code is Code.RATE_LIMITED
        told = said.with_trouble(_BUSY if busy else _WRONG, refused.code.value)
        return sign_in_page(visit, 429 if busy else 403, brought, told, to)
    return _opened(visit, person, brought, to)


def _opened(visit: Visit, person: Principal, brought: Kept, to: str) -> Response:
    """On with a new session."""
    made = visit.services.sessions.open_web(person)
    try:
        response = shown(visit, brought, made.cookie) if brought.address else go(to)
    except Refused:  # of a page that this person may not see
        response = go("/")
    set_cookie(visit.services.settings, made.cookie, response)
    return response


def ask_to_open(visit: Visit, secret: str) -> Response:
    """A button: whatever merely looks at links does not use one up."""
    return visit.page("open.html", secret=secret[:64])


def open_link(visit: Visit) -> Response:
    """A session for whom the link is."""
    check_from_here(visit.request)
    services = visit.services
    who = services.links.take(visit.form.value("secret"))
    person = services.store.people.get(who) if who else None
    if person is None or person.revoked_at:
        return visit.page("trouble.html", 403, words=_NO_LINK, code=Code.NOT_PERMITTED.value)
    response = go("/")
    open_web(services, person, response)
    return response


def sign_out(visit: Visit) -> Response:
    """End this session."""
    visit.check_form()
    if visit.admitted is not None and visit.admitted.session is not None:
        visit.services.sessions.end(visit.admitted.session.id)
    response = go("/")
    forget_cookie(visit.services.settings, response)
    return response
