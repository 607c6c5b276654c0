"""An auditor's commands over answers with transcripts, and what edits of a bundle they name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coordinator.client.network import Network as Client
from tests.support.auditor import cairn, let_in
from tests.support.network import Network
from tests.support.served import asked_over_http


@pytest.fixture
def researcher(make: Callable[..., Network], monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    network = make(count=60)
    let_in(network)
    with asked_over_http(network, monkeypatch) as client:
        yield client


def test_an_audit_is_pulled_and_verified_and_every_edit_is_named(
    researcher: Client, tmp_path: Path
) -> None:
    study = researcher.study("als-progression")
    study.count(by="treatment").run(epsilon=0.3)
    study.mean("age").run(epsilon=1)
    bundle = tmp_path / "bundle"
    assert cairn(researcher, "audit", "pull", "--out", str(bundle)).exit_code == 0
    good = cairn(researcher, "audit", "verify", str(bundle))
    assert good.exit_code == 0, good.stderr
    assert "2 releases" in good.stdout
    shown = cairn(researcher, "audit", "verify", str(bundle), "--format", "json")
    nodes = [node["node"] for node in json.loads(shown.stdout)["nodes"]]
    assert len(nodes) == 3
    entries = Path("nodes") / nodes[0] / "entries.jsonl"
    lines = (bundle / entries).read_bytes().splitlines(keepends=True)
    charged = next(at for at, line in enumerate(lines) if b'"kind":"commit"' in line)
    edits = {
        "edited": [
            *lines[:charged],
            lines[charged].replace(b'"rho":"', b'"rho":"1'),
            *lines[charged + 1 :],
        ],
        "reordered": [*lines[:5], lines[6], lines[5], *lines[7:]],
        "deleted": [*lines[:4], *lines[5:]],
        "truncated": lines[:-1],
    }
    for name, changed in edits.items():
        assert changed != lines, name
        copy = tmp_path / name
        shutil.copytree(bundle, copy)
        (copy / entries).write_bytes(b"".join(changed))
        bad = cairn(researcher, "audit", "verify", str(copy))
        assert bad.exit_code == 6, name
        assert entries.as_posix() in bad.stderr
        assert "entry" in bad.stderr
    (bundle / "manifest.json").unlink()
    assert cairn(researcher, "audit", "verify", str(bundle)).exit_code == 6
