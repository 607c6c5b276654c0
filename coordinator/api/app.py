"""The coordinator's web application, put together from its parts.

No CORS, no cookies, no interactive documentation page (it would load foreign scripts): the
OpenAPI document itself is at /v1/openapi.json.
"""

from __future__ import annotations

from anyio import CapacityLimiter
from fastapi import FastAPI

from coordinator.api import (
    audit_routes,
    network_routes,
    problems,
    run_routes,
    study_routes,
    study_steps,
)
from coordinator.api.budgets import Budgets
from coordinator.api.limits import BodyLimit, SafeHeaders
from coordinator.api.services import ApiSettings, Clock, Executor, Services
from coordinator.auth import FailureLimit, Gatekeeper
from coordinator.store.store import Store
from privacy.contract.signing import SigningKey
from privacy.randomness import Entropy


def create_app(
    store: Store,
    executor: Executor,
    key: SigningKey,
    *,
    settings: ApiSettings,
    clock: Clock,
    entropy: Entropy,
) -> FastAPI:
    """The application. `key` signs plans; `clock` gives the time in UTC."""
    app = FastAPI(
        title="Cairn coordinator",
        version=network_routes.VERSION,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses=problems.responses(),
    )
    failures = FailureLimit(settings.failed_logins_per_minute, clock)
    app.state.services = Services(
        store=store,
        executor=executor,
        key=key,
        settings=settings,
        clock=clock,
        entropy=entropy,
        gatekeeper=Gatekeeper(store.people, failures),
        budgets=Budgets(store.ledgers),
        waiting=CapacityLimiter(settings.max_waiting),
    )
    app.add_middleware(
        BodyLimit, max_bytes=settings.max_body_bytes, max_seconds=settings.max_body_seconds
    )
    app.add_middleware(SafeHeaders)
    problems.install(app)
    for routes in (network_routes, study_routes, study_steps, run_routes, audit_routes):
        app.include_router(routes.router)
    return app
