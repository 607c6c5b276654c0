"""Who may call what: every operation against every role, and the operations by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from privacy.contract.token import Role
from tests.support.fake_executor import World

ALL = frozenset(Role)
EVERYONE = None  # no credential needed


@dataclass(frozen=True)
class Operation:
    id: str
    method: str
    path: str
    roles: frozenset[Role] | None
    body: dict[str, Any] | None = None


PREVIEW = {"study": "als-progression", "analysis": {"kind": "count"}, "epsilon": "0.1"}
OPERATIONS = [
    Operation("getHealth", "GET", "/health", EVERYONE),
    Operation("getNetwork", "GET", "/v1/network", EVERYONE),
    Operation("getNetworkDictionary", "GET", "/v1/network/dictionary", EVERYONE),
    Operation("join", "POST", "/v1/join", EVERYONE, {"code": "wrong"}),
    Operation("getMe", "GET", "/v1/me", ALL),
    Operation("listNodes", "GET", "/v1/nodes", ALL),
    Operation("listStudies", "GET", "/v1/studies", ALL),
    Operation("getStudy", "GET", "/v1/studies/als-progression", ALL),
    Operation("getDictionary", "GET", "/v1/studies/als-progression/dictionary", ALL),
    Operation("listSteps", "GET", "/v1/studies/als-progression/steps", ALL),
    Operation("proposeStudy", "POST", "/v1/studies", frozenset({Role.RESEARCHER}), {"study": {}}),
    Operation(
        "takeStep",
        "POST",
        "/v1/studies/als-progression/steps",
        frozenset({Role.RESEARCHER}),
        {"step": {}},
    ),
    Operation("getRegister", "GET", "/api/register", EVERYONE),
    Operation("previewQuestion", "POST", "/v1/previews", frozenset({Role.RESEARCHER}), PREVIEW),
    Operation("startRun", "POST", "/v1/runs", frozenset({Role.RESEARCHER}), {"question": {}}),
    Operation("listRuns", "GET", "/v1/runs", ALL - {Role.STEWARD}),
    Operation("getRun", "GET", "/v1/runs/none", ALL - {Role.STEWARD}),
    Operation(
        "cancelRun", "POST", "/v1/runs/none/cancel", frozenset({Role.RESEARCHER, Role.ADMIN})
    ),
    Operation(
        "getRelease",
        "GET",
        "/v1/releases/" + "0" * 64,
        frozenset({Role.RESEARCHER, Role.AUDITOR}),
    ),
    Operation(
        "getCombined",
        "GET",
        "/v1/releases/" + "0" * 64 + "/combined",
        frozenset({Role.RESEARCHER, Role.AUDITOR}),
    ),
    Operation(
        "getReleaseState",
        "GET",
        "/v1/releases/" + "0" * 64 + "/state",
        frozenset({Role.RESEARCHER, Role.AUDITOR}),
    ),
    Operation("getAuditBundle", "GET", "/v1/audit/bundle", frozenset({Role.AUDITOR, Role.ADMIN})),
    Operation(
        "createInvitation",
        "POST",
        "/v1/invitations",
        frozenset({Role.ADMIN}),
        {"name": "Ida", "role": "researcher"},
    ),
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_each_role_may_do_exactly_what_is_its_own(
    operation: Operation, world: World, http: httpx.Client
) -> None:
    for role, token in world.tokens.items():
        status = _call(http, operation, token.bearer).status_code
        if operation.roles is None or role in operation.roles:
            assert status not in (401, 500), role
            assert status != 403 or operation.id == "join", role
        else:
            assert status == 403, role
    for bearer in (None, "A" * 43):
        answer = _call(http, operation, bearer)
        if operation.roles is None:
            assert answer.status_code != 401
        else:
            assert answer.status_code == 401
            assert answer.json()["code"] == "not_signed_in"
            assert answer.headers["www-authenticate"] == "Bearer"


def test_the_operations_and_their_names_are_stable(world: World) -> None:
    found = {
        (operation["operationId"], method.upper(), path)
        for path, methods in world.app.openapi()["paths"].items()
        for method, operation in methods.items()
    }
    templates = {
        "/v1/studies/als-progression": "/v1/studies/{study}",
        "/v1/studies/als-progression/dictionary": "/v1/studies/{study}/dictionary",
        "/v1/studies/als-progression/steps": "/v1/studies/{study}/steps",
        "/v1/runs/none": "/v1/runs/{run}",
        "/v1/runs/none/cancel": "/v1/runs/{run}/cancel",
        "/v1/releases/" + "0" * 64: "/v1/releases/{digest}",
        "/v1/releases/" + "0" * 64 + "/combined": "/v1/releases/{digest}/combined",
        "/v1/releases/" + "0" * 64 + "/state": "/v1/releases/{digest}/state",
    }
    assert found == {
        (each.id, each.method, templates.get(each.path, each.path)) for each in OPERATIONS
    }


def test_every_operation_says_what_it_answers_and_that_it_may_be_refused(world: World) -> None:
    document = world.app.openapi()
    for path, methods in document["paths"].items():
        for operation in methods.values():
            good = [code for code in operation["responses"] if code.startswith("2")]
            assert good, path
            assert "default" in operation["responses"], path
            assert operation["description"], path
    secured = [
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
        if operation.get("security")
    ]
    assert set(secured) == {each.id for each in OPERATIONS if each.roles is not None}


def test_no_page_of_interactive_documentation_is_served(http: httpx.Client) -> None:
    assert http.get("/v1/openapi.json").status_code == 200
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert http.get(path).status_code == 404


def _call(http: httpx.Client, operation: Operation, bearer: str | None) -> httpx.Response:
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
    return http.request(operation.method, operation.path, headers=headers, json=operation.body)
