"""Settings that a service cannot take are named, with their file, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.home import Home as CoordinatorHome
from coordinator.home import Settings as CoordinatorSettings
from node.home import Home, Settings
from privacy.errors import BadInput
from service.listeners import listen_at_path, listen_on_port, socket_path

PLAIN = Settings("n", 'N "quoted" \\ x', "net", "http://127.0.0.1:1", "", "127.0.0.1:2")


def node(tmp_path: Path, **changed: str) -> Home:
    """A node's folder with some lines of its settings written otherwise; "" leaves one out."""
    home = Home(tmp_path)
    home.write_settings(PLAIN)
    kept = [
        line
        for line in home.settings_file.read_text("utf-8").splitlines()
        if line.partition(" = ")[0] not in changed
    ]
    lines = [f"{name} = {value}" for name, value in changed.items() if value]
    home.settings_file.write_text("\n".join(lines + kept) + "\n", "utf-8")
    return home


def test_settings_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert node(tmp_path).settings() == PLAIN


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("port", '"8400"', "port: input should be a valid integer"),
        ("port", "8400.5", "port: input should be a valid integer"),
        ("port", "70000", "port: input should be less than or equal to 65535"),
        ("member_port", "-1", "member_port: input should be greater than or equal to 0"),
        ("engine", "true", "engine: input should be a valid string"),
        ("name", "", "name is missing"),
        ("prot", "1", "unknown setting 'prot'"),
        ("memory_megabytes", "1 536", "Expected newline"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(
    tmp_path: Path, name: str, value: str, said: str
) -> None:
    home = node(tmp_path, **{name: value})
    with pytest.raises(BadInput) as wrong:
        home.settings()
    assert said in wrong.value.what
    assert wrong.value.where == str(home.settings_file)


def test_what_is_no_text_is_said_to_be_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.settings_file.write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="not UTF-8 text"):
        home.settings()


def test_where_nobody_lives_the_command_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no node lives here") as wrong:
        Home(tmp_path).settings()
    assert "cairn-node init" in wrong.value.instead
    with pytest.raises(BadInput, match="no coordinator lives here") as wrong:
        CoordinatorHome(tmp_path).settings()
    assert "cairn-coordinator init" in wrong.value.instead


def test_a_table_of_limits_comes_back_as_one(tmp_path: Path) -> None:
    home = CoordinatorHome(tmp_path)
    settings = CoordinatorSettings(network="net", limits={"max_runs": 3})
    home.write_settings(settings)
    assert home.settings() == settings
    home.settings_file.write_text('network = "net"\nlimits = 3\n', "utf-8")
    with pytest.raises(BadInput, match="limits: input should be a valid dictionary"):
        home.settings()


def test_a_long_path_has_a_short_socket_of_its_owner_alone(tmp_path: Path) -> None:
    short = socket_path(tmp_path / "a.sock")
    assert short == (tmp_path / "a.sock").resolve() or len(bytes(short)) <= 100
    long = socket_path(tmp_path / ("x" * 120) / "a.sock")
    assert len(bytes(long)) <= 100
    assert long.parent.stat().st_mode & 0o077 == 0
    with listen_at_path(long):
        assert long.stat().st_mode & 0o077 == 0
    long.unlink()


def test_a_port_in_use_is_told_with_what_to_do() -> None:
    first = listen_on_port("127.0.0.1", 0, "")
    with first, pytest.raises(BadInput, match="cannot listen there") as wrong:
        listen_on_port("127.0.0.1", first.getsockname()[1], "set another port")
    assert wrong.value.instead == "set another port"
