"""Cohorts row by row: three-valued on one-row tables, "any row" on many-row tables."""

from __future__ import annotations

from datetime import date

import pytest

from models.cohort.parse import parse_cohort
from models.reference import cohort_mask
from models.rows import Rows, from_tables
from privacy.contract.dictionary import Column, ColumnType, Dictionary, Table
from privacy.contract.dictionary import Rows as RowsKind
from privacy.errors import BadInput
from tests.support.rows_factory import clinic, number


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Four members: x has three symptoms (a fourth row is one too many), y has none."""
    return from_tables(
        clinic(),
        {
            "members": {
                "id": ["x", "y", "z"],
                "condition": ["als", "ms", "NA"],
                "age": [10, "60", 50.0],
                "born": [date(1990, 5, 1), "1960-01-01", None],
                "smoker": [True, "false", None],
            },
            "symptoms": {
                "id": ["x", "x", "z", "x", "w", "x"],
                "symptom": ["pain", "fatigue", "pain", "pain", None, "fatigue"],
                "severity": [1, 9, None, 5, 2, 10],
            },
        },
    )


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("", "xyzw"),
        ("condition == 'als'", "x"),
        ("condition != 'als'", "y"),  # unknown for z and w
        ("not condition == 'als'", "y"),
        ("condition is missing", "zw"),
        ("condition is not missing", "xy"),
        ("age between 50 and 60", "yz"),
        ("age in [10, 50]", "xz"),
        ("born < '1980-01-01'", "y"),
        ("smoker == true", "x"),
        ("condition not in ['als', 'mood']", "y"),
        ("severity > 8", "x"),
        ("severity > 9.5", ""),  # the fourth row does not reach the engine
        ("not severity > 8", "yzw"),
        ("symptom == 'pain'", "xz"),
        ("symptom != 'pain'", "x"),
        ("not symptom == 'pain'", "yw"),
        ("severity is missing", "yz"),
        ("severity < 3 and symptom == 'pain'", "x"),
        ("condition == 'ms' or severity < 3", "xyw"),
        ("not (condition == 'ms' or severity < 3)", ""),  # unknown for z
    ],
)
def test_who_is_in_the_cohort(rows: Rows, text: str, members: str) -> None:
    mask = cohort_mask(parse_cohort(text, rows.dictionary), rows)
    assert "".join(name for name, inside in zip("xyzw", mask, strict=True) if inside) == members


def test_rows_do_not_print(rows: Rows) -> None:
    assert "als" not in repr(rows)
    assert "[" not in repr(rows.tables["members"])


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [("members", "condition", "gout"), ("members", "age", "old"), ("members", "age", float("inf"))],
)
def test_a_bad_value_names_the_column_and_not_the_value(
    table: str, column: str, value: object
) -> None:
    with pytest.raises(BadInput) as caught:
        from_tables(clinic(), {table: {"id": ["x"], column: [value]}})
    assert caught.value.where == column
    assert str(value) not in caught.value.what


def test_an_undeclared_table_is_refused() -> None:
    with pytest.raises(BadInput, match="visits"):
        from_tables(clinic(), {"visits": {"id": []}})


def test_values_are_clamped_and_rows_rank_by_time() -> None:
    day = Column(name="day", type=ColumnType.DATE, lower="0", upper="20000")
    visits = Table(
        name="visits",
        key="id",
        rows=RowsKind.MANY,
        max_rows_per_member=2,
        time="day",
        columns=(day, number("score", ("0", "10"))),
    )
    dictionary = Dictionary(tables=(visits,))
    days = ["2001-01-03", None, "2001-01-01", "2001-01-02", "2999-01-01"]
    given = {"id": list("xxxxy"), "day": days, "score": [1, 2, 3, 40, -5]}
    rows = from_tables(dictionary, {"visits": given})
    table, scores = rows.of(dictionary.resolve("score"))
    assert table.rank.tolist() == [0, 1, 0]
    assert scores.tolist() == [3, 10, 0]
    assert str(table.values["day"][-1]) == "2024-10-04"
    given["day"] = ["2999-01-03", None, "2999-01-01", "2999-01-02", "2999-01-01"]
    table, scores = from_tables(dictionary, {"visits": given}).of(dictionary.resolve("score"))
    assert scores.tolist() == [3, 10, 0]  # beyond the bound the times as written decide
