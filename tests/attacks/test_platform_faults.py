"""Faults that other platforms had: code in data, patterns without ends, an environment that a
message fills, cross-origin doors, secrets in logs.

The first tests read the product's own source. Each check is first shown to see the fault in a
few lines that have it.
"""

from __future__ import annotations

import ast
import io
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import structlog

from privacy.contract.token import Role
from tests.support.accounts import PASSWORD, bearer_of, enrol, invite
from tests.support.fake_executor import make_world, serve

ROOT = Path(__file__).parents[2]
PACKAGES = ("privacy", "models", "pages", "service", "node", "coordinator", "deploy")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]

CODE_IN_DATA = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
RUNS_CODE = {"eval", "exec", "compile", "__import__"}
RUNS_CODE_OF = {
    ("os", "system"),
    ("os", "popen"),
    ("torch", "load"),
    ("pd", "read_pickle"),
    ("pandas", "read_pickle"),
    ("importlib", "import_module"),
    ("runpy", "run_path"),
}
# Where a beginning or a part is what is looked for: two tokenizers, which go on at the end of
# each match, names of figures, a library's message, and one header, read number by number.
LOOKS_FOR_PARTS = {
    "models/cohort/tokens.py",
    "models/regression/formula_words.py",
    "models/figures/named.py",
    "models/regression/effect.py",
    "node/import_source.py",
    "coordinator/api/waiting.py",
    "coordinator/audit/advice.py",
}
SETS_ENVIRONMENT = {"service/flower_env.py"}
READS_ENVIRONMENT = {
    "CAIRN_URL",
    "CAIRN_TOKEN",
    "CAIRN_CA",
    "CAIRN_INVITATION",
    "CAIRN_SESSIONS",
    "XDG_STATE_HOME",
}


def code_in_data(tree: ast.AST) -> Iterator[str]:
    """Imports and calls by which data could become code."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names if each.name in CODE_IN_DATA)
            case ast.ImportFrom(module=str(module)) if module in CODE_IN_DATA:
                yield module
            case ast.Call(func=ast.Name(id=name)) if name in RUNS_CODE:
                yield name
            case ast.Call(func=ast.Attribute(value=ast.Name(id=of), attr=name)) if (
                of,
                name,
            ) in RUNS_CODE_OF:
                yield f"{of}.{name}"
            case ast.keyword(arg="allow_pickle" | "shell", value=ast.Constant(value=True)):
                yield str(node.arg)


def loose_patterns(tree: ast.AST) -> Iterator[str]:
    """Patterns that are held against part of a text."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="match" | "search" as name)):
                yield name
            case ast.keyword(arg="pattern", value=ast.Constant(value=str(text))) if not (
                text.startswith(r"\A") and text.endswith(r"\z")
            ):
                yield text


def environment_set(tree: ast.AST) -> Iterator[str]:
    """Whatever changes the environment, or names one for a child."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Subscript(value=value)]) if _is_environ(value):
                yield "assigned"
            case ast.Call(func=ast.Attribute(value=value, attr="update" | "setdefault" as name)):
                if _is_environ(value):
                    yield name
            case ast.Call(func=ast.Attribute(attr="putenv" | "unsetenv" as name)):
                yield name
            case ast.keyword(arg="env"):
                yield "env="


def environment_read(tree: ast.AST) -> Iterator[str]:
    """Names of variables that are read."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr="get"), args=[name, *_]):
                if _is_environ(value):
                    yield ast.unparse(name).strip("'\"")
            case ast.Subscript(value=value, slice=name, ctx=ast.Load()) if _is_environ(value):
                yield ast.unparse(name).strip("'\"")
            case ast.Attribute(attr="getenv"):
                yield "getenv"


def _is_environ(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "environ"


FAULTS: list[tuple[Callable[[ast.AST], Iterator[str]], str]] = [
    (code_in_data, "import pickle"),
    (code_in_data, "from marshal import loads"),
    (code_in_data, "import numpy as np\nnp.load(file, allow_pickle=True)"),
    (code_in_data, "import torch\ntorch.load(file)"),
    (code_in_data, "eval(text)"),
    (code_in_data, "subprocess.run(text, shell=True)"),
    (loose_patterns, "re.match('[a-z]+', text)"),
    (loose_patterns, "NAME.search(text)"),
    (loose_patterns, "StringConstraints(pattern='^[a-z]+$')"),
    (environment_set, "os.environ[name] = value"),
    (environment_set, "os.environ.update(message)"),
    (environment_set, "subprocess.Popen(command, env=message)"),
    (environment_read, "os.environ[name]"),
    (environment_read, "os.environ.get('HOME')"),
    (environment_read, "os.getenv('HOME')"),
]


@pytest.mark.parametrize(("check", "source"), FAULTS)
def test_each_check_sees_the_fault(check: Callable[[ast.AST], Iterator[str]], source: str) -> None:
    assert list(check(ast.parse(source)))


def _found(check: Callable[[ast.AST], Iterator[str]], but: set[str]) -> dict[str, list[str]]:
    assert len(SOURCES) > 300
    found = {
        path.relative_to(ROOT).as_posix(): list(check(ast.parse(path.read_text("utf-8"))))
        for path in SOURCES
    }
    return {name: what for name, what in found.items() if what and name not in but}


def test_no_data_can_become_code() -> None:
    assert _found(code_in_data, set()) == {}


def test_what_is_allowed_is_matched_to_its_end() -> None:
    assert re.match("[a-z]+", "name\n; rm") is not None  # what an unanchored pattern lets in
    assert _found(loose_patterns, LOOKS_FOR_PARTS) == {}


def test_nothing_that_arrives_is_put_into_an_environment() -> None:
    """Flower's own switches are set, to constants, before it is imported."""
    assert _found(environment_set, SETS_ENVIRONMENT) == {}
    for name in SETS_ENVIRONMENT:
        source = (ROOT / name).read_text("utf-8")
        assert set(re.findall(r'environ\["([A-Z_]+)"\]', source)) == {
            "FLWR_TELEMETRY_ENABLED",
            "FLWR_DISABLE_UPDATE_CHECK",
            "FLWR_HOME",
        }


def test_the_environment_is_asked_for_few_names_and_by_clients_alone() -> None:
    found = _found(environment_read, set())
    names = {name for each in found.values() for name in each} - {"variable"}
    assert names <= READS_ENVIRONMENT
    assert all(name.startswith(("coordinator/cli/", "coordinator/client/")) for name in found)


def test_no_door_for_other_origins_is_built_in() -> None:
    for path in SOURCES:
        text = path.read_text("utf-8").lower()
        assert "corsmiddleware" not in text, path
        assert "access-control-allow" not in text, path


def test_nothing_secret_of_signing_in_is_logged_printed_or_answered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    written = io.StringIO()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=written))
    try:
        secrets, answers = _everything_about_signing_in(tmp_path)
    finally:
        structlog.reset_defaults()
    printed = capsys.readouterr()
    told = caplog.text + written.getvalue() + printed.out + printed.err
    for secret in secrets:
        assert len(secret) >= 6
        assert secret not in told
        assert not any(secret in answer for answer in answers), secret


def _everything_about_signing_in(folder: Path) -> tuple[list[str], list[str]]:
    """Right, wrong and broken requests; what was secret in them, and what was answered to the
    wrong and broken ones."""
    world = make_world(folder)
    answers: list[str] = []
    with serve(world.app) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        ida = enrol(world, http, Role.AUDITOR)
        session = ida.sign_in()
        fresh = http.post("/v1/login/refresh", json={"refresh": session["refresh"]}).json()
        canary = "canary phrase 5f0e never said"
        code = invite(world, name="Canary")
        account = {"login": "x y", "password": canary, "totp": "1"}
        broken = [
            ("/v1/login", {"login": ida.login, "password": canary, "code": ida.recovery[1]}),
            ("/v1/login", {"login": ida.login, "password": [canary], "code": 1}),
            ("/v1/login", {"login": ida.login, "passwort": canary}),
            ("/v1/login/refresh", {"refresh": session["refresh"]}),
            ("/v1/accounts", {**account, "code": code, "secret": "A" * 32}),
            ("/v1/accounts", {**account, "code": canary, "secret": canary}),
            ("/v1/accounts/factor", {"reset": canary, "login": "x", "password": canary}),
            ("/v1/oidc/device/poll", {"handle": canary}),
        ]
        for path, body in broken:
            answer = http.post(path, json=body)
            assert answer.status_code >= 400
            answers.append(answer.text)
        torn = http.post("/v1/login", content=f'{{"password": "{canary}'.encode())
        answers.append(torn.text)
        answers.append(http.get("/v1/me", headers=bearer_of(fresh)).text)
    world.store.close()
    secrets = [PASSWORD, canary, code, ida.secret, *ida.recovery]
    secrets += [said[name] for said in (session, fresh) for name in ("access", "refresh")]
    return secrets, answers
