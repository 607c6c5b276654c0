"""Consent from the steward's command line and API: the same answers running or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from node.api import create_app
from node.cli import app
from node.consent_files import COLUMNS
from node.steward_link import RunningNode
from privacy.contract.canonical import sha256_hex
from privacy.errors import BadInput
from tests.support.network import PURPOSE, Network

NODE = "als-union"


@pytest.fixture
def network(make: Callable[..., Network]) -> Network:
    return make()


def member_of(network: Network) -> str:
    return str(network.shape.people(NODE)["member"].iloc[0])


def test_a_stopped_node_takes_every_command(network: Network, tmp_path: Path) -> None:
    node, member = network.nodes[NODE], member_of(network)
    node.stop()
    text = tmp_path / "form.txt"
    text.write_text("Darf der Verein …")
    words = tmp_path / "words.ndjson"

    def run(*command: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, [*command, "--dir", str(node.home.root)])
        assert done.exit_code == code, done.output
        return done.output

    assert sha256_hex(text.read_bytes()) in run("consent-text", PURPOSE, "de", str(text))
    about = ("--terms", "HMB NPU", "--text", str(text), "--language", "de")
    run("consent", member, PURPOSE, "given", *about)
    run("consent", member, PURPOSE, "requested", code=2)
    assert '"words"' in run("consent-export", str(words))
    assert sha256_hex(text.read_bytes()) in words.read_text()
    again = tmp_path / "again.csv"
    again.write_text(f"member,purpose,state\n{member},all,withdrawn\n")
    assert json.loads(run("consent-import", str(again))) == {"words": 1}
    run("consent-proof", "2026-03", "--out", str(tmp_path / "proof.json"), code=2)
    run("member-link", member, code=2)  # no page is set up
    run("lay-result", "0" * 64, str(text), code=2)
    assert "erased" in run("erase", member)
    run("consent", member, PURPOSE, "given", code=2)
    assert member not in json.dumps([str(entry) for entry in _ledger(run("ledger"))])


def _ledger(output: str) -> list[object]:
    return list(json.loads(output)["entries"])


def test_a_running_node_answers_the_same(network: Network, tmp_path: Path) -> None:
    parts, member = network.nodes[NODE].parts, member_of(network)
    settings = replace(parts.settings, member_port=1, member_url="https://m.example.org")
    parts = replace(parts, settings=settings)
    client = TestClient(create_app(parts, lambda: True), base_url="http://node")
    client.headers["Authorization"] = f"Bearer {parts.home.steward_token()}"
    node = RunningNode(client)
    digest = node.adopt_text(PURPOSE, "de", "text")
    about = {"terms": "HMB", "text": digest, "language": "de", "evidence": "folder 1"}
    node.consent(member, PURPOSE, "given", None, None, about)
    node.export_consent(tmp_path / "out.csv")
    [line] = [x for x in (tmp_path / "out.csv").read_text().splitlines() if digest in x]
    (tmp_path / "in.csv").write_text(f"{','.join(COLUMNS)}\n{line}\n")
    assert node.import_consent(tmp_path / "in.csv") == {"words": 0}  # it is recorded already
    (tmp_path / "in.csv").write_text(f"member,purpose,state\n{member},all,withdrawn\n")
    assert node.import_consent(tmp_path / "in.csv") == {"words": 1}
    assert node.member_link(member, 3).startswith("https://m.example.org/open/")
    with pytest.raises(BadInput, match="no root of 2026-03"):
        node.consent_proof("2026-03")
    with pytest.raises(BadInput, match="no such release"):
        node.lay_result("0" * 64, "text")
    node.erase(member, "file 3")
    with pytest.raises(BadInput, match="no member"):
        node.consent(member, PURPOSE, "given", None, None, {})


def test_without_the_stewards_token_nothing_of_it_answers(network: Network) -> None:
    parts = network.nodes[NODE].parts
    client = TestClient(create_app(parts, lambda: True), base_url="http://node")
    paths = ("consent/texts", "consent/import", "consent/export", "consent/proof", "erase")
    for path in (*paths, "member-link", "lay-result"):
        assert client.post(f"/v1/{path}", json={}).status_code == 401
