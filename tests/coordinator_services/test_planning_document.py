"""The page on planning: its samples run, and what it promises is what comes out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "planning.md").read_text()
SAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_samples_run(
    url: str, token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAIRN_URL", url)
    monkeypatch.setenv("CAIRN_TOKEN", token)
    monkeypatch.delenv("CAIRN_CA", raising=False)
    names: dict[str, object] = {}
    for sample in SAMPLES:
        exec(sample, names)  # noqa: S102 - our own documentation
    shown = capsys.readouterr().out
    for line in ("cost", "answer", "coarser", "left", "answered"):
        assert f"\n  {line} " in shown, line
        assert f"| `{line}` |" in PAGE
    assert "2 questions share epsilon 2" in shown
    assert len(names["better"].releases) == 2  # type: ignore[attr-defined]
    assert [each.release for each in names["again"].run()] == [  # type: ignore[attr-defined]
        each.release
        for each in names["results"]  # type: ignore[attr-defined]
    ]
