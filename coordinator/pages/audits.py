"""What an auditor sees first: every organisation with what is spent and what was verified."""

from __future__ import annotations

from fastapi import Response

from coordinator.pages.visit import Visit
from privacy.contract.token import Role
from privacy.errors import Code, Refused


def organisations(visit: Visit) -> Response:
    """Every node with its public state."""
    _ = visit.person
    return visit.page("organisations.html", nodes=visit.network.nodes())


def overview(visit: Visit) -> Response:
    """Spent and left by study and node, and the coordinator's own log."""
    if visit.person.role not in (Role.AUDITOR, Role.ADMIN):
        raise Refused(Code.NOT_PERMITTED)
    get = visit.network.transport.get
    studies = [get(f"/v1/studies/{each['id']}") for each in get("/v1/studies")["studies"]]
    return visit.page("audit.html", studies=studies, log=get("/v1/audit/log"))
