"""A coordinator's store is checked: whole after a copy, and what was changed in it is named."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coordinator.cli.operator import app
from coordinator.fleet_tls import create_authority, issue_server_certificate
from coordinator.home import Home, Settings
from tests.support.ledger_factory import signing_key
from tests.support.network import Network


@pytest.fixture
def home(network: Network, tmp_path: Path) -> Home:
    """A coordinator's folder around a copy of a used network's store."""
    assert network.ask({"kind": "count"}).release
    network.settle()
    made = Home(tmp_path / "coordinator")
    (made.root / "tls").mkdir(parents=True)
    create_authority(made.tls, "test", datetime.now(UTC))
    issue_server_certificate(made.tls, ["127.0.0.1"], datetime.now(UTC))
    made.write_settings(Settings(network="test"))
    made.write_identity(network.key)
    with (
        sqlite3.connect(tmp_path / "network-0" / "store.sqlite") as store,
        sqlite3.connect(made.root / "store.sqlite") as copy,
    ):
        store.backup(copy)
    return made


def check(home: Home) -> Result:
    return CliRunner().invoke(app, ["check", "--dir", str(home.root)], catch_exceptions=False)


def test_a_copy_is_whole(home: Home) -> None:
    done = check(home)
    assert done.exit_code == 0, done.stdout
    found = {each["what"]: each["size"] for each in json.loads(done.stdout)}
    assert found["the ledger of als-union"] > 5
    assert found["the coordinator's log"] > 2


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ("UPDATE ledger_entries SET data = data || ' ' WHERE seq = 3", "the ledger of als-union"),
        ("DELETE FROM ledger_entries WHERE seq = 5", "the ledger of ms-league"),
        ("DELETE FROM log WHERE kind = 'release'", "the coordinator's log"),
        ("DELETE FROM log WHERE seq = 1", "the coordinator's log"),
    ],
)
def test_what_was_changed_is_named(home: Home, change: str, part: str) -> None:
    with sqlite3.connect(home.root / "store.sqlite") as db:
        db.execute(change)
    done = check(home)
    assert done.exit_code == 6
    assert part in {each["what"] for each in json.loads(done.stdout) if each["fault"]}


def test_another_key_is_named(home: Home) -> None:
    home.identity_file.unlink()
    home.write_identity(signing_key("another"))
    assert check(home).exit_code == 6


@pytest.mark.parametrize("content", [None, "no key", ""])
def test_a_key_that_is_missing_is_said_in_words(home: Home, content: str | None) -> None:
    home.identity_file.unlink()
    if content is not None:
        home.identity_file.write_text(content)
    done = check(home)
    assert done.exit_code == 6
    assert "Traceback" not in done.stderr
    (own,) = [each["fault"] for each in json.loads(done.stdout) if each["fault"]]
    assert str(home.identity_file) in own
    assert "rotate-key --lost" in own
    line = ["admit", "--dir", str(home.root)]
    other = CliRunner().invoke(app, line, catch_exceptions=False)
    assert (other.exit_code, len(other.stderr.splitlines())) == (2, 1)


@pytest.mark.parametrize("days", [370, 500])
def test_a_certificate_that_ends_is_named_and_replaced(home: Home, days: int) -> None:
    issue_server_certificate(home.tls, ["127.0.0.1"], datetime.now(UTC) - timedelta(days=days))
    (fault,) = [each["fault"] for each in json.loads(check(home).stdout) if each["fault"]]
    assert "rotate-tls" in fault
    line = ["rotate-tls", "--dir", str(home.root)]
    done = CliRunner().invoke(app, line, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    assert check(home).exit_code == 0
