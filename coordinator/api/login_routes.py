"""Signing in and out here, enrolling an account, and replacing what was lost."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from coordinator.api.login_schema import (
    AccountAsk,
    AccountView,
    FactorAsk,
    KeyAsk,
    KeyChangeAsk,
    LinkView,
    OfferAsk,
    OfferView,
    PasswordAsk,
    RefreshAsk,
    SessionView,
    SignedOut,
    SignInAsk,
    SignInMethods,
    SignOutAsk,
)
from coordinator.api.schema import PersonView
from coordinator.api.services import (
    Anyone,
    ApiSettings,
    Researcher,
    Services,
    SignedIn,
    Use,
    address_of,
    cookie_name,
    counting_failures,
)
from coordinator.login.local import NewFactor, Proof
from coordinator.store.facts import Principal
from privacy.contract.signing import Envelope, PublicKey
from privacy.contract.time import instant_text
from privacy.errors import Code, Refused, VerificationFailed

router = APIRouter(prefix="/v1", tags=["people"])


@router.get("/login", operation_id="getSignInMethods")
def get_methods(services: Use) -> SignInMethods:
    """How one can sign in here."""
    return SignInMethods(local=True, oidc=services.oidc.name if services.oidc else None)


@router.post("/login", operation_id="signIn")
def sign_in(ask: SignInAsk, request: Request, response: Response, services: Use) -> SessionView:
    """Sign in with a local account. Whatever is wrong, the answer is the same."""
    proof = Proof(ask.login, ask.password, ask.code)
    with counting_failures(services, request):
        person = services.login.sign_in(proof, address_of(request))
    if ask.web:
        return open_web(services, person, response)
    return SessionView.of(services.sessions.open_command(person), PersonView.of(person))


@router.post("/login/refresh", operation_id="refreshSession")
def refresh(ask: RefreshAsk, request: Request, services: Use) -> SessionView:
    """New tokens for a refresh token, which works once: a second time ends the session."""
    with counting_failures(services, request):
        return SessionView.of(services.sessions.refresh(ask.refresh))


@router.post("/logout", operation_id="signOut")
def sign_out(ask: SignOutAsk, response: Response, services: Use, caller: SignedIn) -> SignedOut:
    """End this session, or every session of yours."""
    forget_cookie(services.settings, response)
    if ask.everywhere:
        return SignedOut(sessions=services.sessions.end_all(caller.principal.id))
    if caller.session is None:
        return SignedOut(sessions=0)
    services.sessions.end(caller.session.id)
    return SignedOut(sessions=1)


@router.post("/accounts/offer", operation_id="offerAccount")
def offer_account(ask: OfferAsk, request: Request, services: Use) -> OfferView:
    """A secret for a second factor, to enrol with. The invitation is not used up by this."""
    with counting_failures(services, request):
        made = services.login.offer(ask.code, ask.login)
    return OfferView(**vars(made))


@router.post("/accounts", operation_id="createAccount", status_code=201)
def create_account(ask: AccountAsk, request: Request, services: Use) -> AccountView:
    """Redeem an invitation as an account with password and second factor."""
    new = NewFactor(ask.secret, ask.totp)
    with counting_failures(services, request):
        person, codes = services.login.enrol(ask.code, ask.login, ask.password, new)
    return AccountView(person=PersonView.of(person), recovery_codes=list(codes))


@router.post("/accounts/password", operation_id="replacePassword")
def replace_password(ask: PasswordAsk, request: Request, services: Use) -> PersonView:
    """Replace a lost password with an administrator's code and the second factor."""
    proof = Proof(ask.login, ask.password, ask.code)
    with counting_failures(services, request):
        person = services.login.replace_password(ask.reset, proof, address_of(request))
    return PersonView.of(person)


@router.post("/accounts/factor", operation_id="replaceFactor")
def replace_factor(ask: FactorAsk, request: Request, services: Use) -> AccountView:
    """Replace a lost second factor with an administrator's code and the password."""
    new = NewFactor(ask.secret, ask.totp)
    with counting_failures(services, request):
        person, codes = services.login.replace_factor(
            ask.reset, ask.login, ask.password, new, address_of(request)
        )
    return AccountView(person=PersonView.of(person), recovery_codes=list(codes))


@router.post("/me/key", operation_id="registerKey")
def register_key(ask: KeyAsk, services: Use, caller: Anyone) -> PersonView:
    """Register the key you sign with, once. Its other half never leaves your machine."""
    key = PublicKey.from_text(ask.public_key)
    said = Envelope.from_json(ask.proof).open("key", key)
    if said != {"person": caller.id, "network": services.store.network.id}:
        raise Refused(Code.BAD_SIGNATURE, what="proof")
    at = instant_text(services.clock())
    return PersonView.of(services.store.people.register_key(caller.id, key, at))


@router.post("/me/key/change", operation_id="changeKey")
def change_key(ask: KeyChangeAsk, services: Use, caller: Researcher) -> PersonView:
    """Put a new key in place of the one you sign with, signed by both. Approved studies go on."""
    try:
        ask.change.check(services.store.network.id)
    except VerificationFailed:
        raise Refused(Code.BAD_SIGNATURE, what="change") from None
    at = instant_text(services.clock())
    people = services.store.people
    return PersonView.of(people.change_key(caller.id, ask.change, ask.bearer_sha256, at))


@router.post("/me/link", operation_id="linkBrowser")
def link_browser(services: Use, caller: Anyone) -> LinkView:
    """A link that signs a browser in as you: for who has a token, or a session of a program."""
    return LinkView(path=f"/open/{services.links.make(caller.id)}")


def open_web(services: Services, person: Principal, response: Response) -> SessionView:
    """A session in a cookie that no script and no other site can use."""
    made = services.sessions.open_web(person)
    set_cookie(services.settings, made.cookie, response)
    return SessionView(person=PersonView.of(person), expires=made.expires, csrf=made.csrf)


def set_cookie(settings: ApiSettings, cookie: str, response: Response) -> None:
    """Have the browser keep the cookie of a session."""
    response.set_cookie(
        cookie_name(settings),
        cookie,
        path="/",
        secure=settings.secure_cookies,
        httponly=True,
        samesite="strict",
    )


def forget_cookie(settings: ApiSettings, response: Response) -> None:
    """Have the browser drop its cookie."""
    response.delete_cookie(
        cookie_name(settings),
        path="/",
        secure=settings.secure_cookies,
        httponly=True,
        samesite="strict",
    )
