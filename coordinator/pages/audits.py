"""What an auditor sees first: every organisation with what is spent and what was verified."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Response

from coordinator.api.problems import CATALOGUE
from coordinator.client.audit import Audit
from coordinator.pages.visit import Visit
from privacy.contract.token import Role
from privacy.errors import Code, Refused

AUDITORS = frozenset({Role.AUDITOR, Role.ADMIN})


def organisations(visit: Visit) -> Response:
    """Every node with its public state."""
    _ = visit.person
    return visit.page("organisations.html", nodes=visit.network.nodes())


def auditing(visit: Visit) -> Audit:
    """What the reader may ask as an auditor; raises Refused for anybody else."""
    if visit.person.role not in AUDITORS:
        raise Refused(Code.NOT_PERMITTED)
    return visit.network.audit


def held(ask: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """What is made of a verified copy; None before a verification held."""
    try:
        return ask()
    except Refused as refused:
        if refused.public_fields.get("what") == "verification":
            return None
        raise


def overview(visit: Visit) -> Response:
    """Every organisation at a glance, what the studies spent, and what was refused."""
    said = auditing(visit).overview()
    get = visit.network.transport.get
    studies = [get(f"/v1/studies/{each['id']}") for each in get("/v1/studies")["studies"]]
    return visit.page(
        "audit.html",
        said=said,
        studies=studies,
        refused=_refused(said["runs_refused"]),
        looks=[each for each in said["nodes"] if _stands_out(each)],
    )


def _stands_out(node: dict[str, Any]) -> bool:
    return bool(node["trouble"] or node["stopped"] or node["remarks"])


def _refused(codes: dict[str, int]) -> list[tuple[str, int]]:
    """What runs were refused with, in the catalogue's words, most of them first."""
    ordered = sorted(codes.items(), key=lambda pair: -pair[1])
    return [(CATALOGUE[Code(code)][1], number) for code, number in ordered]
