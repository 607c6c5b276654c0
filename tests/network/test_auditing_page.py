"""docs/auditing.md does what it says: every command on it is run, over a network of three."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coordinator.client.network import Network as Client
from tests.support.auditor import AUDITOR, cairn, let_in
from tests.support.network import Network
from tests.support.served import asked_over_http

PAGE = Path(__file__).resolve().parents[2] / "docs" / "auditing.md"


@pytest.fixture
def served(make: Callable[..., Network], monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    network = make(count=60)
    let_in(network)
    with asked_over_http(network, monkeypatch) as client:
        yield client


def samples() -> list[tuple[str, list[str]]]:
    """(command, the lines shown after it), in the order of the page."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", PAGE.read_text("utf-8"), re.S | re.M):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def shown(line: str, output: str) -> bool:
    """Whether some line of the output has the parts of `line` between its dots, in order."""
    pattern = ".*".join(re.escape(part.strip()) for part in line.split("…"))
    return any(re.search(pattern, each) for each in output.splitlines())


def run(served: Client, command: str) -> str:
    words = shlex.split(command)
    if words[0] == "cairn":
        done = cairn(served, *words[1:])
        assert done.exit_code == (6 if "edited" in words else 0), done.stderr
        return done.stdout + done.stderr
    subprocess.run(words, check=True)
    return ""


def test_every_command_of_the_page_shows_what_it_says(
    served: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = served.study("als-progression")
    study.count(by="treatment").run(epsilon=0.3)
    study.mean("age").run(epsilon=1)
    monkeypatch.chdir(tmp_path)
    steps = samples()
    assert len(steps) > 10
    for command, lines in steps:
        output = run(served, command)
        for line in lines:
            assert shown(line, output), f"{command}: {line!r} is not in\n{output}"
    code = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.S | re.M)
    for sample in code:
        given = {"url": served.transport.url, "token": AUDITOR.text}
        exec(compile(sample, str(PAGE), "exec"), given)  # noqa: S102 - the page's own sample


def test_a_line_that_is_not_shown_is_found() -> None:
    assert shown("a … c", "x a b c d")
    assert not shown("a … c", "c b a")
