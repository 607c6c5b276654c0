"""A first table: the same figures as asking for each column, at one price."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models.aggregates.requests import Analysis, Describe, Histogram, Variance, normalise
from models.contribution import Stack
from models.mock import mock_rows
from models.reference import total
from models.rows import Rows
from privacy.errors import BadInput, Refused
from tests.support.catalogue_factory import answer, by_cell
from tests.support.rows_factory import categorical, clinic, many_rows, number, one_row

COLUMNS = ("change", "condition", "age", "symptom")


@pytest.fixture(scope="module")
def rows() -> Rows:
    return mock_rows(clinic(), members=800, seed=31)


def test_every_column_is_described(rows: Rows) -> None:
    found = by_cell(answer(Describe(columns=COLUMNS), rows))
    members = rows.tables["members"].values
    change = pd.Series(members["change"]).dropna()
    assert found["change", "mean", ""].estimate == pytest.approx(change.mean(), abs=1e-6)
    assert found["change", "standard deviation", ""].estimate == pytest.approx(change.std())
    als = (members["condition"] == 0).sum()
    assert found["condition", "members", "als"].estimate == pytest.approx(als, abs=1e-6)


@pytest.mark.parametrize(
    "part", [Variance(column="age"), Histogram(column="age"), Histogram(column="symptom")]
)
def test_a_part_says_what_it_says_alone(rows: Rows, part: Analysis) -> None:
    alone = answer(part, rows).rows
    (column,) = part.model_dump(exclude={"kind"}).values()
    told = answer(Describe(columns=COLUMNS), rows).rows
    figures = [row for row in told if row.cell[0] == column]
    kept = [row for row in figures if (row.cell[1] == "members") == (part.kind == "histogram")]
    assert [row.estimate for row in kept] == pytest.approx([row.estimate for row in alone])


def test_parts_share_the_cost_evenly(rows: Rows) -> None:
    """With p parts the noise of each is sqrt(p) times what it has alone."""
    one = by_cell(answer(Describe(columns=("condition",)), rows, epsilon="1"))
    four = by_cell(
        answer(Describe(columns=("condition", "sex", "smoker", "symptom")), rows, "", "1")
    )
    ratio = four["condition", "members", "als"].se / one["condition", "members", "als"].se
    assert ratio == pytest.approx(2, rel=1e-3)


@pytest.mark.parametrize("delta_grid", [5000, 2**20, 2**30 - 7])
def test_a_member_stays_within_the_bound(delta_grid: int) -> None:
    dictionary = clinic()
    asked = normalise(Describe(columns=COLUMNS), dictionary)
    shape = asked.contribution(dictionary, delta_grid)
    assert shape.norm_squared <= delta_grid**2
    rows = mock_rows(dictionary, members=60, seed=3)
    for member in range(60):
        own = np.arange(60) == member
        vector = total(shape, rows, own).astype(object)
        assert sum(int(each) ** 2 for each in vector) <= delta_grid**2


def test_parts_at_full_weight_would_break_the_bound() -> None:
    """What the bound catches: every part taking the whole grid for itself."""
    dictionary = clinic()
    asked = normalise(Describe(columns=COLUMNS), dictionary)
    greedy = Stack(tuple(p.contribution(dictionary, 2**20) for p in asked.parts(dictionary)))
    assert greedy.norm_squared > (2**20) ** 2
    assert replace(greedy, parts=greedy.parts[:1]).norm_squared <= (2**20) ** 2


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ((), "1 to 50 columns"),
        (("age", "age"), "twice"),
        (("born",), "no cells"),
        (("story",), "no cells"),
        (("nothing",), "nothing"),
    ],
)
def test_what_cannot_be_described(columns: tuple[str, ...], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        normalise(Describe(columns=columns), clinic())


def test_an_unbounded_number_is_refused() -> None:
    dictionary = replace_table(clinic(), number("free"))
    with pytest.raises(BadInput, match="bounds"):
        normalise(Describe(columns=("free",)), dictionary)


def test_too_many_levels_are_refused() -> None:
    levels = categorical("code", *(f"c{at}" for at in range(10_001)))
    with pytest.raises(Refused):
        normalise(Describe(columns=("code",)), replace_table(clinic(), levels))


def replace_table(dictionary, column):  # type: ignore[no-untyped-def]
    """The dictionary with one more table of one column."""
    table = one_row("more", column) if column.name == "free" else many_rows("more", 2, column)
    return dictionary.model_copy(update={"tables": (*dictionary.tables, table)})
