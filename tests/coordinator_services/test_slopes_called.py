"""Slopes asked by what is compared and what it is adjusted for; what the dictionary leaves open."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coordinator.client import Study, connect
from coordinator.client.errors import BadInput
from coordinator.client.slopes import terms_of, visits
from models.changed import changed
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from tests.coordinator_services.test_wrong_input import EXAMPLE
from tests.support.rows_factory import categorical, many_rows, number, one_row


@pytest.fixture(scope="module")
def als() -> Study:
    return connect(f"mock:{EXAMPLE}").study("als-progression")


def test_it_is_the_question_that_the_formula_asks(als: Study) -> None:
    called = als.progression(outcome="alsfrs_r_visit", by="sex", covariates="age + condition")
    written = als.progression(
        "alsfrs_r_visit", "months", "sex + age + condition", lower=-2, upper=2
    )
    assert called.analysis_json == written.analysis_json
    assert called.analysis_json["lower"] == "-2", "48 points within 24 months"
    assert called.run(epsilon=2).coefficients.index[1] == "sex[male]"


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda s: s.progression(outcome="alsfrs_r", by="sex"), "write outcomes.alsfrs_r_visit"),
        (lambda s: s.progression("alsfrs_r_visit"), "no term"),
        (lambda s: s.progression("alsfrs_r_visit", formula="age", by="sex"), "stand twice"),
        (lambda s: s.progression("severity", by="sex"), "names no time"),
        (lambda s: s.progression("nothing", by="sex"), "no column 'nothing'"),
        (lambda s: s.glm("age ~ sex + age"), "cannot explain itself"),
        (lambda s: s.glm("age ~ bs(age)"), "cannot explain itself"),
        (lambda s: s.glm("sex ~ age + missing(sex)", "binomial"), "cannot explain itself"),
        (lambda s: s.glm("age ~ sex", happened="male"), "has no yes"),
        (lambda s: s.glm("age ~ sex", "poisson", happened="male"), "has no yes"),
        (lambda s: s.train("lstm", outcome="sex", features="age"), "write mlp, resnet, gru"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    als: Study, ask: Callable[[Study], object], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        ask(als)


def seen(time: Column) -> Dictionary:
    table = changed(many_rows("visits", 4, number("walk", ("0", "600")), time), time=time.name)
    return Dictionary(tables=(one_row("people", categorical("arm", "a", "b")), table))


def test_of_dates_a_slope_crosses_the_range_within_a_year() -> None:
    found = visits(seen(Column(name="day", type=ColumnType.DATE)), "walk", "")
    assert (found.time, found.lower, found.upper) == ("day", "-600", "600")


def test_what_is_written_stands() -> None:
    dictionary = seen(number("month", ("0", "12")))
    found = visits(dictionary, "walk", "", lower="-20")
    assert (found.lower, found.upper) == ("-20", "50")
    assert visits(dictionary, "walk", "month", -20, 5).upper == "5"


def test_a_time_without_bounds_asks_for_those_of_slopes() -> None:
    with pytest.raises(BadInput, match="write lower and upper"):
        visits(seen(number("month")), "walk", "")
    assert visits(seen(number("month")), "walk", "", -1, 1).lower == "-1"


def test_terms_are_one_formula() -> None:
    assert terms_of("", "arm", "age + onset") == "arm + age + onset"
    assert terms_of("", "", "age") == "age"
    assert terms_of("arm*age", "", " ") == "arm*age"
