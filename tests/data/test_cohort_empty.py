"""Cohorts that the dictionary alone shows to be empty, and ones that it does not."""

from __future__ import annotations

import numpy as np
import pytest

from models.cohort.empty import refuse_empty
from models.cohort.parse import parse_cohort
from models.mock import mock_rows
from models.reference import cohort_mask
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.errors import BadInput
from tests.support.rows_factory import many_rows, number, one_row

AGE = Column(name="age", type=ColumnType.INTEGER, lower="18", upper="95")
CLINIC = Dictionary(
    tables=(
        one_row("members", AGE, number("dose", ("0", "2.5"))),
        many_rows("visits", 3, number("score", ("0", "48"))),
    ),
)


@pytest.mark.parametrize(
    "text",
    [
        "age >= 200",
        "age > 95",
        "age < 18",
        "age == 18.5",
        "age > 18 and age < 19",
        "age > 60 and dose > 1 and age < 40",
        "dose < 0",
        "dose > 1 and dose < 1",
        "dose between 3 and 4",
        "score > 48",
    ],
)
def test_nobody_can_be_in_it(text: str) -> None:
    tree = parse_cohort(text, CLINIC)
    with pytest.raises(
        BadInput, match=r"nobody can have .* — .* is declared as (integer|number) from "
    ):
        refuse_empty(tree)
    rows = mock_rows(CLINIC, members=500, seed=3)
    assert not np.any(cohort_mask(tree, rows))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "age >= 18",
        "age >= 95",
        "age == 95",
        "dose <= 0",
        "not age > 200",
        "age > 200 or dose > 1",
        "score > 40 and score < 5",
        "age != 200",
        "age in [200, 20]",
        "count(visits) >= 3",
        "mean(visits.score) > 47.9",
    ],
)
def test_what_may_be_true_is_taken(text: str) -> None:
    refuse_empty(parse_cohort(text, CLINIC))
