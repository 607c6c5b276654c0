"""The coordinator's web application, put together from its parts.

No CORS, no cookie but that of a browser's session, no interactive documentation page (it would
load foreign scripts): the OpenAPI document itself is at /v1/openapi.json.
"""

from __future__ import annotations

from datetime import timedelta

from anyio import CapacityLimiter
from fastapi import FastAPI

from coordinator.api import (
    audit_routes,
    auditor_routes,
    catalogue_routes,
    delegation_routes,
    login_routes,
    network_routes,
    oidc_routes,
    own_routes,
    people_routes,
    problems,
    register,
    run_routes,
    step_requests,
    study_routes,
    study_steps,
)
from coordinator.api.budgets import Budgets
from coordinator.api.limits import AddressLimit, BodyLimit, SafeHeaders
from coordinator.api.services import ApiSettings, Clock, Executor, Services
from coordinator.api.shelf import BundleShelf
from coordinator.api.verifying import VerificationDesk
from coordinator.auth import Gatekeeper
from coordinator.leave_desk import LeaveDesk, StepDesk
from coordinator.log import CoordinatorLog
from coordinator.login.limits import RateLimit
from coordinator.login.local import LocalLogin, TryLimits
from coordinator.login.oidc import OidcDesk
from coordinator.login.oidc_settings import OidcSettings
from coordinator.login.passwords import Passwords
from coordinator.login.provider import Provider
from coordinator.login.second_factor import FactorSeal
from coordinator.login.sessions import Lifetimes, SessionDesk
from coordinator.pages.routes import answer_browsers, page_router
from coordinator.reading import Reading
from coordinator.store.store import Store
from pages.links import OneTimeLinks
from privacy.contract.signing import SigningKey
from privacy.randomness import Entropy

# Everything that is served; each route says who may call it.
ROUTERS = (
    network_routes.router,
    login_routes.router,
    oidc_routes.router,
    people_routes.router,
    study_routes.router,
    study_steps.router,
    step_requests.router,
    register.router,
    catalogue_routes.router,
    delegation_routes.router,
    run_routes.router,
    audit_routes.router,
    auditor_routes.router,
    own_routes.router,
)


def create_app(
    store: Store,
    executor: Executor,
    key: SigningKey,
    *,
    settings: ApiSettings,
    clock: Clock,
    entropy: Entropy,
    oidc: OidcSettings | None = None,
    passwords: Passwords | None = None,
) -> FastAPI:
    """The application. `key` signs plans; `clock` gives the time in UTC; `oidc` names an
    identity provider, if people sign in through one; `passwords` hash dearly unless given."""
    app = FastAPI(
        title="Cairn coordinator",
        version=network_routes.VERSION,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses=problems.responses(),
    )
    sessions = SessionDesk(store.sessions, clock, entropy, _lifetimes(settings))
    shelf = BundleShelf(clock, entropy)
    app.state.services = Services(
        store=store,
        log=CoordinatorLog(store.log, key, store.network.id),
        executor=executor,
        key=key,
        settings=settings,
        clock=clock,
        entropy=entropy,
        gatekeeper=Gatekeeper(
            store.people,
            sessions,
            RateLimit(settings.failed_logins_per_minute, clock),
            RateLimit(settings.requests_per_person_per_minute, clock),
        ),
        sessions=sessions,
        login=_login(store, key, settings, clock, entropy, passwords or Passwords(entropy)),
        oidc=_oidc(oidc, store, clock, entropy),
        budgets=Budgets(store.ledgers),
        waiting=CapacityLimiter(settings.max_waiting),
        links=OneTimeLinks(entropy, clock),
        leave=LeaveDesk(entropy, clock),
        steps=StepDesk(entropy, clock),
        shelf=shelf,
        reading=Reading(store.ledgers),
        verifications=VerificationDesk(shelf),
    )
    app.add_middleware(
        BodyLimit, max_bytes=settings.max_body_bytes, max_seconds=settings.max_body_seconds
    )
    app.add_middleware(
        AddressLimit, limit=RateLimit(settings.requests_per_address_per_minute, clock)
    )
    app.add_middleware(SafeHeaders)
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(page_router())
    answer_browsers(app)
    return app


def _lifetimes(settings: ApiSettings) -> Lifetimes:
    return Lifetimes(
        access=timedelta(minutes=settings.access_minutes),
        idle=timedelta(minutes=settings.idle_minutes),
        web=timedelta(hours=settings.web_session_hours),
        command=timedelta(days=settings.command_session_days),
    )


def _oidc(
    settings: OidcSettings | None, store: Store, clock: Clock, entropy: Entropy
) -> OidcDesk | None:
    if settings is None:
        return None
    return OidcDesk(Provider(settings, clock), store.accounts, clock, entropy)


def _login(
    store: Store,
    key: SigningKey,
    settings: ApiSettings,
    clock: Clock,
    entropy: Entropy,
    passwords: Passwords,
) -> LocalLogin:
    hour = timedelta(hours=1)
    return LocalLogin(
        store=store,
        passwords=passwords,
        seal=FactorSeal.of(key, entropy),
        tries=TryLimits(
            RateLimit(settings.sign_ins_per_address_per_minute, clock),
            RateLimit(settings.sign_ins_per_login_per_hour, clock, hour),
        ),
        clock=clock,
        entropy=entropy,
    )
