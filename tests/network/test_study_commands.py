"""`cairn-node`'s commands for policy, studies and members, on a node that is not running."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from node.cli import app
from tests.support.network import Network

TARGET = "als-union"


@pytest.fixture
def folder(network: Network) -> Path:
    for node in network.nodes.values():
        node.stop()
    return network.nodes[TARGET].home.root


def run(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(app, [*args, "--dir", str(folder)], catch_exceptions=False)


def said(folder: Path, *args: str) -> Any:
    done = run(folder, *args)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_a_policy_is_shown_tried_and_set(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('preset = "balanced"\nmin_cohort = 0\nnames_columns = false\n')
    presets = said(folder, "policy", "presets")
    assert list(presets) == ["careful", "balanced", "open"]
    tried = said(folder, "policy", "try", str(file))
    assert tried["requests"] == []
    assert dict(tried["changes"])["one question"] == "no limit of its own -> epsilon 0.5"
    changed = said(folder, "policy", "set", str(file), "--reason", "The board", "--by", "Ina")
    assert changed == tried["changes"]
    shown = said(folder, "policy", "show")
    assert (shown["preset"], shown["by"], shown["reason"]) == ("own", "Ina", "The board")
    file.write_text("presets = 1")
    wrong = run(folder, "policy", "set", str(file))
    assert wrong.exit_code == 2
    assert "did you mean 'preset'?" in wrong.stderr


def test_a_steward_decides_and_members_speak(folder: Path) -> None:
    (study,) = said(folder, "studies")
    digest = study["digest"]
    assert dict(study["words"])["study"].startswith("What people with ALS take")
    assert said(folder, "review", digest, "--reviewer", "Ruth")["statement"]
    assert run(folder, "members", "show", digest).stdout == "shown\n"
    assert run(folder, "members", "say", digest, "question", "--words", "Why?").stdout == "kept\n"
    assert said(folder, "members", "voices", digest)["said"][0]["words"] == "Why?"
    assert said(folder, "members", "studies")[0]["decision"] == "approved"
    withdrawn = run(folder, "decide", digest, "withdrawn", "--reason", "No.", "--by", "Ina")
    assert withdrawn.stdout == "withdrawn\n"
    assert said(folder, "requests") == []
    assert run(folder, "answer-question", "0" * 64, "allowed").exit_code == 3
