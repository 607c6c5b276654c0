"""What the operations work with, and how each learns who is asking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Protocol

from anyio import CapacityLimiter
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from coordinator.api.budgets import Budgets
from coordinator.api.shelf import BundleShelf
from coordinator.api.verifying import VerificationDesk
from coordinator.auth import Admitted, Gatekeeper, Shown
from coordinator.leave_desk import LeaveDesk, StepDesk
from coordinator.log import CoordinatorLog
from coordinator.login.limits import address_group
from coordinator.login.local import LocalLogin
from coordinator.login.oidc import OidcDesk
from coordinator.login.sessions import SessionDesk
from coordinator.reading import Reading
from coordinator.store.facts import Principal
from coordinator.store.store import Store
from pages.links import OneTimeLinks
from privacy.contract.signing import SigningKey
from privacy.contract.token import Role
from privacy.errors import BadInput, Code, Refused
from privacy.randomness import Entropy

Clock = Callable[[], datetime]


class Executor(Protocol):
    """The bridge to the nodes, as the web process sees it."""

    def execute(self, run_id: str) -> None:
        """Start or continue a queued run; returns at once."""

    def wait(self, run_id: str, timeout_seconds: float) -> bool:
        """True once the run is finished; False when the time is up."""

    def settle(self, timeout_seconds: float) -> None:
        """Wait until what the finished runs cost is in the mirror, at most so long."""

    def sync(self, timeout_seconds: float) -> None:
        """Fetch every reachable node's newest entries and checkpoints into the store."""


@dataclass(frozen=True)
class ApiSettings:
    """Limits and public facts of the web process. Units are in the names."""

    max_body_bytes: int = 2**20
    max_body_seconds: float = 20.0
    max_head_seconds: float = 20.0
    max_connections: int = 1000
    max_wait_seconds: float = 60.0
    max_waiting: int = 512
    max_unfinished_runs: int = 100
    failed_logins_per_minute: int = 20
    sign_ins_per_address_per_minute: int = 20
    sign_ins_per_login_per_hour: int = 30
    requests_per_address_per_minute: int = 6000
    requests_per_person_per_minute: int = 3000
    access_minutes: int = 10
    idle_minutes: int = 15
    web_session_hours: int = 12
    command_session_days: int = 30
    secure_cookies: bool = True
    invitation_days: int = 7
    question_skew_seconds: int = 300
    sync_seconds: float = 10.0
    settle_seconds: float = 5.0
    fleet_address: str = ""  # where nodes connect
    ca_pem: str = ""  # the authority that signed the fleet address' certificate


def with_limits(settings: ApiSettings, limits: Mapping[str, Any]) -> ApiSettings:
    """The settings with some numbers changed; raises BadInput for what is no limit."""
    for name, value in limits.items():
        known = getattr(settings, name, None)
        if isinstance(known, bool) or not isinstance(known, int | float):
            raise BadInput(f"no limit {name!r}")
        whole = isinstance(known, int) and not isinstance(value, int)
        if isinstance(value, bool) or not isinstance(value, int | float) or whole or not value > 0:
            raise BadInput(f"{name} is a number above 0")
    return replace(settings, **limits)


@dataclass(frozen=True)
class Services:
    """Everything an operation may use; built once by `create_app`."""

    store: Store
    log: CoordinatorLog
    executor: Executor
    key: SigningKey
    settings: ApiSettings
    clock: Clock
    entropy: Entropy
    gatekeeper: Gatekeeper
    sessions: SessionDesk
    login: LocalLogin
    oidc: OidcDesk | None
    budgets: Budgets
    waiting: CapacityLimiter
    links: OneTimeLinks
    leave: LeaveDesk
    steps: StepDesk
    shelf: BundleShelf
    reading: Reading
    verifications: VerificationDesk

    def sync(self) -> None:
        """Fetch the nodes' newest entries, for as long as the settings allow."""
        self.executor.sync(self.settings.sync_seconds)


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Use = Annotated[Services, Depends(services_of)]

CSRF_HEADER = "x-cairn-csrf"
READER = "cairn.reader"  # in the scope of what a page reads within this process: who it is for
_BEARER = HTTPBearer(
    auto_error=False,
    description="The bearer credential derived from a token, or a session's access token.",
)


def address_of(request: Request) -> str:
    """The caller's address, as the server or a proxy that it trusts says."""
    return request.client.host if request.client else ""


@contextmanager
def counting_failures(services: Services, request: Request) -> Iterator[None]:
    """Wrong invitations and proofs count as wrong credentials do, by address."""
    try:
        yield
    except Refused as refused:
        if refused.code in (Code.NOT_PERMITTED, Code.NOT_SIGNED_IN):
            services.gatekeeper.failures.count(address_group(address_of(request)))
        raise


def cookie_name(settings: ApiSettings) -> str:
    """`__Host-` has browsers insist on TLS, on this very host and on the whole site."""
    return "__Host-cairn" if settings.secure_cookies else "cairn"


class AllowSession:
    """A dependency that admits callers with one of these roles; its value is the caller with
    the session, if there is one."""

    def __init__(self, *roles: Role) -> None:
        self.roles = frozenset(roles)

    def __call__(
        self,
        request: Request,
        services: Use,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    ) -> Admitted:
        reader: Admitted | None = request.scope.get(READER)
        if reader is not None:
            return services.gatekeeper.let_in(reader, self.roles)
        shown = Shown(
            bearer=None if credentials is None else credentials.credentials,
            cookie=request.cookies.get(cookie_name(services.settings)),
            csrf=request.headers.get(CSRF_HEADER, ""),
            changes=request.method not in ("GET", "HEAD"),
        )
        return services.gatekeeper.admit(shown, address_of(request), self.roles)


class Allow(AllowSession):
    """As `AllowSession`; the value is the caller alone."""

    def __call__(  # type: ignore[override]
        self,
        request: Request,
        services: Use,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    ) -> Principal:
        return super().__call__(request, services, credentials).principal


_INSIDERS = tuple(role for role in Role if role is not Role.CLINICIAN)

SignedIn = Annotated[Admitted, Depends(AllowSession(*Role))]
Anyone = Annotated[Principal, Depends(Allow(*Role))]
Insider = Annotated[Principal, Depends(Allow(*_INSIDERS))]
Researcher = Annotated[Principal, Depends(Allow(Role.RESEARCHER))]
Admin = Annotated[Principal, Depends(Allow(Role.ADMIN))]
AuditorOnly = Annotated[Principal, Depends(Allow(Role.AUDITOR))]
AuditorOrAdmin = Annotated[Principal, Depends(Allow(Role.AUDITOR, Role.ADMIN))]
ResearcherOrAdmin = Annotated[Principal, Depends(Allow(Role.RESEARCHER, Role.ADMIN))]
ResultReader = Annotated[Principal, Depends(Allow(Role.RESEARCHER, Role.AUDITOR))]
ReleaseReader = Annotated[Principal, Depends(Allow(Role.RESEARCHER, Role.AUDITOR, Role.CLINICIAN))]
RunReader = Annotated[Principal, Depends(Allow(Role.RESEARCHER, Role.AUDITOR, Role.ADMIN))]
