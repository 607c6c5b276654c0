"""What the documentation says is there is there, and its samples run."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coordinator import client
from coordinator.api.problems import CATALOGUE
from coordinator.api.services import ApiSettings
from coordinator.cli.outcome import Exit
from coordinator.cli.researcher import app
from tests.support.fake_executor import World

DOCS = Path(__file__).parents[2] / "docs"
API = (DOCS / "api.md").read_text()
CLIENT = (DOCS / "client.md").read_text()


def test_every_operation_is_documented(world: World) -> None:
    for path, methods in world.app.openapi()["paths"].items():
        for method, operation in methods.items():
            assert f"| `{operation['operationId']}` | `{method.upper()} {path}` |" in API


def test_every_code_is_documented_with_its_status() -> None:
    for code, (status, title) in CATALOGUE.items():
        assert f"| `{code.value}` | {status} | {title} |" in API


def test_every_setting_error_and_exit_code_is_documented() -> None:
    for setting in fields(ApiSettings):
        assert f"`{setting.name}`" in API
    for name in client.__all__:
        if isinstance(kind := getattr(client, name), type) and issubclass(kind, Exception):
            assert f"| `{name}` |" in CLIENT
    for code in Exit:
        assert f"| {int(code)} |" in CLIENT


def test_the_python_samples_run(
    url: str, token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAIRN_URL", url)
    monkeypatch.setenv("CAIRN_TOKEN", token)
    monkeypatch.delenv("CAIRN_CA", raising=False)
    names: dict[str, object] = {}
    samples = re.findall(r"```python\n(.*?)```", CLIENT, re.DOTALL)
    assert len(samples) == 5
    for sample in samples:
        exec(sample, names)  # noqa: S102 - our own documentation
    shown = capsys.readouterr().out
    assert "± 33.7 members" in shown
    assert "MOCK DATA" in shown


def test_the_command_samples_run(url: str, token: str) -> None:
    (sample,) = re.findall(r"```console\n(.*?)```", CLIENT, re.DOTALL)
    env = {"CAIRN_URL": url, "CAIRN_TOKEN": token, "NO_COLOR": "1"}
    for line in sample.splitlines():
        name, *args = shlex.split(line)
        assert name == "cairn"
        done = CliRunner().invoke(app, args, env=env, catch_exceptions=False)
        assert done.exit_code == 0, line
        assert done.stdout, line
