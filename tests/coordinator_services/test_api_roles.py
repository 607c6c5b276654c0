"""Who may call what: every operation against every role, and the operations by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from coordinator.api.app import ROUTERS
from coordinator.api.services import AllowSession
from privacy.contract.token import Role
from tests.support.fake_executor import World

ALL = frozenset(Role)
INSIDERS = ALL - {Role.CLINICIAN}
READERS = frozenset({Role.RESEARCHER, Role.AUDITOR, Role.CLINICIAN})
AUDITORS = frozenset({Role.AUDITOR, Role.ADMIN})
RESEARCHERS = frozenset({Role.RESEARCHER})
EVERYONE = None  # no credential needed
PROVES = {  # open operations in which whoever calls brings a proof of their own
    "join",
    "signIn",
    "refreshSession",
    "offerAccount",
    "createAccount",
    "replacePassword",
    "replaceFactor",
    "getSent",
}


@dataclass(frozen=True)
class Operation:
    id: str
    method: str
    path: str
    roles: frozenset[Role] | None
    body: dict[str, Any] | None = None


PREVIEW = {"study": "als-progression", "analysis": {"kind": "count"}, "epsilon": "0.1"}
PROOF = {"login": "ida", "password": "long enough to try", "code": "123456"}
OFFER = {"code": "wrong", "login": "ida"}
FACTOR = {"password": "long enough to try", "secret": "A" * 32, "totp": "123456"}
IDA = {"login": "ida"}
RESET = {"reset": "wrong"}
OPERATIONS = [
    Operation("getHealth", "GET", "/health", EVERYONE),
    Operation("getNetwork", "GET", "/v1/network", EVERYONE),
    Operation("getNetworkDictionary", "GET", "/v1/network/dictionary", EVERYONE),
    Operation("join", "POST", "/v1/join", EVERYONE, {"code": "wrong"}),
    Operation("getMe", "GET", "/v1/me", ALL),
    Operation("getSignInMethods", "GET", "/v1/login", EVERYONE),
    Operation("signIn", "POST", "/v1/login", EVERYONE, PROOF),
    Operation("refreshSession", "POST", "/v1/login/refresh", EVERYONE, {"refresh": "wrong"}),
    Operation("signOut", "POST", "/v1/logout", ALL, {}),
    Operation("offerAccount", "POST", "/v1/accounts/offer", EVERYONE, OFFER),
    Operation("createAccount", "POST", "/v1/accounts", EVERYONE, {**OFFER, **FACTOR}),
    Operation("replacePassword", "POST", "/v1/accounts/password", EVERYONE, {**PROOF, **RESET}),
    Operation("replaceFactor", "POST", "/v1/accounts/factor", EVERYONE, {**RESET, **FACTOR, **IDA}),
    Operation("registerKey", "POST", "/v1/me/key", ALL, {"public_key": "x", "proof": {}}),
    Operation(
        "changeKey",
        "POST",
        "/v1/me/key/change",
        RESEARCHERS,
        {"change": {}},
    ),
    Operation("linkBrowser", "POST", "/v1/me/link", ALL, {}),
    Operation("startOidc", "GET", "/v1/oidc/start", EVERYONE),
    Operation("finishOidc", "GET", "/v1/oidc/callback", EVERYONE),
    Operation("startDevice", "POST", "/v1/oidc/device", EVERYONE, {}),
    Operation("pollDevice", "POST", "/v1/oidc/device/poll", EVERYONE, {"handle": "wrong"}),
    Operation("listPeople", "GET", "/v1/people", frozenset({Role.ADMIN})),
    Operation("listPeopleEvents", "GET", "/v1/people/events", ALL & {Role.ADMIN, Role.AUDITOR}),
    Operation("revokePerson", "POST", "/v1/people/p-none/revoke", frozenset({Role.ADMIN})),
    Operation(
        "resetPerson",
        "POST",
        "/v1/people/p-none/reset",
        frozenset({Role.ADMIN}),
        {"kind": "password"},
    ),
    Operation("listNodes", "GET", "/v1/nodes", INSIDERS),
    Operation("listLinkages", "GET", "/v1/linkages", INSIDERS),
    Operation("listStudies", "GET", "/v1/studies", ALL),
    Operation("getStudy", "GET", "/v1/studies/als-progression", INSIDERS),
    Operation("getDictionary", "GET", "/v1/studies/als-progression/dictionary", INSIDERS),
    Operation("getCatalogue", "GET", "/v1/catalogue", READERS),
    Operation("listSteps", "GET", "/v1/studies/als-progression/steps", INSIDERS),
    Operation("proposeStudy", "POST", "/v1/studies", RESEARCHERS, {"study": {}}),
    Operation(
        "takeStep",
        "POST",
        "/v1/studies/als-progression/steps",
        RESEARCHERS,
        {"step": {}},
    ),
    Operation(
        "askForLeave",
        "POST",
        "/v1/delegations/asked",
        RESEARCHERS,
        {"study": "none", "epsilon": "1", "hours": 1},
    ),
    Operation("listLeaveAsked", "GET", "/v1/delegations/asked", RESEARCHERS),
    Operation("getLeaveAsked", "GET", "/v1/delegations/asked/x", RESEARCHERS),
    Operation("refuseLeave", "POST", "/v1/delegations/asked/x/refuse", RESEARCHERS),
    Operation(
        "askForStep", "POST", "/v1/steps/asked", RESEARCHERS, {"study": "none", "act": "close"}
    ),
    Operation("listStepsAsked", "GET", "/v1/steps/asked", RESEARCHERS),
    Operation("getStepAsked", "GET", "/v1/steps/asked/x", RESEARCHERS),
    Operation("refuseStep", "POST", "/v1/steps/asked/x/refuse", RESEARCHERS),
    Operation("giveLeave", "POST", "/v1/delegations", RESEARCHERS, {"delegation": {}}),
    Operation(
        "endDelegation",
        "POST",
        "/v1/delegations/end",
        RESEARCHERS,
        {"delegation": {}, "end": {}},
    ),
    Operation("getRegister", "GET", "/api/register", EVERYONE),
    Operation("getRegistered", "GET", "/api/register/none", EVERYONE),
    Operation("previewQuestion", "POST", "/v1/previews", RESEARCHERS, PREVIEW),
    Operation("startRun", "POST", "/v1/runs", RESEARCHERS, {"question": {}}),
    Operation("listRuns", "GET", "/v1/runs", INSIDERS - {Role.STEWARD}),
    Operation("getRun", "GET", "/v1/runs/none", INSIDERS - {Role.STEWARD}),
    Operation(
        "cancelRun", "POST", "/v1/runs/none/cancel", frozenset({Role.RESEARCHER, Role.ADMIN})
    ),
    Operation("listReleases", "GET", "/v1/releases", READERS),
    Operation("getRelease", "GET", "/v1/releases/" + "0" * 64, READERS),
    Operation("getCombined", "GET", "/v1/releases/" + "0" * 64 + "/combined", READERS),
    Operation(
        "getReleaseState",
        "GET",
        "/v1/releases/" + "0" * 64 + "/state",
        frozenset({Role.RESEARCHER, Role.AUDITOR}),
    ),
    Operation(
        "getReleaseRounds",
        "GET",
        "/v1/releases/" + "0" * 64 + "/rounds",
        frozenset({Role.RESEARCHER, Role.AUDITOR}),
    ),
    Operation("getLogHead", "GET", "/v1/audit/log", INSIDERS),
    Operation("getLogLines", "GET", "/v1/audit/log/lines", AUDITORS),
    Operation("getHeads", "GET", "/v1/audit/heads", AUDITORS),
    Operation(
        "getLedgerLines",
        "GET",
        "/v1/audit/ledgers/none/lines",
        AUDITORS,
    ),
    Operation("getAuditOverview", "GET", "/v1/audit/overview", AUDITORS),
    Operation("listEntries", "GET", "/v1/audit/ledgers/none/entries", AUDITORS),
    Operation("getEntry", "GET", "/v1/audit/ledgers/none/entries/0", AUDITORS),
    Operation("startVerification", "POST", "/v1/audit/verifications", AUDITORS),
    Operation("getVerification", "GET", "/v1/audit/verifications", AUDITORS),
    Operation("listPolicies", "GET", "/v1/audit/ledgers/none/policies", AUDITORS),
    Operation("listWithdrawals", "GET", "/v1/audit/withdrawals", AUDITORS),
    Operation("replayLedgers", "POST", "/v1/audit/replays", AUDITORS, {"limits": {"period": "1"}}),
    Operation("listDossiers", "GET", "/v1/audit/dossiers", AUDITORS),
    Operation("getDossier", "GET", "/v1/audit/dossiers/none", AUDITORS),
    Operation("getDossierFile", "GET", "/v1/audit/dossiers/none/file", AUDITORS),
    Operation(
        "addCosignature",
        "POST",
        "/v1/audit/cosignatures",
        frozenset({Role.AUDITOR}),
        {"of": "nobody", "checkpoint": "x", "cosignature": "x"},
    ),
    Operation("getSent", "POST", "/v1/own/sent", EVERYONE, {"request": {}}),
    Operation("getAuditBundle", "GET", "/v1/audit/bundle", AUDITORS),
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
            assert status != 500, role
            assert status not in (401, 403) or operation.id in PROVES, role
        else:
            assert status == 403, role
    for bearer in (None, "A" * 43):
        answer = _call(http, operation, bearer)
        if operation.roles is None:
            assert answer.status_code != 401 or operation.id in PROVES
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
        "/api/register/none": "/api/register/{study}",
        "/v1/studies/als-progression": "/v1/studies/{study}",
        "/v1/studies/als-progression/dictionary": "/v1/studies/{study}/dictionary",
        "/v1/studies/als-progression/steps": "/v1/studies/{study}/steps",
        "/v1/delegations/asked/x": "/v1/delegations/asked/{asked}",
        "/v1/delegations/asked/x/refuse": "/v1/delegations/asked/{asked}/refuse",
        "/v1/steps/asked/x": "/v1/steps/asked/{asked}",
        "/v1/steps/asked/x/refuse": "/v1/steps/asked/{asked}/refuse",
        "/v1/people/p-none/revoke": "/v1/people/{person}/revoke",
        "/v1/people/p-none/reset": "/v1/people/{person}/reset",
        "/v1/runs/none": "/v1/runs/{run}",
        "/v1/audit/ledgers/none/lines": "/v1/audit/ledgers/{node}/lines",
        "/v1/audit/ledgers/none/policies": "/v1/audit/ledgers/{node}/policies",
        "/v1/audit/dossiers/none": "/v1/audit/dossiers/{name}",
        "/v1/audit/dossiers/none/file": "/v1/audit/dossiers/{name}/file",
        "/v1/audit/ledgers/none/entries": "/v1/audit/ledgers/{node}/entries",
        "/v1/audit/ledgers/none/entries/0": "/v1/audit/ledgers/{node}/entries/{seq}",
        "/v1/runs/none/cancel": "/v1/runs/{run}/cancel",
        "/v1/releases/" + "0" * 64: "/v1/releases/{digest}",
        "/v1/releases/" + "0" * 64 + "/combined": "/v1/releases/{digest}/combined",
        "/v1/releases/" + "0" * 64 + "/state": "/v1/releases/{digest}/state",
        "/v1/releases/" + "0" * 64 + "/rounds": "/v1/releases/{digest}/rounds",
    }
    assert found == {
        (each.id, each.method, templates.get(each.path, each.path)) for each in OPERATIONS
    }


def test_every_route_declares_its_roles_or_stands_here_as_open() -> None:
    """A route that nobody thought about is neither; it fails here before it is served."""
    open_to_all = {each.id for each in OPERATIONS if each.roles is None}
    declared = {each.id: each.roles for each in OPERATIONS}
    for route in (route for router in ROUTERS for route in router.routes):
        assert isinstance(route, APIRoute)
        assert route.operation_id in declared, route.path
        allowed = [
            need.call.roles
            for need in route.dependant.dependencies
            if isinstance(need.call, AllowSession)
        ]
        open_route = route.operation_id in open_to_all
        assert allowed == ([] if open_route else [declared[route.operation_id]]), route.path


def test_every_operation_says_what_it_answers_and_that_it_may_be_refused(world: World) -> None:
    document = world.app.openapi()
    for path, methods in document["paths"].items():
        for operation in methods.values():
            good = [code for code in operation["responses"] if code[0] in "23"]
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
