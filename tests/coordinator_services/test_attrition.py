"""How many made-up members each condition of a cohort leaves; never how many of anybody's."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coordinator.cli.researcher import app
from coordinator.client import BadInput, Refused, connect
from privacy.errors import Code
from tests.support.fake_executor import World

DICTIONARY = """
[tables.members]
key = "id"
rows = "one"
[tables.members.columns]
age = { type = "integer", lower = 18, upper = 90 }
diagnosed = { type = "date" }
[tables.visits]
key = "id"
rows = "many"
max_rows_per_member = 6
time = "day"
[tables.visits.columns]
day = { type = "date" }
score = { type = "integer", lower = 0, upper = 48 }
"""
FIGURES = (
    "any(visits)",
    "count(visits: score > 10) >= 2",
    "any(visits before members.diagnosed)",
    "slope(visits.score since diagnosed) is not missing",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dictionary.toml").write_text(DICTIONARY)
    (tmp_path / "study.toml").write_text('[[study]]\nid = "s"\nepsilon_allowance = 1\n')
    return tmp_path


def test_each_condition_in_turn_leaves_fewer_made_up_members(folder: Path) -> None:
    study = connect(f"mock:{folder}").study("s")
    found = study.where(f"age between 20 and 70 and {' and '.join(FIGURES)}").attrition()
    assert [step.condition for step in found.steps[1:]] == ["age between 20 and 70", *FIGURES]
    counts = [step.members for step in found.steps]
    assert counts[0] == 1000
    assert all(before > after > 0 for before, after in pairwise(counts))
    assert [step.lost for step in found.steps[1:]] == [a - b for a, b in pairwise(counts)]
    assert list(found.table.columns) == ["condition", "members", "lost"]
    assert str(found).startswith("MOCK DATA")


def test_narrowing_goes_on_where_the_cohort_ended(folder: Path) -> None:
    study = connect(f"mock:{folder}").study("s")
    twice = study.where("age > 40").where("any(visits) and age < 80").where("")
    once = study.where("age > 40 and any(visits) and age < 80")
    assert twice == once
    assert twice.attrition() == once.attrition()
    either = study.where("age > 40 or any(visits)").attrition()
    assert [step.condition for step in either.steps] == ["all members", "age > 40 or any(visits)"]
    assert len(study.where("").attrition().steps) == 1
    last = once.attrition().steps[-1].members
    assert once.count().run(epsilon=1e15).answer.rows[0].estimate == pytest.approx(last, abs=1e-3)


def test_a_network_refuses_and_says_what_to_do(url: str, token: str, live_world: World) -> None:
    study = connect(url, token=token).study("als-progression")
    with pytest.raises(Refused, match=r"study\.mock\(\)") as refused:
        study.where("age > 40").attrition()
    assert refused.value.code is Code.NOT_PERMITTED
    assert study.mock(members=50).where("age > 40").attrition().steps[0].members == 50
    assert live_world.executor.executed == []
    with pytest.raises(BadInput, match="no figure"):
        study.where("often(visits)")


def test_the_command_line_prints_it(folder: Path) -> None:
    env = {"CAIRN_URL": f"mock:{folder}", "CAIRN_TOKEN": "", "NO_COLOR": "1"}
    args = ["query", "attrition", "s", "--where", "age > 40 and any(visits)"]
    shown = CliRunner().invoke(app, args, env=env)
    assert shown.exit_code == 0
    assert "any(visits)" in shown.stdout
    assert "MOCK DATA" in shown.stdout
    rows = json.loads(CliRunner().invoke(app, [*args, "--format", "json"], env=env).stdout)
    assert [row["condition"] for row in rows] == ["all members", "age > 40", "any(visits)"]
