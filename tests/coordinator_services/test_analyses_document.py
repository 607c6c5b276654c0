"""The page on analyses: its previews say what a preview says, and every analysis stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coordinator.client import connect
from models.aggregates.requests import KINDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "analyses.md").read_text()
(SAMPLE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("line", SAMPLE.splitlines())
def test_a_preview_is_as_printed(line: str) -> None:
    study = connect(f"mock:{ROOT / 'deploy' / 'example'}").study("als-progression")
    names = {"study": study, "als": study.where("condition == 'als' and age >= 18")}
    code, _, promised = line.partition("#")
    question = eval(code, names)  # noqa: S307 - our own documentation
    shown = str(question.preview(epsilon=1, members=2000))
    assert f"{promised.strip()} (95 %)" in shown, shown


def test_every_analysis_is_on_the_page() -> None:
    for kind in KINDS:
        assert f"`{kind}`" in PAGE, kind
