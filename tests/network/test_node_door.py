"""The node's own door: the steward's token, the socket in the folder, and the command line."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import httpx
import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from typer.testing import CliRunner, Result

from node import cli
from node.api import MAX_BODY_BYTES, create_app
from node.home import Home
from node.joining import node_id_of, read_invite
from node.program import _local_server
from node.steward_link import RunningNode, hand
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from tests.support.network import PURPOSE, Network, Node

NODE = "ms-league"
PROBLEM = "application/problem+json"


@pytest.fixture
def node(network: Network) -> Node:
    return network.nodes[NODE]


@pytest.fixture
def client(node: Node) -> TestClient:
    return TestClient(create_app(node.parts, lambda: True), raise_server_exceptions=False)


def _bearer(node: Node) -> dict[str, str]:
    return {"authorization": f"Bearer {node.home.steward_token()}"}


@pytest.fixture
def running(node: Node) -> Iterator[str]:
    """The node's HTTP side as the program starts it; the address of its port."""
    agent = SimpleNamespace(connected=True)
    server, sockets = _local_server(node.parts, agent)  # type: ignore[arg-type]
    address = f"http://127.0.0.1:{sockets[1].getsockname()[1]}"
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets}, daemon=True)
    thread.start()
    _until(lambda: server.started)
    yield address
    server.should_exit = True
    thread.join(10)
    node.home.socket_file.unlink(missing_ok=True)


def _until(true: object, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)


# Who may come in

WRONG = ["", "Bearer ", "Bearer cairn_s_" + "A" * 43, "Basic abc", "Bearer \u00e9", "bearer"]


@pytest.mark.parametrize("said", WRONG)
def test_without_the_stewards_token_every_page_is_closed(
    client: TestClient, node: Node, said: str
) -> None:
    headers = {"authorization": said.encode()} if said else {}
    own = (r for r in client.app.routes if isinstance(r, APIRoute))  # type: ignore[attr-defined]
    routes = [route for route in own if route.path.startswith("/v1")]
    assert len(routes) >= 14
    for route in routes:
        path = route.path.replace("{digest}", "0" * 64)
        answer = client.request(next(iter(route.methods)), path, headers=headers)
        assert answer.status_code == 401, route.path
        assert answer.headers["content-type"] == PROBLEM
        assert answer.json()["code"] == "not_signed_in"
    assert not node.service.ledger.state.paused


def test_health_says_nothing_to_strangers(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/openapi.json").status_code in (200, 404)


def test_with_the_token_the_steward_is_let_in(client: TestClient, node: Node) -> None:
    answer = client.get("/v1/status", headers=_bearer(node))
    assert answer.json()["members"] == 60
    assert answer.json()["state"] == "running"
    assert answer.json()["connected"] is True


def test_a_caller_that_hangs_up_at_once_is_not_taken_for_the_nodes_own_user(node: Node) -> None:
    """A connection that was reset before it was accepted has no peer address any more."""
    agent = SimpleNamespace(connected=True)
    server, sockets = _local_server(node.parts, agent)  # type: ignore[arg-type]
    for _ in range(5):
        with socket.create_connection(sockets[1].getsockname()) as link:
            link.sendall(b"POST /v1/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets}, daemon=True)
    thread.start()
    _until(lambda: server.started)
    address = f"http://127.0.0.1:{sockets[1].getsockname()[1]}"
    assert httpx.get(f"{address}/health").is_success  # all earlier ones have been looked at
    time.sleep(0.2)
    assert not node.service.ledger.state.paused
    server.should_exit = True
    thread.join(10)
    node.home.socket_file.unlink(missing_ok=True)


def test_the_socket_in_the_folder_needs_no_token_and_is_its_owners_alone(
    running: str, node: Node
) -> None:
    assert node.home.socket_file.stat().st_mode & 0o077 == 0
    transport = httpx.HTTPTransport(uds=str(node.home.socket_file))
    with httpx.Client(transport=transport, base_url="http://node") as inside:
        assert inside.get("/v1/status").json()["node"] == NODE
    assert httpx.get(f"{running}/v1/status").status_code == 401
    spoof = {"x-forwarded-for": "", "x-real-ip": "", "forwarded": "for=unix:"}
    assert httpx.get(f"{running}/v1/status", headers=spoof).status_code == 401
    assert httpx.get(f"{running}/v1/status", headers=_bearer(node)).is_success


# What it takes


def test_a_large_or_chunked_body_is_not_read(client: TestClient, node: Node) -> None:
    big = b"x" * (MAX_BODY_BYTES + 1)
    chunked = iter([b"{}"])
    for content in (big, chunked):
        answer = client.post("/v1/import", content=content, headers=_bearer(node))
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"\xff", b'{"folder": 1}', b'{"folder": "x", "more": 1}', b"[" * 9000]
)
def test_malformed_bodies_are_problems(client: TestClient, node: Node, content: bytes) -> None:
    headers = {**_bearer(node), "content-type": "application/json"}
    answer = client.post("/v1/import", content=content, headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["code"] == "bad_request"


def test_every_refusal_is_a_problem_document(client: TestClient, node: Node) -> None:
    client.headers.update(_bearer(node))
    wrong = {"folder": "/nowhere/at/all"}
    answers = {
        422: client.post("/v1/import", json=wrong),
        404: client.post("/v1/studies/" + "0" * 64 + "/decision", json={"decision": "approved"}),
        409: client.post("/v1/period", json={"starts": "2026-03-10T12:00:00Z"}),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        assert answer.headers["content-type"] == PROBLEM
        assert Code(answer.json()["code"])
    assert client.get("/v1/nowhere").status_code == 404
    assert client.delete("/v1/status").status_code == 405
    assert client.get("/v1/ledger?start=-1").status_code == 422
    assert client.post("/v1/studies/..%2f..%2fkeys/decision", json={}).status_code in (404, 422)


def test_an_import_that_fails_changes_nothing(
    client: TestClient, node: Node, network: Network
) -> None:
    client.headers.update(_bearer(node))
    files = node.home.root.parent.parent / "files" / NODE
    text = (files / "members.csv").read_text()
    (files / "members.csv").write_text(text.replace("riluzole", "riluzol", 1))
    answer = client.post("/v1/import", json={"folder": str(files)})
    assert answer.status_code == 422
    assert "members.csv" in answer.json()["detail"]
    assert node.parts.records.members == 60
    assert network.ask({"kind": "count"}).release


# The same from the command line, running or not


def _cli(node: Node, *arguments: str) -> Result:
    verb, *others = arguments
    return CliRunner().invoke(cli.app, [verb, "--dir", str(node.home.root), *others])


def _tour(node: Node, network: Network, files: str) -> None:
    status = _cli(node, "status")
    assert json.loads(status.stdout)["members"] == 60
    assert _cli(node, "pause").stdout == "paused\n"
    assert json.loads(_cli(node, "status").stdout)["state"] == "paused"
    assert _cli(node, "resume").exit_code == 0
    assert json.loads(_cli(node, "import", files).stdout)["members"] == 60
    assert "warnings" in json.loads(_cli(node, "check", files).stdout)
    assert _cli(node, "consent", f"m3-{0}", PURPOSE, "withdrawn").stdout == "recorded\n"
    [study] = json.loads(_cli(node, "studies").stdout)
    assert study["decision"] == "approved"
    assert _cli(node, "decide", study["digest"], "withdrawn").exit_code == 0
    assert _cli(node, "decide", study["digest"], "approved").exit_code == 0
    roster = next(r for r in json.loads(_cli(node, "rosters").stdout) if r["in_force"])
    prints = [n["fingerprint"] for n in roster["nodes"]]
    assert _cli(node, "confirm", roster["digest"], *prints).stdout == "confirmed\n"
    assert json.loads(_cli(node, "ledger", "--limit", "2").stdout)["entries"][0]["seq"] == 0
    assert json.loads(_cli(node, "ledger", "--verify").stdout)["holds"] is True
    assert isinstance(json.loads(_cli(node, "left").stdout), list)
    promise = _cli(node, "promise").stdout
    assert "if you take part, at most" in promise
    assert promise.splitlines()[-1].split()[:2] == ["10", "3"], "ten periods at three places"


def _mistakes(node: Node) -> None:
    missing = _cli(node, "import", "/nowhere/at/all")
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert len(missing.stderr.strip().splitlines()) == 1
    assert _cli(node, "open-period").exit_code == 3
    assert _cli(node, "consent", "nobody", PURPOSE, "given").exit_code == 2
    assert _cli(node, "consent", "m3-1", PURPOSE, "perhaps").exit_code == 2
    assert _cli(node, "new-person", "m3-1").exit_code == 2, "nothing is presumed of anybody here"
    assert _cli(node, "decide", "0" * 64, "approved").exit_code == 3
    assert _cli(node, "confirm", "0" * 64, "aaaa").exit_code == 3


def test_the_command_line_while_the_node_runs(running: str, node: Node, network: Network) -> None:
    files = str(node.home.root.parent.parent / "files" / NODE)
    with hand(node.home) as through:
        assert isinstance(through, RunningNode)
    assert network.ask({"kind": "count"}).release
    _tour(node, network, files)
    _mistakes(node)
    assert node.parts.records.members == 60, "it was this process that did it"


def test_the_command_line_while_the_node_does_not_run(node: Node, network: Network) -> None:
    files = str(node.home.root.parent.parent / "files" / NODE)
    assert network.ask({"kind": "count"}).release
    node.stop()
    _tour(node, network, files)
    _mistakes(node)


def test_two_processes_never_open_one_nodes_records(node: Node) -> None:
    """The node runs, but its socket is gone: the command says so and touches nothing."""
    import subprocess
    import sys

    code = "import sys; from node.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "status", "--dir", str(node.home.root)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert "stop the other process" in done.stderr


def test_a_damaged_ledger_is_exit_code_6_running_or_not(running: str, node: Node) -> None:
    import sqlite3

    db = sqlite3.connect(node.home.ledger_file)
    db.execute("UPDATE entries SET data = replace(data, 'steward', 'stewart') WHERE seq = 1")
    db.commit()
    db.close()
    assert _cli(node, "ledger", "--verify").exit_code == 6
    with hand(node.home) as through, pytest.raises(VerificationFailed):
        through.verify()
    node.stop()
    node.home.socket_file.unlink()
    assert _cli(node, "status").exit_code == 6


def test_a_folder_without_a_node(tmp_path: object) -> None:
    result = CliRunner().invoke(cli.app, ["status", "--dir", str(tmp_path)])
    assert result.exit_code == 2
    assert "cairn-node init" in result.stderr


def test_settings_that_are_wrong_name_the_file(node: Node) -> None:
    node.stop()
    text = node.home.settings_file.read_text()
    for bad in (text + "colour = 1\n", "node = \n", text.replace("network =", "# network =")):
        node.home.settings_file.write_text(bad)
        with pytest.raises(BadInput) as wrong:
            node.home.settings()
        assert wrong.value.where == str(node.home.settings_file)


def test_private_files_are_private(node: Node) -> None:
    root = node.home.root
    private = [root / "keys" / n for n in ("identity.key", "transport.pem", "steward.token")]
    for path in (*private, node.home.ledger_file, node.home.records_file):
        assert path.stat().st_mode & 0o077 == 0, path
    assert root.stat().st_mode & 0o077 == 0


def test_an_invite_that_is_none(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "invite.json"
    for text in ("", "[]", "{}", '{"network": 1}'):
        path.write_text(text)
        with pytest.raises(BadInput) as wrong:
            read_invite(path)
        assert wrong.value.where == str(path)
    assert node_id_of("ALS — Vereinigung Zürich") == "als-vereinigung-z-rich"
    with pytest.raises(BadInput):
        node_id_of("—")


def test_a_node_is_not_made_over_another(node: Node) -> None:
    from node import setup
    from tests.support.seeded import seeded_entropy

    with pytest.raises(BadInput):
        setup.create(node.home, node.home.settings(), "", entropy=seeded_entropy(1))
    home = Home(node.home.root / "fresh")
    settings = node.home.settings()
    setup.create(home, settings, "", entropy=seeded_entropy(2))
    assert home.settings() == settings


def test_a_fingerprint_that_is_not_in_the_roster_is_not_confirmed(
    node: Node, network: Network
) -> None:
    digest = network.store.network.roster.digest
    with pytest.raises(BadInput):
        node.steward.confirm(digest, ["0000-" * 15 + "0000"])
    with pytest.raises(Refused):
        node.steward.confirm("0" * 64, [])
