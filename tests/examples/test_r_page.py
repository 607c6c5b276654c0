"""The page on R: every address and field that it uses is the API's, and where R is, it runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coordinator.client import connect
from coordinator.client.network import Network
from privacy.contract.plan import Question
from privacy.contract.token import Role
from tests.support.fake_executor import World, make_world, serve

PAGE = Path(__file__).parents[2] / "docs" / "r.md"
SCRIPT = "\n".join(re.findall(r"^```r\n(.*?)^```", PAGE.read_text("utf-8"), re.S | re.M))
STUDY = "als-progression"
PACKAGES = 'q(status = !all(sapply(c("httr2", "openssl", "jsonlite"), requireNamespace)))'


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path, clock=lambda: datetime.now(UTC))
    yield made
    made.store.close()


def _fields(name: str) -> set[tuple[str, ...]]:
    """What the script reads of a variable: `run$answer$release` and the like."""
    found = re.findall(rf"\b{name}((?:\$\w+)+)", SCRIPT)
    return {tuple(each[1:].split("$")) for each in found}


def _reach(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        assert name in value, path
        value = value[name]
    return value


def test_every_address_and_field_is_the_apis(world: World) -> None:
    token = world.tokens[Role.RESEARCHER]
    with serve(world.app) as url:
        net = connect(url, token.text)
        assert isinstance(net, Network)
        ask = {"study": STUDY, "analysis": {"kind": "count", "by": ["treatment"]}}
        preview = net.transport.post("/v1/previews", {**ask, "cohort": "", "epsilon": "0.3"})
        result = net.study(STUDY).count(by="treatment").run(epsilon=0.3)
        answers = {
            "study": net.transport.get(f"/v1/studies/{STUDY}"),
            "preview": preview,
            "run": net.transport.get(f"/v1/runs/{result.run}"),
        }
        row = answers["run"]["answer"]["result"]["rows"][0]
    for name, answer in answers.items():
        assert _fields(name)
        for path in _fields(name):
            _reach(answer, path)
    for path in _fields("row"):
        _reach(row, path)
    paths = set(world.app.openapi()["paths"])
    for asked in re.findall(r'cairn\((?:paste0\()?"(v1/[^"]*)"', SCRIPT):
        known = {f"/{asked}", f"/{asked}{{run}}", f"/{asked.replace(STUDY, '{study}')}"}
        assert known & paths, asked


def test_the_question_has_the_fields_that_are_signed() -> None:
    (written,) = re.findall(r"^question <- list\((.*?)^\)", SCRIPT, re.S | re.M)
    named = set(re.findall(r"^  (\w+) =", written, re.M))
    assert named <= set(Question.model_fields)
    needed = {name for name, each in Question.model_fields.items() if each.is_required()}
    assert needed <= named


def _has_r() -> bool:
    program = shutil.which("Rscript")
    if program is None:
        return False
    return (
        subprocess.run([program, "-e", PACKAGES], capture_output=True, check=False).returncode == 0
    )


def test_where_r_is_the_page_runs(world: World, tmp_path: Path) -> None:
    """Elsewhere the two tests above have to do."""
    if not _has_r():
        return
    file = tmp_path / "page.R"
    file.write_text(SCRIPT, "utf-8")
    token = world.tokens[Role.RESEARCHER]
    with serve(world.app) as url:
        done = subprocess.run(
            ["Rscript", str(file)],
            env={**os.environ, "CAIRN_URL": url, "CAIRN_TOKEN": token.text},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        net = connect(url, token.text)
        assert isinstance(net, Network)
        assert done.returncode == 0, done.stderr
        (release,) = net.releases(kind="count")
        assert release.digest in done.stdout
        result = net.release(STUDY, release.digest)
        assert result.asked.cohort == "members.condition == 'als'"
        for level in ("none", "riluzole", "other"):
            assert level in done.stdout
