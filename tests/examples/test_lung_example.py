"""The lung cancer example: 227 people, 18 institutions, three organisations by the stated rule."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest

from coordinator.study_file import load_study_file
from deploy.lung import ORGANISATIONS, deal, write_lung_example
from models.dictionary_file import load_dictionary
from node.importer import import_folder
from node.records import Records
from privacy.contract.study import ConsentRule


@pytest.fixture(scope="module")
def lung(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("lifelines", reason="the extra demo carries the data")
    folder = tmp_path_factory.mktemp("lung")
    write_lung_example(folder)
    return folder


def test_everybody_with_an_institution_is_in_one_organisation(lung: Path) -> None:
    members: list[str] = []
    for name in ORGANISATIONS:
        with (lung / name / "members.csv").open(encoding="utf-8", newline="") as file:
            members += [row["member"] for row in csv.DictReader(file)]
    assert len(members) == len(set(members)) == 227


def test_institutions_are_dealt_by_size_then_code() -> None:
    sizes = {1: 5, 2: 9, 3: 5, 4: 1, 5: 7}
    a, b, c = ORGANISATIONS
    assert deal(sizes) == {2: a, 5: b, 1: c, 3: a, 4: b}


def test_it_is_imported_without_a_warning(lung: Path, tmp_path: Path) -> None:
    dictionary = load_dictionary((lung / "dictionary.toml").read_text("utf-8"), "dictionary.toml")
    sizes = []
    for name in ORGANISATIONS:
        records = Records.open(tmp_path / f"{name}.duckdb")
        report = import_folder(records, dictionary, lung / name)
        records.close()
        assert report.warnings == ()  # no value lies outside the declared bounds
        sizes.append(report.members)
    assert sizes == [90, 73, 64]


def test_the_study_asks_for_no_consent(lung: Path) -> None:
    text = (lung / "study.toml").read_text("utf-8")
    (study,) = load_study_file(text, "study.toml", date(2026, 11, 21)).studies
    assert study.consent is ConsentRule.NONE
