"""With noise negligible every estimate is what pandas computes from the pooled rows."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from models.aggregates.requests import Analysis, Count, Histogram, Mean, Sum
from models.mock import mock_rows, mock_run
from models.result import Result, display, table
from models.rows import Rows, TableRows
from tests.support.rows_factory import clinic
from tests.support.seeded import seeded_entropy

ADULT = "age >= 18"


@pytest.fixture(scope="module")
def rows() -> Rows:
    return mock_rows(clinic(), members=700, seed=11)


def frame(rows: Rows, name: str) -> pd.DataFrame:
    """One table as pandas holds it, levels by name."""
    (declared,) = (each for each in rows.dictionary.tables if each.name == name)
    data: TableRows = rows.tables[name]
    columns = {"member": data.member}
    for column in declared.columns:
        if column.name in data.values:
            values = data.values[column.name]
            names = np.array([*column.levels, None], dtype=object)
            columns[column.name] = names[values] if column.levels else values
    return pd.DataFrame(columns)


def adults(rows: Rows) -> pd.DataFrame:
    members = frame(rows, "members")
    return members[members["age"] >= 18]


def ask(analysis: Analysis, rows: Rows, cohort: str = ADULT, epsilon: str = "1e15") -> Result:
    return mock_run(
        analysis,
        cohort,
        rows.dictionary,
        epsilon=epsilon,
        delta=Fraction(1, 10**6),
        nodes=3,
        margin=1,
        entropy=seeded_entropy("pandas"),
        rows=rows,
    )


def estimates(result: Result) -> list[float]:
    return [row.estimate for row in result.rows]


def test_counts(rows: Rows) -> None:
    (everyone,) = ask(Count(), rows).rows
    assert everyone.estimate == pytest.approx(len(adults(rows)), abs=1e-5)
    result = ask(Count(by=("condition", "sex")), rows)
    expected = adults(rows).groupby(["condition", "sex"]).size()
    assert table(result).columns.tolist()[:3] == ["condition", "sex", "estimate"]
    for row in result.rows:
        assert row.estimate == pytest.approx(expected.get(row.cell, 0), abs=1e-5)


def test_counts_over_a_many_row_table_count_a_member_once_per_cell(rows: Rows) -> None:
    result = ask(Count(by=("symptom", "condition")), rows)
    joined = frame(rows, "symptoms").merge(adults(rows), on="member")
    expected = joined.groupby(["symptom", "condition"])["member"].nunique()
    for row in result.rows:
        assert row.estimate == pytest.approx(expected.get(row.cell, 0), abs=1e-5)


def test_histogram(rows: Rows) -> None:
    result = ask(Histogram(column="age"), rows, cohort="")
    ages = frame(rows, "members")["age"]
    expected = pd.cut(ages, [0, 18, 40, 65, 110], right=False).value_counts(sort=False)
    assert estimates(result) == pytest.approx(expected.tolist(), abs=1e-5)
    labels = [row.cell[0] for row in result.rows]
    assert labels == ["[0, 18)", "[18, 40)", "[40, 65)", "[65, 110]"]


@pytest.mark.parametrize(("column", "span"), [("age", 110.0), ("change", 25.0)])
def test_mean_with_its_error(rows: Rows, column: str, span: float) -> None:
    values = adults(rows)[column].dropna()
    (row,) = ask(Mean(column=column), rows).rows
    assert row.estimate == pytest.approx(values.mean(), abs=1e-9 * span)
    assert row.se == pytest.approx(values.std() / np.sqrt(len(values)), rel=1e-6)
    assert row.se_noise < 1e-6 * row.se
    assert row.high - row.estimate == pytest.approx(1.96 * row.se, rel=5 / len(values))
    assert row.estimate - row.low == pytest.approx(1.96 * row.se, rel=5 / len(values))
    assert row.note == ""


def test_mean_of_a_many_row_column_is_of_the_members_own_means(rows: Rows) -> None:
    own = frame(rows, "symptoms").query("symptom == symptom or True")
    within = own.groupby("member").head(3).dropna(subset="severity")
    expected = within.groupby("member")["severity"].mean()
    (row,) = ask(Mean(column="severity"), rows, cohort="").rows
    assert row.estimate == pytest.approx(expected.mean(), abs=1e-8)
    assert row.se == pytest.approx(expected.std() / np.sqrt(len(expected)), rel=1e-6)


def test_sums(rows: Rows) -> None:
    (one,) = ask(Sum(column="change"), rows).rows
    assert one.estimate == pytest.approx(adults(rows)["change"].sum(), abs=1e-4)
    (many,) = ask(Sum(column="severity"), rows, cohort="").rows
    within = frame(rows, "symptoms").groupby("member").head(3)
    assert many.estimate == pytest.approx(within["severity"].sum(), abs=1e-4)


def test_the_noise_that_is_stated_is_the_noise_of_the_law(rows: Rows) -> None:
    (row,) = ask(Count(), rows, epsilon="1").rows
    assert row.se_noise == pytest.approx(5.55, rel=0.01)  # 3 shares, of which 2 are paid for
    assert (row.se_sampling, row.noise_share) == (0.0, 1.0)
    assert row.high - row.low == pytest.approx(2 * 1.959963985 * row.se_noise)


def test_table_is_unclipped_and_display_is_legal(rows: Rows) -> None:
    nobody = ask(Count(by=("condition", "sex")), rows, cohort="age > 200", epsilon="0.3")
    raw, shown = table(nobody), display(nobody)
    assert (raw["estimate"] < 0).any()
    assert (shown[["estimate", "low", "high"]] >= 0).all(axis=None)
    assert (shown["estimate"] % 10 == 0).all()  # the noise has a standard error of 17
    assert Result.from_json(nobody.to_json()) == nobody


def test_a_mean_that_says_nothing_has_the_whole_range_and_says_so(rows: Rows) -> None:
    result = ask(Mean(column="age"), rows, cohort="age > 200", epsilon="0.1")
    (row,) = result.rows
    assert (row.low, row.high, row.note) == (0.0, 110.0, "no information")
    assert table(result)["note"].tolist() == ["no information"]
    assert np.isfinite(list(row.numbers().values())).all()
