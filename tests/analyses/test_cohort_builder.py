"""Rows of conditions and the text of a cohort say the same, both ways."""

from __future__ import annotations

import random

import pytest

from models.cohort.builder import (
    ALONE,
    ORDERED,
    Condition,
    Sign,
    Written,
    cohort_of,
    conditions_of,
    text_of,
)
from models.cohort.parse import parse_cohort
from models.dictionary_file import load_dictionary
from privacy.errors import BadInput

DICTIONARY = load_dictionary(
    """
[tables.members]
key = "member"
rows = "one"
columns.condition = { levels = ["als", "ms", "it's, other"] }
columns.age = { type = "integer", lower = 0, upper = 110 }
columns.born = { type = "date" }
columns.walks = { type = "boolean" }
[tables.visits]
key = "member"
rows = "many"
max_rows_per_member = 3
time = "day"
columns.day = { type = "date" }
columns.score = { type = "number", lower = -5, upper = 50 }
""",
    "dictionary.toml",
)
VALUES = {
    "members.condition": ("als", "ms", "it's, other"),
    "members.age": ("18", "65", "-3"),
    "members.born": ("2001-02-03", "2020-12-31"),
    "members.walks": ("true", "false"),
    "visits.score": ("-1.5", "20", "1e2"),
}


def _condition(rng: random.Random) -> Condition:
    column = rng.choice(list(VALUES))
    ordered = column not in ("members.condition", "members.walks")
    sign = rng.choice([each for each in Sign if ordered or each not in ORDERED])
    values = VALUES[column]
    if sign in ALONE:
        return Condition(column, sign)
    if sign is Sign.BETWEEN:
        return Condition(column, sign, tuple(sorted(rng.sample(values, 2), key=_order)))
    if sign in (Sign.ONE_OF, Sign.NONE_OF):
        return Condition(column, sign, tuple(rng.sample(values, rng.randint(1, len(values)))))
    return Condition(column, sign, (rng.choice(values),))


def _order(value: str) -> tuple[float, str]:
    try:
        return float(value), ""
    except ValueError:
        return 0.0, value


@pytest.mark.parametrize("seed", range(200))
def test_rows_read_back_from_their_text_make_the_same_cohort(seed: int) -> None:
    rng = random.Random(seed)
    rows = [_condition(rng) for _ in range(rng.randint(1, 4))]
    text = cohort_of(rows, DICTIONARY)
    again = conditions_of(text, DICTIONARY)
    assert [each.column for each in again if isinstance(each, Condition)] == [
        each.column for each in rows
    ]
    assert cohort_of(again, DICTIONARY) == cohort_of(
        conditions_of(cohort_of(again, DICTIONARY), DICTIONARY), DICTIONARY
    )
    assert parse_cohort(cohort_of(again, DICTIONARY), DICTIONARY) == parse_cohort(text, DICTIONARY)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", ()),
        ("age between 18 and 65", (Condition("members.age", Sign.BETWEEN, ("18", "65")),)),
        (
            "condition in ['als', 'ms'] and born >= '2001-02-03'",
            (
                Condition("members.condition", Sign.ONE_OF, ("als", "ms")),
                Condition("members.born", Sign.AT_LEAST, ("2001-02-03",)),
            ),
        ),
        ("not age < 18", (Condition("members.age", Sign.AT_LEAST, ("18",)),)),
        ("age is not missing", (Condition("members.age", Sign.KNOWN),)),
        ("age < 18 or age > 65", (Written("age < 18 or age > 65"),)),
        (
            "age > 18 and (walks == true or age < 30)",
            (
                Condition("members.age", Sign.MORE, ("18",)),
                Written("(walks == true or age < 30)"),
            ),
        ),
        ("count(visits: score < 20) >= 2", (Written("count(visits: score < 20) >= 2"),)),
        ("not score > 3", (Written("not score > 3"),)),
    ],
)
def test_what_a_text_says_as_rows(text: str, rows: tuple[Condition | Written, ...]) -> None:
    assert conditions_of(text, DICTIONARY) == rows
    assert parse_cohort(cohort_of(rows, DICTIONARY), DICTIONARY) == parse_cohort(text, DICTIONARY)


def test_what_is_written_stays_whole_beside_another_condition() -> None:
    rows = [Written("age < 18 or age > 65"), Condition("members.walks", Sign.IS, ("true",))]
    wanted = "(age < 18 or age > 65) and walks == true"
    assert parse_cohort(cohort_of(rows, DICTIONARY), DICTIONARY) == parse_cohort(wanted, DICTIONARY)


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        (Condition("age", Sign.BETWEEN, ("18 and 65",)), "members.age between 18 and 65"),
        (Condition("age", Sign.BETWEEN, ("18, 65",)), "members.age between 18 and 65"),
        (Condition("age", Sign.ONE_OF, ("18, 19",)), "members.age in [18, 19]"),
        (
            Condition("condition", Sign.ONE_OF, ("it's, other",)),
            "members.condition in ['it''s, other']",
        ),
    ],
)
def test_several_values_may_be_typed_in_one_field(typed: Condition, text: str) -> None:
    assert text_of(typed, DICTIONARY) == text


@pytest.mark.parametrize(
    "wrong",
    [
        Condition("age", Sign.IS, ("5 or age > 3",)),
        Condition("age", Sign.IS, ("many",)),
        Condition("age", Sign.BETWEEN, ("18",)),
        Condition("age", Sign.BETWEEN, ("65", "18")),
        Condition("age", Sign.IS, ()),
        Condition("condition", Sign.IS, ("als' or age > '3",)),
        Condition("condition", Sign.LESS, ("als",)),
        Condition("walks", Sign.IS, ("true or age > 3",)),
        Condition("born", Sign.IS, ("2001-02-30",)),
        Condition("height", Sign.IS, ("3",)),
        Written("age >"),
    ],
)
def test_a_value_is_only_ever_a_value(wrong: Condition | Written) -> None:
    with pytest.raises(BadInput):
        text_of(wrong, DICTIONARY)
