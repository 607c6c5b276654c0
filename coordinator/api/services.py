"""What the operations work with, and how each learns who is asking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Protocol

from anyio import CapacityLimiter
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from coordinator.api.budgets import Budgets
from coordinator.auth import Gatekeeper
from coordinator.store.facts import Principal
from coordinator.store.store import Store
from privacy.contract.signing import SigningKey
from privacy.contract.token import Role
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
    max_wait_seconds: float = 60.0
    max_waiting: int = 512
    max_unfinished_runs: int = 100
    failed_logins_per_minute: int = 20
    invitation_days: int = 7
    question_skew_seconds: int = 300
    sync_seconds: float = 10.0
    settle_seconds: float = 5.0
    fleet_address: str = ""  # where nodes connect
    ca_pem: str = ""  # the authority that signed the fleet address' certificate


@dataclass(frozen=True)
class Services:
    """Everything an operation may use; built once by `create_app`."""

    store: Store
    executor: Executor
    key: SigningKey
    settings: ApiSettings
    clock: Clock
    entropy: Entropy
    gatekeeper: Gatekeeper
    budgets: Budgets
    waiting: CapacityLimiter


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Use = Annotated[Services, Depends(services_of)]

_BEARER = HTTPBearer(auto_error=False, description="The bearer credential derived from a token.")


class Allow:
    """A dependency that admits callers with one of these roles; its value is the caller."""

    def __init__(self, *roles: Role) -> None:
        self.roles = frozenset(roles)

    def __call__(
        self,
        request: Request,
        services: Use,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    ) -> Principal:
        bearer = None if credentials is None else credentials.credentials
        address = request.client.host if request.client else ""
        return services.gatekeeper.admit(bearer, address, self.roles)


Anyone = Annotated[Principal, Depends(Allow(*Role))]
Researcher = Annotated[Principal, Depends(Allow(Role.RESEARCHER))]
Admin = Annotated[Principal, Depends(Allow(Role.ADMIN))]
AuditorOrAdmin = Annotated[Principal, Depends(Allow(Role.AUDITOR, Role.ADMIN))]
ResearcherOrAdmin = Annotated[Principal, Depends(Allow(Role.RESEARCHER, Role.ADMIN))]
ResultReader = Annotated[Principal, Depends(Allow(Role.RESEARCHER, Role.AUDITOR))]
RunReader = Annotated[Principal, Depends(Allow(Role.RESEARCHER, Role.AUDITOR, Role.ADMIN))]
