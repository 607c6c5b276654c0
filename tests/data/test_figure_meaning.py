"""What each figure means, on members small enough to check by hand; and that mutants are seen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from models import reference
from models.cohort.parse import parse_cohort
from models.contribution import CellCounts
from models.dictionary_file import load_dictionary
from models.figures.named import column_named
from models.figures.reference import figure_values
from models.rows import Rows
from node import engine_figures
from node.engine import total
from node.records import Records
from tests.data.test_engine import imported
from tests.data.test_figures import as_python, in_memory
from tests.support.data_factory import TODAY, World

NAMES = ("ann", "bob", "cat", "dan", "eve")
DICTIONARY = load_dictionary(
    """
    [tables.people]
    key = "who"
    rows = "one"
    [tables.people.columns]
    name = { levels = ["ann", "bob", "cat", "dan", "eve"] }
    diagnosed = { type = "date" }
    entered = { type = "number", unit = "months", lower = 0, upper = 100 }
    [tables.visits]
    key = "who"
    rows = "many"
    max_rows_per_member = 4
    time = "day"
    [tables.visits.columns]
    day = { type = "date" }
    score = { type = "number", lower = 0, upper = 10 }
    state = { levels = ["well", "ill"] }
    [tables.drugs]
    key = "who"
    rows = "many"
    max_rows_per_member = 3
    time = "start"
    [tables.drugs.columns]
    start = { type = "date" }
    stop = { type = "date" }
    drug = { levels = ["a", "b"] }
    dose = { type = "number", lower = 0, upper = 9 }
    [tables.tests]
    key = "who"
    rows = "many"
    max_rows_per_member = 3
    time = "month"
    [tables.tests.columns]
    month = { type = "number", unit = "months", lower = 0, upper = 100 }
    value = { type = "integer", lower = 0, upper = 100 }
    """,
    "dictionary.toml",
)


def day(text: str) -> date | None:
    return date.fromisoformat(f"2020-{text}") if text else None


def visit(when: str, score: float | None, state: str | None = "well") -> dict[str, Any]:
    return {"day": day(when), "score": score, "state": state}


def took(start: str, drug: str, dose: float, stop: str = "") -> dict[str, Any]:
    return {"start": day(start), "stop": day(stop), "drug": drug, "dose": dose}


def lab(month: float | None, value: int | None) -> dict[str, Any]:
    return {"month": month, "value": value}


PEOPLE = {
    "ann": (
        {"diagnosed": day("03-10"), "entered": 3.0},
        [
            visit("03-09", 1),
            visit("03-10", 2, "ill"),
            visit("03-11", 3),
            visit("06-08", 4),
            visit("06-09", 9),  # the fifth of at most four
        ],
        [took("02-01", "a", 1, "12-31"), took("04-01", "b", 5, "05-01")],
        [lab(0, 10), lab(3, 40), lab(6, 70)],
    ),
    "bob": (
        {"diagnosed": None, "entered": 1.0},
        [visit("03-11", 5, "ill"), visit("03-11", 7), visit("", 8, "ill")],
        [took("04-01", "a", 5)],
        [lab(2, 5), lab(None, 9)],
    ),
    "cat": (
        {"diagnosed": day("03-10"), "entered": 0.0},
        [visit("03-11", None, "ill"), visit("09-01", 0, None)],
        [],
        [lab(1, 1), lab(1, 2), lab(1.01, None)],
    ),
    "dan": ({"diagnosed": day("05-01"), "entered": None}, [], [took("05-01", "a", 0)], []),
    "eve": (
        {"diagnosed": day("12-31"), "entered": 50.0},
        [visit("01-01", 10), visit("01-31", 8), visit("03-01", 6)],
        [took("02-01", "b", 9), took("01-01", "b", 1), took("", "a", 9)],
        [lab(0, 100), lab(100, 0)],
    ),
}


def small_world() -> World:
    people = {
        name: {"people": [{"name": name, **one}], "visits": visits, "drugs": drugs, "tests": tests}
        for name, (one, visits, drugs, tests) in PEOPLE.items()
    }
    return World(DICTIONARY, people, dict.fromkeys(people, True))


@pytest.fixture(scope="module")
def records() -> Records:
    """With a row too many of everybody, as no import would leave it."""
    found = imported(small_world())
    with found.transaction() as cursor:
        cursor.execute(
            """INSERT INTO "rows:visits"
            (member_ix, row_rank, "visits.day", "visits.score", "visits.state")
            SELECT member_ix, 4, DATE '2020-03-09', 10, 1 FROM members"""
        )
    return found


@pytest.fixture(scope="module")
def rows() -> Rows:
    return in_memory(small_world())


COHORTS = [
    # all conditions hold in the same row
    ("drug == 'a' and dose > 4", "ann bob eve"),
    ("any(drugs: drug == 'a' and dose > 4)", "bob eve"),
    ("not any(drugs: drug == 'a' and dose > 4)", "ann cat dan"),
    ("any(visits: state == 'ill' or score > 9)", "ann bob cat eve"),
    ("any(visits: not state == 'ill')", "ann bob eve"),
    ("any(visits: state is missing)", "cat"),
    # windows: the day of the index, and one day to either side
    ("any(visits before diagnosed)", "ann eve"),
    ("any(visits: score == 2 before diagnosed)", ""),
    ("any(visits: score == 2 until diagnosed)", "ann"),
    ("any(visits: score == 2 since diagnosed)", "ann"),
    ("any(visits: score == 2 after diagnosed)", ""),
    ("any(visits: score == 3 within 1 days after diagnosed)", "ann"),
    ("any(visits: score == 4 within 89 days after diagnosed)", ""),
    ("any(visits: score == 4 within 90 days after diagnosed)", "ann"),
    ("any(visits: score == 4 within 90 to 91 days after diagnosed)", "ann"),
    ("any(visits: score == 4 within 91 to 99 days after diagnosed)", ""),
    ("any(visits: score == 1 within 1 days before diagnosed)", "ann"),
    ("any(visits within 0 days of diagnosed)", "ann"),
    ("count(visits within 1 days of diagnosed) == 3", "ann"),
    ("count(visits within 1 days before to 90 days after diagnosed) == 4", "ann"),
    ("any(visits from 90 days after diagnosed)", "ann cat"),
    ("any(visits up to 305 days before diagnosed)", "eve"),
    # without an index nothing is known, neither that there is a row nor that there is none
    ("not any(visits before diagnosed)", "cat dan"),
    ("any(visits before diagnosed) is missing", "bob"),
    ("count(visits before diagnosed) == 0", "cat dan"),
    ("count(visits before diagnosed) is missing", "bob"),
    ("mean(visits.score before diagnosed) is missing", "bob cat dan"),
    # a row without a time is in no window, but there all the same
    ("count(visits) == 3", "bob eve"),
    ("count(visits: score > 7) == 1", "bob"),
    ("count(drugs on drugs.stop since diagnosed) == 2", "ann"),
    # an index that is a figure
    ("any(visits after first(drugs.start))", "ann eve"),
    ("any(visits after first(drugs.start: drug == 'b'))", "ann eve"),
    ("any(visits after first(drugs.start: drug == 'a'))", "ann"),
    ("not any(visits after first(drugs.start: drug == 'a'))", "bob dan"),
    ("any(visits after first(drugs.start: drug == 'a')) is missing", "cat eve"),
    ("mean(visits.score before first(drugs.start: drug == 'b')) == 2", "ann"),
    ("first(drugs.start: drug == 'a') >= '2020-04-01'", "bob dan"),
    ("any(visits since diagnosed until last(drugs.stop))", "ann"),
    # first and last, ties in the order of the rows
    ("first(visits.score) == 5", "bob"),
    ("last(visits.score) == 7", "bob"),
    ("last(visits.score) == 4", "ann"),
    ("first(visits.score) == 0", "cat"),
    ("first(visits.state) == 'ill'", "bob cat"),
    ("last(visits.state) == 'ill'", "cat"),
    ("last(drugs.drug) == 'b'", "ann eve"),
    ("first(drugs.start) == '2020-01-01'", "eve"),
    ("first(visits.score) is missing", "dan"),
    # a time that is counted
    ("first(tests.value) == 1", "cat"),
    ("last(tests.value) == 2", "cat"),
    ("last(tests.value) == 5", "bob"),
    ("any(tests: value == 40 until entered)", "ann"),
    ("any(tests: value == 40 before entered)", ""),
    ("any(tests within 91 days after entered)", "bob cat"),  # 3 and 6 months are 91 and 183 days
    ("any(tests within 92 days after entered)", "ann bob cat"),
    ("any(tests within 31 days after entered)", "bob cat"),
    ("any(tests after entered) is missing", "dan"),
    # mean, least, greatest, sum, share
    ("mean(visits.score) == 2.5", "ann"),
    ("mean(visits.score) > 6.66 and mean(visits.score) < 6.67", "bob"),
    ("mean(visits.score needing 3 rows) is not missing", "ann bob eve"),
    ("min(visits.score) == 5", "bob"),
    ("max(visits.score) == 10", "eve"),
    ("sum(visits.score) == 20", "bob"),
    ("sum(visits.score: state == 'ill') == 13", "bob"),
    ("share(visits.score >= 8) == 0", "ann cat"),
    ("share(visits.score between 7 and 8) > 0.66", "bob"),
    ("share(visits.state == 'ill') == 1", "cat"),
    ("share(visits.state == 'ill': score is not missing) == 0.25", "ann"),
    ("share(visits.score > 9 needing 2 rows) is missing", "cat dan"),
    # the slope per month of 30.4375 days
    ("slope(visits.score needing 2 rows over 60 days) is not missing", "ann eve"),
    ("slope(visits.score needing 2 rows over 61 days) is not missing", "ann"),
    ("slope(visits.score needing 3 rows over 60 days) < -2", "eve"),
    ("slope(tests.value) between 9.9 and 10.1", "ann"),
    ("slope(tests.value) between -1.01 and -0.99", "eve"),
]
ASKED = [(text, who.split()) for text, who in COHORTS]


def members_of(records: Records, text: str) -> list[str]:
    shape = CellCounts((DICTIONARY.resolve("name"),), 1, 1)
    found = total(records, shape, parse_cohort(text, DICTIONARY), purpose=None, today=TODAY)
    return [name for name, count in zip(NAMES, found.tolist(), strict=True) if count]


@pytest.mark.parametrize(("text", "who"), ASKED, ids=str)
def test_a_condition_on_a_figure_means_what_it_says(
    records: Records, rows: Rows, text: str, who: list[str]
) -> None:
    mask = reference.cohort_mask(parse_cohort(text, DICTIONARY), rows)
    assert [name for name, inside in zip(NAMES, mask.tolist(), strict=True) if inside] == who
    assert members_of(records, text) == who


def test_the_slope_is_that_of_least_squares(rows: Rows) -> None:
    ref = column_named(DICTIONARY, "slope(visits.score)")
    slopes = [as_python(ref, value) for value in figure_values(rows, ref)]
    days = [30, 60]  # eve: 10, 8, 6 on days 0, 30, 60
    assert slopes[NAMES.index("eve")] == pytest.approx(-4 / days[1] * 30.4375, abs=1e-12)
    assert slopes[NAMES.index("bob")] is None  # both visits on one day
    assert slopes[NAMES.index("dan")] is None


def all_is_well(records: Records) -> bool:
    """Does every condition find the members it should?"""
    return all(members_of(records, text) == who for text, who in ASKED)


def _all_rows(rows: Callable[..., Any]) -> Callable[..., Any]:
    def many_table(table: Any, columns: Any) -> Any:
        return rows(table.model_copy(update={"max_rows_per_member": 1000}), columns)

    return many_table


def _a_day_late(days: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *given: days(*given) + engine_figures.whole(1)


def _twice(rows: Callable[..., Any]) -> Callable[..., Any]:
    return lambda ref: rows(ref).union(rows(ref))


def _never_unknown(_: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *given: given[-1]


def _by_rank_alone(days: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *given: days(*given) * engine_figures.whole(0)


@pytest.mark.parametrize(
    ("part", "mutant"),
    [
        ("many_table", _all_rows),
        ("_days_between", _a_day_late),
        ("_rows", _twice),
        ("_if_asked", _never_unknown),
        ("_date_day", _by_rank_alone),
    ],
)
def test_a_wrong_engine_is_found_out(
    records: Records, monkeypatch: pytest.MonkeyPatch, part: str, mutant: Callable[..., Any]
) -> None:
    monkeypatch.setattr(engine_figures, part, mutant(getattr(engine_figures, part)))
    assert not all_is_well(records)
