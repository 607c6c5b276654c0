"""The worked example of the page on survival: real patients, one seeded release at epsilon 3."""

from __future__ import annotations

import csv
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from deploy.lung import ORGANISATIONS, write_lung_example
from models.aggregates.requests import Survival
from models.dictionary_file import load_dictionary
from models.mock import mock_run
from models.result import Estimate
from models.rows import Rows, from_tables
from tests.support.seeded import seeded_entropy

PAGE = Path(__file__).parents[2] / "docs" / "catalogue" / "survival.md"
EDGES = ("0", "91", "183", "365", "730")
ASKED = Survival(time="survival_days", event="status", happened="died", by=("sex",), edges=EDGES)
CELLS = (
    ("survival", "female", "183"),
    ("survival", "male", "183"),
    ("median survival (days)", "female", ""),
    ("median survival (days)", "male", ""),
    ("hazard ratio", "male", ""),
)
LINE = re.compile(r"^\| [a-z][^|]* \| ([\d.]+)[a-z ]* \| ([\d.]+) to ([\d.]+) \| ([\d.]+)", re.M)


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rows, list[dict[str, str]]]:
    folder = tmp_path_factory.mktemp("lung")
    write_lung_example(folder)
    people: list[dict[str, str]] = []
    for name in ORGANISATIONS:
        with (folder / name / "members.csv").open(encoding="utf-8", newline="") as file:
            people += list(csv.DictReader(file))
    dictionary = load_dictionary((folder / "dictionary.toml").read_text("utf-8"), "dictionary.toml")
    data: dict[str, list[Any]] = {
        name: [person[name] or None for person in people] for name in people[0]
    }
    return from_tables(dictionary, {"members": data}), people


def answer(rows: Rows, epsilon: str) -> dict[tuple[str, ...], Estimate]:
    result = mock_run(
        ASKED,
        "",
        rows.dictionary,
        epsilon=epsilon,
        delta=Fraction(1, 10**6),
        nodes=3,
        margin=1,
        entropy=seeded_entropy("lung survival"),
        rows=rows,
    )
    return {row.cell: row for row in result.rows}


def test_the_page_shows_what_the_release_said(
    patients: tuple[Rows, list[dict[str, str]]],
) -> None:
    """And every interval holds what all records in one place give."""
    rows, people = patients
    from lifelines import KaplanMeierFitter

    found = answer(rows, "3")
    shown = [tuple(map(float, line)) for line in LINE.findall(PAGE.read_text("utf-8"))]
    assert len(shown) == len(CELLS)
    for cell, line in zip(CELLS, shown, strict=True):
        row = found[cell]
        assert line[:3] == pytest.approx((row.estimate, row.low, row.high), rel=0.03, abs=0.006)
        assert row.low < line[3] < row.high
    for sex, at in (("female", 0), ("male", 1)):
        group = [person for person in people if person["sex"] == sex]
        fitted = KaplanMeierFitter().fit(
            [float(person["survival_days"]) for person in group],
            [person["status"] == "died" for person in group],
        )
        assert shown[at][3] == pytest.approx(float(fitted.predict(183)), abs=0.006)
        assert shown[at + 2][3] == pytest.approx(fitted.median_survival_time_, abs=1)
    exact = answer(rows, "1e15")["hazard ratio", "male", ""].estimate
    assert shown[4][3] == pytest.approx(exact, abs=0.05)
