"""Tables and prevalences: shares against pandas, margins that add up, intervals that cover."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from models.aggregates.requests import Prevalence, Table, normalise
from models.aggregates.shares import Counted, share
from models.mock import mock_rows
from models.rows import Rows
from privacy.errors import BadInput, Refused
from tests.support.catalogue_factory import answer, by_cell
from tests.support.rows_factory import categorical, clinic, one_row

RUNS = 4000
BELOW = 3 * math.sqrt(0.05 * 0.95 / RUNS)  # three Monte-Carlo errors


@pytest.fixture(scope="module")
def rows() -> Rows:
    return mock_rows(clinic(), members=900, seed=21)


def people(rows: Rows) -> pd.DataFrame:
    values = rows.tables["members"].values
    return pd.DataFrame({"condition": values["condition"], "sex": values["sex"]}).query(
        "condition >= 0 and sex >= 0"
    )


def test_a_table_is_the_crosstable_with_its_shares(rows: Rows) -> None:
    found = by_cell(answer(Table(by=("condition", "sex")), rows))
    frame = people(rows)
    wanted = pd.crosstab(frame.condition, frame.sex, margins=True, margins_name="all")
    names = {"condition": ["als", "ms", "mood"], "sex": ["f", "m"]}
    for row in wanted.index:
        for column in wanted.columns:
            one = "all" if row == "all" else names["condition"][row]
            two = "all" if column == "all" else names["sex"][column]
            number = wanted.loc[row, column]
            assert found["members", one, two].estimate == pytest.approx(number, abs=1e-4)
            if (one, two) != ("all", "all"):
                whole = found["share", one, two].estimate
                assert whole == pytest.approx(number / len(frame), abs=1e-6)
            if one != "all" != two:
                within = found["share within condition", one, two].estimate
                assert within == pytest.approx(number / wanted.loc[row, "all"], abs=1e-6)
                down = found["share within sex", one, two].estimate
                assert down == pytest.approx(number / wanted.loc["all", column], abs=1e-6)


def test_margins_are_the_sums_of_the_cells_under_noise_too(rows: Rows) -> None:
    found = by_cell(answer(Table(by=("condition", "sex", "age")), rows, epsilon="0.5"))
    for condition in ("als", "ms", "mood", "all"):
        for sex in ("f", "m", "all"):
            ages = [
                row.estimate
                for cell, row in found.items()
                if cell[:3] == ("members", condition, sex) and cell[3] != "all"
            ]
            margin = found["members", condition, sex, "all"]
            assert margin.estimate == pytest.approx(sum(ages))
    one = found["members", "als", "f", "[0, 18)"].se_noise
    assert found["members", "als", "f", "all"].se_noise == pytest.approx(2 * one)


def test_prevalence_of_a_many_row_column_is_of_all_members(rows: Rows) -> None:
    found = by_cell(answer(Prevalence(column="symptom", by=("sex",)), rows))
    symptoms = rows.tables["symptoms"].first(3)
    sex = rows.tables["members"].values["sex"]
    for code, name in enumerate(("f", "m")):
        for level, symptom in enumerate(("pain", "fatigue")):
            having = np.unique(symptoms.member[symptoms.values["symptom"] == level])
            wanted = (sex[having] == code).sum() / (sex == code).sum()
            assert found[name, symptom].estimate == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(("members", "p"), [(60, 0.5), (200, 0.1), (1500, 0.02), (100, 0.03)])
@pytest.mark.parametrize(("tau", "levels"), [(0.001, 4), (3.0, 2), (6.0, 8)])
def test_intervals_cover(members: int, p: float, tau: float, levels: int) -> None:
    """A share within a whole that is the sum of `levels` noisy cells, of a random population."""
    rng = np.random.default_rng(int(1000 * p + members + levels))
    parts = rng.binomial(members, p, RUNS)
    noisy = parts + rng.normal(0, tau, RUNS)
    wholes = noisy + (members - parts) + rng.normal(0, tau * math.sqrt(levels - 1), RUNS)
    rows = [
        share((), Counted(part, whole, tau**2, levels * tau**2, tau**2))
        for part, whole in zip(noisy, wholes, strict=True)
    ]
    covered = np.mean([row.low <= p <= row.high for row in rows])
    usual = members * p >= 10
    assert covered >= (0.935 if usual else 0.925) - BELOW
    assert covered <= 0.975 + BELOW or not usual


def test_nothing_known_is_said() -> None:
    row = share((), Counted(2.0, 5.0, 25.0, 100.0, 25.0))
    assert (row.low, row.high, row.note) == (0.0, 1.0, "no information")
    under = share((), Counted(-30.0, 1000.0, 100.0, 100.0, 100.0))
    assert under.low == 0.0
    assert 0 < under.high < 0.05
    assert under.estimate < 0


@pytest.mark.parametrize(
    ("analysis", "words"),
    [
        (Table(by=()), "1 to 4 columns"),
        (Table(by=("condition", "sex", "age", "smoker", "severity")), "1 to 4 columns"),
        (Table(by=("symptom", "sex")), "prevalence('symptom')"),
        (Table(by=("sex", "sex")), "stands twice"),
        (Table(by=("height",)), "declare bins"),
        (Prevalence(column="symptom", by=("drug",)), "makes no groups"),
        (Prevalence(column="change"), "declare bins"),
        (Prevalence(column="sex", by=("sex",)), "stands twice"),
    ],
)
def test_what_does_not_fit_is_refused(analysis: Table | Prevalence, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        normalise(analysis, clinic())
    assert words in str(caught.value)


def test_an_absurd_table_is_refused() -> None:
    levels = [f"{i}" for i in range(60)]
    dictionary = type(clinic())(
        tables=(one_row("t", *(categorical(name, *levels) for name in "abc")),)
    )
    with pytest.raises(Refused):
        normalise(Table(by=("a", "b", "c")), dictionary)
