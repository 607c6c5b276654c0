"""A new program on an old folder: a backup first, every store brought up, a newer one refused."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner, Result

from node import backup
from node.cli import app
from node.stores import CURRENT, STEPS, Step, store_versions
from node.upgrade import upgrade
from privacy import sealed_file
from privacy.errors import BadInput
from tests.support.network import Network, Node
from tests.support.seeded import seeded_entropy

NODE = "ms-league"
SECRET = "correct horse battery"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The derivation of the key at a thousandth of its cost."""
    monkeypatch.setattr(sealed_file, "_MEMORY_KIB", 64)
    monkeypatch.setattr(sealed_file, "_PASSES", 1)


@pytest.fixture
def stopped(network: Network) -> Node:
    node = network.nodes[NODE]
    node.stop()
    return node


def _older_records(path: Path) -> None:
    """A made-up layout before this one: the erased were called forgotten."""
    with duckdb.connect(str(path)) as db:
        db.execute("ALTER TABLE erased RENAME TO forgotten")
        db.execute("UPDATE meta SET value = '1' WHERE key = 'layout'")


def _newer_records(path: Path) -> None:
    with duckdb.connect(str(path)) as db:
        db.execute("ALTER TABLE forgotten RENAME TO erased")
        db.execute("UPDATE meta SET value = '2' WHERE key = 'layout'")


def _failing(_path: Path) -> None:
    raise BadInput("the disk is full")


def _set_version(path: Path, version: int) -> None:
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {version}")


def _bring_up(node: Node, to: Path, records: Step = _newer_records) -> list[tuple[str, int]]:
    steps = {**STEPS, ("records", 1): records}
    entropy = seeded_entropy("upgrade")
    done = upgrade(node.home, to, SECRET, entropy=entropy, now=node.clock(), steps=steps)
    return [(each.store, each.found) for each in done]


def test_from_made_up_older_stores(stopped: Node, tmp_path: Path) -> None:
    home = stopped.home
    _older_records(home.records_file)
    _set_version(home.desk_file, 0)
    with pytest.raises(BadInput, match="cairn-node upgrade"):
        stopped.start()
    assert _bring_up(stopped, tmp_path / "b1") == [("desk", 0), ("records", 1)]
    assert {each.store: each.found for each in store_versions(home)} == CURRENT
    stopped.start()
    assert stopped.parts.records.members == 60
    unpacked = tmp_path / "out"
    unpacked.mkdir()
    assert backup.unpack_backup(tmp_path / "b1", SECRET, unpacked).stores["records"] == 1
    stopped.stop()
    assert _bring_up(stopped, tmp_path / "b2") == []
    assert not (tmp_path / "b2").exists()


def test_a_step_that_fails_leaves_the_store_as_it_was(stopped: Node, tmp_path: Path) -> None:
    _older_records(stopped.home.records_file)
    with pytest.raises(BadInput, match="disk is full"):
        _bring_up(stopped, tmp_path / "b1", _failing)
    assert _bring_up(stopped, tmp_path / "b2") == [("records", 1)]


@pytest.mark.parametrize(("store", "version"), [("ledger", 99), ("desk", 99), ("ledger", 1)])
def test_newer_stores_and_unknown_ways_are_refused(
    stopped: Node, tmp_path: Path, store: str, version: int
) -> None:
    file = stopped.home.root / f"{store}.sqlite"
    _set_version(file, version)
    before = file.read_bytes()
    says = "install the newer program" if version == 99 else "there is no way from version 1"
    with pytest.raises(BadInput, match=says):
        _bring_up(stopped, tmp_path / "b1")
    assert file.read_bytes() == before


def run(node: Node, *args: str) -> Result:
    return CliRunner().invoke(app, [*args, "--dir", str(node.home.root)], catch_exceptions=False)


def test_the_commands(stopped: Node, tmp_path: Path) -> None:
    secret, file = tmp_path / "secret.txt", tmp_path / "b1"
    made = CliRunner().invoke(app, ["new-passphrase", str(secret)])
    assert made.exit_code == 0
    assert secret.stat().st_mode & 0o077 == 0
    with_secret = ("--passphrase-file", str(secret))
    done = run(stopped, "backup", str(file), *with_secret, "--by", "Ina")
    assert done.exit_code == 0, done.stderr
    assert [each["backup"] for each in json.loads(run(stopped, "backups").stdout)] == [
        json.loads(done.stdout)["backup"]
    ]
    upgraded = run(stopped, "upgrade", "--backup", str(tmp_path / "b2"), *with_secret)
    assert (json.loads(upgraded.stdout), upgraded.exit_code) == ([], 0)
    again = run(stopped, "restore", str(file), *with_secret)
    assert again.exit_code == 0, again.stderr
    assert "Import the records again" in again.stderr
    assert json.loads(run(stopped, "status").stdout)["state"].startswith("restored")
    assert run(stopped, "restore").stdout == "finished\n"
    assert run(stopped, "pause").exit_code == 3
    assert run(stopped, "backup", str(tmp_path / "b3"), *with_secret).exit_code == 3
