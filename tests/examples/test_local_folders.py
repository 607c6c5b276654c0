"""What `python -m deploy.local` says of a folder that cannot become a network."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from deploy import local
from deploy.layout import read_layout
from deploy.prepared import prepare_or_resume
from privacy.errors import BadInput

TODAY = date(2026, 5, 4)
DICTIONARY = """
[tables.people]
key = "id"
rows = "one"
[tables.people.columns.age]
type = "integer"
"""
STUDY = '[[study]]\nid = "s"\nconsent = "none"\nepsilon_allowance = 1\n'


def folder(root: Path, organisations: int, policy: str = "") -> Path:
    (root / "dictionary.toml").write_text(DICTIONARY)
    (root / "study.toml").write_text(f"{STUDY}[policy]\n{policy}\n")
    for number in range(organisations):
        (root / f"org-{number}").mkdir()
        (root / f"org-{number}" / "people.csv").write_text(f"id,age\nm{number},30\n")
    return root


@pytest.mark.parametrize(
    ("organisations", "policy", "parts"),
    [
        (2, "", ["2 folders", "at least three organisations"]),
        (3, "t_drop = 1", ["study.toml, [policy]", "t_drop = 1", "needs 4 organisations"]),
        (3, "t_collude = 2", ["study.toml, [policy]", "needs 4 organisations, here are 3"]),
        (4, "t_drop = 1\nt_collude = 2", ["needs 5 organisations, here are 4"]),
    ],
)
def test_too_few_organisations_are_one_line(
    tmp_path: Path, organisations: int, policy: str, parts: list[str]
) -> None:
    with pytest.raises(BadInput) as caught:
        read_layout(folder(tmp_path, organisations, policy), TODAY)
    line = str(caught.value)
    assert "\n" not in line
    assert all(part in line for part in parts), line


@pytest.mark.parametrize(("organisations", "policy"), [(3, ""), (4, "t_drop = 1")])
def test_enough_organisations_are_a_network(
    tmp_path: Path, organisations: int, policy: str
) -> None:
    assert len(read_layout(folder(tmp_path, organisations, policy), TODAY).organisations) == (
        organisations
    )


@pytest.mark.parametrize(
    ("file", "content", "start"),
    [
        ("visits.csv", "id,age\n", "deploy.local: org-1: table people has no file people.csv"),
        ("people.csv", "id,age\nm,3o\n", "deploy.local: org-1/people.csv, column age, row 1: '3o'"),
    ],
)
def test_a_mistake_names_organisation_file_and_rule_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, content: str, start: str
) -> None:
    root = folder(tmp_path, 3)
    (root / "org-1" / "people.csv").unlink()
    (root / "org-1" / file).write_text(content)
    before = sorted(root.rglob("*"))
    assert local.main([str(root), "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1].startswith(start)
    assert sorted(root.rglob("*")) == before


def test_a_state_folder_holds_nothing_of_a_network_that_could_not_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, state = folder(tmp_path, 3), tmp_path.parent / f"{tmp_path.name}-state"
    (root / "org-2" / "people.csv").write_text("id,age\nm,3o\n")
    for _ in range(2):  # the same command, the same answer
        assert local.main([str(root), "--json", "--state", str(state)]) == 2
        assert "'3o'" in capsys.readouterr().err
        assert list(state.iterdir()) == []
    (state / "nodes").mkdir()
    assert local.main([str(root), "--json", "--state", str(state)]) == 2
    assert "was not finished" in capsys.readouterr().err


def test_a_network_is_taken_up_only_with_what_it_was_founded_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    folder(data, 3)
    state = tmp_path / "state"
    state.mkdir()
    founded = prepare_or_resume(read_layout(data, TODAY), state)
    assert prepare_or_resume(read_layout(data, TODAY), state).tokens == founded.tokens
    folder_with_other_study = read_layout(_with_allowance(data, 2), TODAY)
    with pytest.raises(BadInput, match="founded with another"):
        prepare_or_resume(folder_with_other_study, state)


def _with_allowance(data: Path, epsilon: int) -> Path:
    study = data / "study.toml"
    study.write_text(study.read_text().replace("allowance = 1", f"allowance = {epsilon}"))
    return data
