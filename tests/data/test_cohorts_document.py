"""docs/cohorts.md says what the code does: its samples parse, its answers hold."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

import pytest

from coordinator.client import connect
from models.aggregates.requests import Count
from models.cohort.parse import parse_cohort
from models.cohort.text import canonical_text
from models.contribution import CellCounts
from models.dictionary_file import load_dictionary
from models.figures.parse import KINDS, parse_figure
from models.mock import mock_rows
from models.reference import cohort_mask
from models.sentences import sentence
from node.engine import total
from node.importer import import_folder
from node.records import Records
from privacy.errors import BadInput
from tests.support.data_factory import TODAY

PAGE = (Path(__file__).parents[2] / "docs" / "cohorts.md").read_text("utf-8")
(TOML,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
DICTIONARY = load_dictionary(TOML, "dictionary.toml")


def table(heading: str) -> list[list[str]]:
    """The cells of the table that follows a header row, without that row."""
    lines = PAGE[PAGE.index(heading) :].splitlines()[2:]
    rows = takewhile(lambda line: line.startswith("|"), lines)
    return [[cell.strip().strip("`") for cell in row.strip("|").split(" | ")] for row in rows]


WANTED = table("| who | write |")
WINDOWS = table("| window | days from the index |")
VISITS = table("| day | score | state |")
ANSWERS = table("| asked | diagnosed | no diagnosis |")
ONE_TEXT = table("| written | the one text |")
REFUSED = table("| written | answer |")


def test_the_samples_are_there() -> None:
    sizes = [len(each) for each in (WANTED, WINDOWS, VISITS, ANSWERS, ONE_TEXT, REFUSED)]
    assert sizes == [16, 12, 5, 17, 5, 9]
    for kind in KINDS:
        assert f"`{kind}" in PAGE, kind


@pytest.mark.parametrize("row", WANTED, ids=lambda row: row[0])
def test_what_is_to_be_written_finds_some_made_up_members_and_not_all(row: list[str]) -> None:
    rows = mock_rows(DICTIONARY, 2000, seed=4)
    inside = int(cohort_mask(parse_cohort(row[1], DICTIONARY), rows).sum())
    assert 0 < inside < 2000


@pytest.mark.parametrize("row", WINDOWS, ids=lambda row: row[0])
def test_a_window_spans_the_days_that_are_shown(row: list[str]) -> None:
    ref = parse_figure(f"any(visits {row[0].replace(' x', ' diagnosed')})", DICTIONARY)
    (window,) = ref.figure.rows.windows
    match row[1].split():
        case [end, "and", "less"]:
            assert (window.start, window.end) == (None, int(end))
        case [start, "and", "more"]:
            assert (window.start, window.end) == (int(start), None)
        case [start, "to", end]:
            assert (window.start, window.end) == (int(start), int(end))
        case _:
            pytest.fail(row[1])


@pytest.fixture(scope="module", params=[1, 2], ids=["diagnosed", "no diagnosis"])
def member(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Records, int]:
    """The member of the page, and the column in which the answers stand."""
    folder = tmp_path_factory.mktemp("page")
    diagnosed = "2024-03-10" if request.param == 1 else ""
    (folder / "members.csv").write_text(f"member,age,diagnosed\na,50,{diagnosed}\n")
    visits = "".join(f"a,{','.join(row)}\n" for row in VISITS)
    (folder / "visits.csv").write_text("member,day,score,state\n" + visits)
    (folder / "treatments.csv").write_text("member,start,stop,drug,dose\n")
    records = Records.open(":memory:")
    import_folder(records, DICTIONARY, folder)
    return records, request.param


def test_figures_mean_what_is_shown(member: tuple[Records, int]) -> None:
    records, column = member
    for row in ANSWERS:
        found = []
        for asked in (row[0], f"not ({row[0]})"):
            cohort = parse_cohort(asked, DICTIONARY)
            shape = CellCounts((), 1, 1)
            found += total(records, shape, cohort, purpose=None, today=TODAY).tolist()
        answers = {(1, 0): "true", (0, 1): "false", (0, 0): "unknown"}
        assert answers[found[0], found[1]] == row[column], row[0]


@pytest.mark.parametrize("row", ONE_TEXT, ids=lambda row: row[0])
def test_each_figure_has_the_text_and_the_words_that_are_shown(row: list[str]) -> None:
    text = canonical_text(parse_cohort(row[0], DICTIONARY))
    assert text == row[1]
    assert sentence(Count(), text) == f"Counts members, among members with {row[2]}"


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row[0])
def test_each_refusal_reads_as_shown(row: list[str]) -> None:
    with pytest.raises(BadInput) as refused:
        parse_cohort(row[0], DICTIONARY)
    assert str(refused.value) == f"cohort, {row[1]}"


@pytest.mark.parametrize("sample", PYTHON)
def test_the_samples_run(sample: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dictionary.toml").write_text(TOML)
    (tmp_path / "study.toml").write_text('[[study]]\nid = "s"\nepsilon_allowance = 1\n')
    exec(sample, {"study": connect(f"mock:{tmp_path}").study("s")})  # noqa: S102 - our own page
    assert "print" not in sample or "last(visits.score) > 20" in capsys.readouterr().out
