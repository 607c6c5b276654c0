"""Figures have one text each, and what is not in their grammar is refused with place and remedy."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cohort.parse import parse_cohort
from models.cohort.steps import steps_of
from models.cohort.text import canonical_text
from models.dictionary_file import load_dictionary
from models.figures.named import column_named
from models.figures.parse import parse_figure
from privacy.errors import BadInput
from tests.support.figure_factory import figure_words, make_figure, make_timed_dictionary

DICTIONARY = load_dictionary(
    """
    [tables.members]
    key = "id"
    rows = "one"
    [tables.members.columns]
    age = { type = "integer", lower = 0, upper = 120 }
    diagnosed = { type = "date" }
    entered = { type = "number", unit = "months" }
    first = { type = "number" }
    "last(visits.score)" = { type = "number" }
    [tables.visits]
    key = "id"
    rows = "many"
    max_rows_per_member = 20
    time = "day"
    [tables.visits.columns]
    day = { type = "date" }
    score = { type = "integer", lower = 0, upper = 48, unit = "points" }
    state = { levels = ["well", "ill"] }
    seen = { type = "boolean" }
    "odd name" = { type = "number", lower = -1, upper = 2 }
    before = { type = "number" }
    note = { type = "text" }
    code = { type = "text", identifier = true }
    [tables.treatments]
    key = "id"
    rows = "many"
    max_rows_per_member = 5
    [tables.treatments.columns]
    drug = { levels = ["lithium", "riluzole"] }
    dose = { type = "number" }
    start = { type = "date" }
    stop = { type = "date" }
    [tables.symptoms]
    key = "id"
    rows = "many"
    max_rows_per_member = 5
    [tables.symptoms.columns]
    name = { levels = ["pain"] }
    [tables.tests]
    key = "id"
    rows = "many"
    max_rows_per_member = 4
    time = "months"
    [tables.tests.columns]
    months = { type = "number", unit = "month", lower = 0, upper = 24 }
    result = { type = "number", lower = 0, upper = 3e12 }
    [tables.flood]
    key = "id"
    rows = "many"
    max_rows_per_member = 1000000
    time = "day"
    [tables.flood.columns]
    day = { type = "date" }
    level = { type = "number", lower = 0, upper = 1 }
    """,
    "dictionary.toml",
)


@pytest.mark.parametrize(
    ("written", "one_text"),
    [
        ("ANY( visits )", "any(visits)"),
        ("any(visits) == true", "any(visits)"),
        ("any(visits) != false", "any(visits)"),
        ("any(visits) in [true]", "any(visits)"),
        ("any(visits) == false", "not any(visits)"),
        ("not not any(visits)", "any(visits)"),
        (
            "any(visits: visits.score<5 and state=='ill')",
            "any(visits: score < 5 and state == 'ill')",
        ),
        ("any(visits: not score < 5)", "any(visits: score >= 5)"),
        ("any(visits: score between 1 and 5)", "any(visits: score <= 5 and score >= 1)"),
        ("any(visits: seen is not missing)", "any(visits: seen is not missing)"),
        ("any(visits: `odd name` > 1)", "any(visits: `odd name` > 1)"),
        (
            "any(visits: before > 1 before diagnosed)",
            "any(visits: before > 1 before members.diagnosed)",
        ),
        ("any(visits on day)", "any(visits)"),
        ("any(treatments on stop)", "any(treatments)"),
        (
            "any(treatments on stop: drug == 'lithium' or dose > 1 after diagnosed)",
            "any(treatments on treatments.stop: (dose > 1 or drug == 'lithium')"
            " after members.diagnosed)",
        ),
        ("count(visits) >= 3", "count(visits) >= 3"),
        ("not count(visits) >= 3", "count(visits) < 3"),
        (
            "last(visits.score) between 1 and 5",
            "last(visits.score) <= 5 and last(visits.score) >= 1",
        ),
        ("last(score) > 3", "last(visits.score) > 3"),
        ("last(visits.state) == 'ill'", "last(visits.state) == 'ill'"),
        ("min(visits.day) < '2020-01-01'", "first(visits.day) < '2020-01-01'"),
        ("max(treatments.stop) is missing", "last(treatments.stop) is missing"),
        (
            "first(treatments.drug on start) == 'lithium'",
            "first(treatments.drug on treatments.start) == 'lithium'",
        ),
        ("mean(score needing 1 row) < 3", "mean(visits.score) < 3"),
        ("mean(score needing 3 rows) < 3", "mean(visits.score needing 3 rows) < 3"),
        ("share(visits.score between 1 and 5) > .5", "share(visits.score between 1 and 5) > 0.5"),
        ("share(state in ['ill'])>0.5", "share(visits.state == 'ill') > 0.5"),
        (
            "slope(visits.score) < -1",
            "slope(visits.score needing 2 rows over 30 days) < -1",
        ),
        (
            "slope(tests.result needing 3 rows over 4 weeks) < -1",
            "slope(tests.result needing 3 rows over 28 days) < -1",
        ),
        (
            "any(visits within 1 to 90 days after diagnosed)",
            "any(visits within 90 days after members.diagnosed)",
        ),
        (
            "any(visits within 1 day after diagnosed)",
            "any(visits within 1 days after members.diagnosed)",
        ),
        (
            "any(visits within 0 to 90 days after diagnosed)",
            "any(visits within 0 to 90 days after members.diagnosed)",
        ),
        (
            "any(visits within 2 weeks of diagnosed)",
            "any(visits within 14 days of members.diagnosed)",
        ),
        (
            "any(visits from 14 days before diagnosed up to 14 days after diagnosed)",
            "any(visits within 14 days of members.diagnosed)",
        ),
        (
            "any(visits until diagnosed since first(treatments.start))",
            "any(visits since first(treatments.start) until members.diagnosed)",
        ),
        (
            "any(visits within 30 days before to 90 days after diagnosed)",
            "any(visits within 30 days before to 90 days after members.diagnosed)",
        ),
        ("any(tests after entered)", "any(tests after members.entered)"),
        (
            "any(tests before first( tests.months: tests.result > 1 ))",
            "any(tests before first(tests.months: result > 1))",
        ),
        ("first > 3", "members.first > 3"),
        ("`last(visits.score)` > 3", "`members.last(visits.score)` > 3"),
        (
            "age > 3 and any(symptoms) or count(symptoms) == 2",
            "any(symptoms) and members.age > 3 or count(symptoms) == 2",
        ),
    ],
)
def test_figures_that_are_the_same_have_one_text(written: str, one_text: str) -> None:
    tree = parse_cohort(written, DICTIONARY)
    assert canonical_text(tree) == one_text
    assert parse_cohort(one_text, DICTIONARY) == tree


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_text_and_figure_are_two_forms_of_one_thing(seed: int) -> None:
    rng = random.Random(seed)
    dictionary = make_timed_dictionary(rng)
    for _ in range(5):
        ref = parse_figure(figure_words(make_figure(rng, dictionary)), dictionary)
        assert parse_figure(ref.name, dictionary) == ref
        assert column_named(dictionary, ref.name) == ref
        tree = parse_cohort(f"not ({ref.name} is missing or age < 3)", dictionary)
        assert parse_cohort(canonical_text(tree), dictionary) == tree


@pytest.mark.parametrize(
    ("written", "position", "instead"),
    [
        ("frist(visits.score) > 3", 1, "did you mean first(…)?"),
        ("abs(age) > 3", 1, "write one of any, count"),
        ("any(visit)", 5, "did you mean 'visits'?"),
        ("any(members)", 5, "compare its columns as they are"),
        ("any(drug == 'lithium')", 5, "write the table first: treatments: drug"),
        ("any(visits.score < 3)", 5, "write the table first: visits: score"),
        ("any(visits: scor < 3)", 13, "did you mean 'score'?"),
        ("any(visits: age < 3)", 13, "declared: day, score"),
        ("any(visits: drug == 'lithium')", 13, "declared: day, score"),
        ("any(visits: score < 'x')", 21, "without quotes"),
        ("any(visits: state == 'il')", 22, "did you mean 'ill'?"),
        ("any(visits: note == 'x')", 13, "declared levels"),
        ("any(visits: code == 'x')", 13, "use a column that is none"),
        ("any(visits: count(visits) > 3)", 13, "join figures outside"),
        ("any(visits: since diagnosed)", 13, "leave out the colon"),
        ("any(visits", 11, "close the bracket opened at position 4"),
        ("any(visits) > 3", 13, "write == or in"),
        ("count(visits)", 14, "followed by =="),
        ("count(visits) == '3'", 18, "without quotes"),
        ("first(age) > 3", 7, "compare it as it is: members.age"),
        ("first(symptoms.name) == 'pain'", 7, "declare one in the dictionary"),
        ("first(treatments.drug) == 'lithium'", 7, "on treatments.start or on treatments.stop"),
        ("mean(visits.state) > 3", 6, "share(visits.state == 'ill')"),
        ("mean(visits.day) > 3", 6, "write first(visits.day) or last(visits.day)"),
        ("mean(treatments.dose) > 3", 6, "declare lower and upper"),
        ("slope(visits.score needing 1 row) < 3", 7, "needing 2 rows over 30 days"),
        ("slope(flood.level) < 3", 7, "max_rows_per_member"),
        ("mean(visits.score needing 3 rows over 9 days) < 3", 19, "write needing 3 rows"),
        ("mean(visits.score needing 3 days) < 3", 29, "write needing 3 rows"),
        ("any(visits before age)", 19, "write a date column"),
        ("any(visits before '2020-01-01')", 19, "day < '2020-01-01'"),
        ("any(visits before treatments.start)", 19, "first(treatments.start)"),
        ("any(visits before entered)", 19, "of the same sort"),
        ("any(visits before last(visits.score))", 19, "write a date column"),
        ("any(symptoms before diagnosed)", 14, "declare one in the dictionary"),
        ("any(treatments before diagnosed)", 16, "on treatments.start or on treatments.stop"),
        ("any(treatments on dose before diagnosed)", 19, "name a date of the table"),
        ("any(visits within 90 to 30 days after diagnosed)", 12, "write within 30 to 90"),
        ("any(visits within 0 days after diagnosed)", 12, "within 0 to 90 days"),
        ("any(visits within 3 months after diagnosed)", 21, "91 for three months"),
        ("any(visits within 3 after diagnosed)", 21, "write days after the number"),
        ("any(visits within -3 days after diagnosed)", 19, "a whole number"),
        ("any(visits within 2.5 days after diagnosed)", 19, "a whole number"),
        ("any(visits within 200000 days after diagnosed)", 19, "from 0 to 100,000"),
        ("any(visits within 3 days diagnosed)", 26, "within 90 days after"),
        ("any(visits after diagnosed before diagnosed)", 28, "no day is both"),
        ("any(visits up 3 days after diagnosed)", 15, "within 90 days after"),
        ("any(visits) any(visits)", 13, "join conditions"),
        (
            "any(visits before first(visits.day before first(visits.day before"
            " first(visits.day before first(visits.day)))))",
            91,
            "use a nearer index",
        ),
    ],
)
def test_what_is_no_figure_is_refused_with_place_and_remedy(
    written: str, position: int, instead: str
) -> None:
    with pytest.raises(BadInput) as refused:
        parse_cohort(written, DICTIONARY)
    assert instead in refused.value.instead
    assert refused.value.where == f"cohort, position {position}"
    assert "\n" not in str(refused.value)


def test_conditions_inside_figures_count_toward_the_bound() -> None:
    inner = " or ".join(f"score == {i}" for i in range(45))
    with pytest.raises(BadInput, match="more than 200"):
        parse_cohort(
            " or ".join(f"any(visits: {inner} or score>{i})" for i in range(5)), DICTIONARY
        )


def test_a_declared_name_goes_before_a_figure_of_the_same_text() -> None:
    assert column_named(DICTIONARY, "last(visits.score)") in DICTIONARY.refs.values()
    assert column_named(DICTIONARY, "last( visits.score )").name == "last(visits.score)"
    assert column_named(DICTIONARY, "members.age").name == "members.age"
    with pytest.raises(BadInput, match="no column 'sqrt"):
        column_named(DICTIONARY, "sqrt(visits.score)")


@pytest.mark.parametrize(
    ("figure", "bounds", "unit"),
    [
        ("count(visits)", (0, 20), ""),
        ("mean(visits.score)", (0, 48), "points"),
        ("sum(visits.score)", (0, 960), "points"),
        ("sum(visits.`odd name`)", None, ""),
        ("share(visits.score < 3)", (0, 1), ""),
        ("slope(visits.score)", (-4, 4), "points per month"),
        ("last(visits.score)", (0, 48), "points"),
        ("last(treatments.dose on start)", None, ""),
    ],
)
def test_bounds_of_a_figure_follow_from_what_is_declared(
    figure: str, bounds: tuple[float, float] | None, unit: str
) -> None:
    if "`" in figure:
        ref = parse_figure(figure.replace("visits.`odd name`", "`visits.odd name`"), DICTIONARY)
        assert ref.column.bounds == (-20, 40)
        return
    ref = parse_figure(figure, DICTIONARY)
    assert ref.column.bounds == bounds
    assert ref.column.unit == unit
    assert not ref.many


def test_a_cohort_is_cut_where_and_joins_its_conditions() -> None:
    text = (
        "age between 3 and 5 and (age > 4 and first > 1) and "
        "any(visits: score < 3 and seen == true)"
    )
    assert steps_of(text) == (
        "age between 3 and 5",
        "(age > 4 and first > 1)",
        "any(visits: score < 3 and seen == true)",
    )
    assert steps_of("age > 3 and age < 5 or first > 1") == ("age > 3 and age < 5 or first > 1",)
    assert steps_of("  ") == ()
