"""docs/formats.md says what the code does: its dictionary loads, its examples hold."""

from __future__ import annotations

import re
from datetime import date
from itertools import takewhile
from pathlib import Path

import pytest

from coordinator.study_file import load_study_file
from models.cohort.expression import Everyone
from models.cohort.parse import parse_cohort
from models.cohort.text import canonical_text
from models.contribution import CellCounts
from models.dictionary_file import load_dictionary
from node.engine import total
from node.importer import import_folder
from node.records import Records
from privacy.contract.dictionary import ColumnType
from privacy.errors import BadInput

TEXT = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", TEXT, re.S)
DICTIONARY = load_dictionary(BLOCKS[0], "dictionary.toml")


def table(heading: str) -> list[list[str]]:
    """The cells of the table that follows a header row, without that row."""
    lines = TEXT[TEXT.index(heading) :].splitlines()[2:]
    rows = takewhile(lambda line: line.startswith("|"), lines)
    return [[cell.strip().strip("`") for cell in row.strip("|").split(" | ")] for row in rows]


ONE_TEXT = table("| written | the one text |")
REFUSED = table("| written | answer |")
ANY_ROW = table("| scores of the member |")


def test_the_examples_are_there() -> None:
    assert (len(ONE_TEXT), len(REFUSED), len(ANY_ROW)) == (11, 9, 4)
    assert len(DICTIONARY.refs) == 8
    assert load_study_file(BLOCKS[1], "study.toml", date(2026, 1, 1)).studies[0].version == 1


@pytest.mark.parametrize("row", ONE_TEXT, ids=lambda row: row[0])
def test_each_cohort_has_the_text_that_is_shown(row: list[str]) -> None:
    assert canonical_text(parse_cohort(row[0], DICTIONARY)) == row[1]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row[0])
def test_each_refusal_reads_as_shown(row: list[str]) -> None:
    with pytest.raises(BadInput) as refused:
        parse_cohort(row[0], DICTIONARY)
    assert str(refused.value) == f"cohort, {row[1]}"


@pytest.mark.parametrize("row", ANY_ROW, ids=lambda row: row[0])
def test_conditions_on_many_rows_mean_what_is_shown(row: list[str], tmp_path: Path) -> None:
    scores = [] if row[0] == "no rows" else row[0].replace("missing", "").split(",")
    members = "member_id,condition,age,smoker,ph.ecog,onset,email\na,als,30,yes,1,,\n"
    (tmp_path / "members.csv").write_text(members)
    visits = "".join(f"a,2024-01-01,{score.strip()}\n" for score in scores)
    (tmp_path / "visits.csv").write_text("member_id,day,score\n" + visits)
    records = Records.open(":memory:")
    import_folder(records, DICTIONARY, tmp_path)
    conditions = re.findall(r"`([^`]+)`", TEXT[TEXT.index("| scores of the member") :])[:5]
    for condition, answer in zip(conditions, row[1:], strict=True):
        cohort = parse_cohort(condition, DICTIONARY)
        found = total(
            records, CellCounts((), 1, 1), cohort, purpose=None, today=date(2026, 1, 1)
        ).tolist()
        assert found == [1 if answer == "true" else 0], condition
    everyone = total(
        records, CellCounts((), 1, 1), Everyone(), purpose=None, today=date(2026, 1, 1)
    )
    assert everyone.tolist() == [1]


def test_every_key_and_type_is_documented() -> None:
    for kind in ColumnType:
        assert f"| `{kind.value}` |" in TEXT
    for key in ("key", "rows", "max_rows_per_member", "time", "levels", "missing", "identifier"):
        assert f"`{key}`" in TEXT
