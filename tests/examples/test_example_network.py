"""The worked example: same bytes, imported without a warning, and true to its published figures."""

from __future__ import annotations

import csv
import math
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from coordinator.study_file import load_study_file
from deploy.example import ORGANISATIONS, write_example
from deploy.example.figures import (
    AMITRIPTYLINE_DRY_MOUTH,
    CONDITIONS,
    CONSENT_SHARE,
    LITHIUM_SHARE_IN_ALS,
    MODAFINIL_LICENSED,
)
from deploy.example.workbook import write_workbook
from models.aggregates.catalogue import contribution
from models.aggregates.requests import Count, Histogram, Mean, normalise
from models.cohort.parse import parse_cohort
from models.dictionary_file import load_dictionary
from node.engine import total
from node.importer import import_folder
from node.records import Records
from node.spreadsheet.mapping import propose, unmapped, write_files
from node.spreadsheet.reading import read_sheets
from privacy.contract.dictionary import Dictionary
from privacy.contract.study import ConsentRule

TODAY = date(2026, 11, 21)
FOLDERS = tuple(organisation.folder for organisation in ORGANISATIONS)
WEIGHT = 2**20
FIVE_ERRORS = 5.0


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("example")
    write_example(folder)
    return folder


@pytest.fixture(scope="module")
def dictionary(example: Path) -> Dictionary:
    return load_dictionary((example / "dictionary.toml").read_text("utf-8"), "dictionary.toml")


def rows_of(example: Path, name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for folder in FOLDERS:
        with (example / folder / name).open(encoding="utf-8", newline="") as file:
            found += csv.DictReader(file)
    return found


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes(example: Path, tmp_path: Path) -> None:
    write_example(tmp_path / "again", seed=1)
    assert bytes_of(tmp_path / "again") == bytes_of(example)


def test_the_workbook_becomes_the_files_it_was_made_of(
    example: Path, dictionary: Dictionary, tmp_path: Path
) -> None:
    write_example(tmp_path)
    book = write_workbook(tmp_path)
    sheets = read_sheets(book.name, book.read_bytes())
    by_name = {sheet.name: sheet for sheet in sheets}
    mappings = list(propose(sheets, dictionary))
    words = unmapped(dictionary.tables[0], mappings[0], by_name[mappings[0].sheet])
    assert [(each.column, each.word) for each in words] == [("condition", "Motor neurone disease")]
    said = {**mappings[0].words, "condition": {"Motor neurone disease": "als"}}
    mappings[0] = replace(mappings[0], words=said)
    (tmp_path / "mapped").mkdir()
    write_files(dictionary, by_name, mappings, tmp_path / "mapped")
    for table in dictionary.tables:
        written, made = (
            pd.read_csv(folder / f"{table.name}.csv")
            for folder in (example / "als-forum", tmp_path / "mapped")
        )
        pd.testing.assert_frame_equal(made[written.columns], written)


def test_another_seed_gives_other_members_and_the_same_dictionary(
    example: Path, tmp_path: Path
) -> None:
    write_example(tmp_path, seed=2)
    first, second = bytes_of(example), bytes_of(tmp_path)
    assert first.keys() == second.keys()
    differing = {name for name in first if first[name] != second[name]}
    assert differing == {name for name in first if name.endswith(".csv")}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_organisation_is_imported_without_a_warning(
    example: Path, dictionary: Dictionary, tmp_path: Path, folder: str
) -> None:
    records = Records.open(tmp_path / "records.duckdb")
    studies = load_study_file((example / "study.toml").read_text("utf-8"), "study.toml", TODAY)
    purposes = [study.purpose for study in studies.studies]
    report = import_folder(records, dictionary, example / folder, consent_purposes=purposes)
    records.close()
    assert report.warnings == ()
    assert 1_200 <= report.members <= 2_500
    assert all(count > report.members for count in report.rows.values())


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_organisation_holds_every_condition(example: Path, folder: str) -> None:
    with (example / folder / "members.csv").open(encoding="utf-8", newline="") as file:
        seen = Counter(row["condition"] for row in csv.DictReader(file))
    assert set(seen) == set(CONDITIONS)
    assert min(seen.values()) >= 100


def test_the_studies_questions_name_one_column_each(dictionary: Dictionary) -> None:
    for name in ("condition", "age", "treatment", "severity", "alsfrs_r", "alsfrs_r_loss"):
        assert dictionary.resolve(name).column.name == name


def test_the_study_asks_for_consent_and_is_open_now(example: Path) -> None:
    text = (example / "study.toml").read_text("utf-8")
    als, fatigue = load_study_file(text, "study.toml", TODAY).studies
    assert (als.id, fatigue.id) == ("als-progression", "ms-fatigue")
    for study in (als, fatigue):
        assert study.consent is ConsentRule.REQUIRED
        assert study.starts <= TODAY <= study.ends
    assert als.purpose != fatigue.purpose


@pytest.mark.parametrize(
    "analysis",
    [Count(by=("treatment",)), Histogram(column="severity"), Mean(column="alsfrs_r_loss")],
)
def test_the_first_questions_are_answered_at_every_organisation(
    example: Path, dictionary: Dictionary, tmp_path: Path, analysis: Count | Histogram | Mean
) -> None:
    shape = contribution(normalise(analysis, dictionary), dictionary, WEIGHT)
    cohort = parse_cohort("condition == 'als' and age >= 18", dictionary)
    for folder in FOLDERS:
        records = Records.open(tmp_path / f"{folder}.duckdb")
        import_folder(records, dictionary, example / folder, consent_purposes=["disease-research"])
        found = total(records, shape, cohort, purpose="disease-research", today=TODAY)
        records.close()
        assert len(found) == shape.length
        assert abs(found).max() > 0


def test_a_word_of_its_own_on_fatigue_research_leaves_fewer_members(
    example: Path, dictionary: Dictionary, tmp_path: Path
) -> None:
    records = Records.open(tmp_path / "records.duckdb")
    purposes = ["disease-research", "fatigue-research"]
    import_folder(records, dictionary, example / "ms-network", consent_purposes=purposes)
    shape = contribution(Count(), dictionary, 1)
    everyone = parse_cohort("", dictionary)
    counted = {
        purpose: int(total(records, shape, everyone, purpose=purpose, today=TODAY)[0])
        for purpose in purposes
    }
    records.close()
    assert 0.85 * 2_100 < counted["disease-research"] < 0.95 * 2_100
    assert 0.90 < counted["fatigue-research"] / counted["disease-research"] < 0.98


# the published figures come back out of the files, within five standard errors


def share_is(seen: int, of: int, expected: float) -> bool:
    error = math.sqrt(expected * (1 - expected) / of)
    return abs(seen / of - expected) < FIVE_ERRORS * error


def test_als_scores_fall_by_the_published_mean(example: Path) -> None:
    rows = rows_of(example, "members.csv")
    losses = [float(row["alsfrs_r_loss"]) for row in rows if row["alsfrs_r_loss"] not in _GAPS]
    error = 0.89 / math.sqrt(3.94 * len(losses))
    assert len(losses) > 1_500
    assert abs(sum(losses) / len(losses) - 0.89) < FIVE_ERRORS * error
    assert 0.96 < sum(loss < 1.96 for loss in losses) / len(losses) < 0.985


def test_lithium_is_taken_as_published_and_changes_nothing(example: Path) -> None:
    members = {row["member"]: row for row in rows_of(example, "members.csv")}
    takers = {
        row["member"]
        for row in rows_of(example, "treatments.csv")
        if row["treatment"] == "lithium" and members[row["member"]]["condition"] == "als"
    }
    als = [row for row in members.values() if row["condition"] == "als"]
    assert share_is(len(takers), len(als), LITHIUM_SHARE_IN_ALS)
    losses: dict[bool, list[float]] = {True: [], False: []}
    for row in als:
        if row["alsfrs_r_loss"] not in _GAPS:
            losses[row["member"] in takers].append(float(row["alsfrs_r_loss"]))
    with_it, without = losses[True], losses[False]
    error = 0.45 * math.sqrt(1 / len(with_it) + 1 / len(without))
    difference = sum(with_it) / len(with_it) - sum(without) / len(without)
    assert abs(difference) < FIVE_ERRORS * error


@pytest.mark.parametrize(
    ("treatment", "column", "value", "expected"),
    [
        ("amitriptyline", "side_effect", "dry_mouth", AMITRIPTYLINE_DRY_MOUTH),
        ("modafinil", "purpose", "daytime_sleepiness", MODAFINIL_LICENSED),
    ],
)
def test_reports_on_a_drug_come_in_the_published_shares(
    example: Path, treatment: str, column: str, value: str, expected: float
) -> None:
    rows = [
        row
        for row in rows_of(example, "treatments.csv")
        if row["treatment"] == treatment and row[column] not in _GAPS
    ]
    assert share_is(sum(row[column] == value for row in rows), len(rows), expected)


def test_nine_in_ten_consent(example: Path) -> None:
    rows = rows_of(example, "members.csv")
    given = Counter(row["consent"] for row in rows)
    assert set(given) == {"yes", "no"}
    assert share_is(given["yes"], len(rows), CONSENT_SHARE)


_GAPS = ("", "NA", "?")


def test_some_values_are_missing_in_each_organisations_own_way(example: Path) -> None:
    for organisation in ORGANISATIONS:
        path = example / organisation.folder / "symptoms.csv"
        with path.open(encoding="utf-8", newline="") as file:
            severities = [row["severity"] for row in csv.DictReader(file)]
        gaps = Counter(word for word in severities if word in _GAPS)
        assert set(gaps) == {organisation.missing}
        assert 0.04 < gaps[organisation.missing] / len(severities) < 0.12
