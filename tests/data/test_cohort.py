"""The cohort grammar: one text per question, positions in every refusal, nothing ever run."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cohort.expression import And, Everyone, Missing, Not, columns_of
from models.cohort.parse import MAX_DEPTH, parse_cohort
from models.cohort.text import canonical_text
from models.dictionary_file import load_dictionary
from privacy.errors import BadInput
from tests.support.data_factory import cohort_text, make_cohort, make_dictionary_text

DICTIONARY = load_dictionary(
    """
    [tables.members]
    key = "id"
    rows = "one"
    [tables.members.columns]
    condition = { levels = ["als", "ms", "O'Hara's"] }
    age = { type = "integer", lower = 0, upper = 120 }
    bmi = { type = "number" }
    onset = { type = "date" }
    active = { type = "boolean" }
    "ph.ecog" = { levels = [0, 1, 2] }
    "lung capacity (l)" = { type = "number" }
    post_code = { type = "text", identifier = true }
    story = { type = "text" }
    in = { type = "number" }
    [tables.symptoms]
    key = "id"
    rows = "many"
    max_rows_per_member = 5
    [tables.symptoms.columns]
    name = { levels = ["pain", "fatigue"] }
    severity = { type = "integer", lower = 0, upper = 10 }
    age = { type = "integer" }
    """,
    "dictionary.toml",
)
AGE = "members.age"


def canonical(text: str) -> str:
    return canonical_text(parse_cohort(text, DICTIONARY))


@pytest.mark.parametrize(
    ("written", "one_text"),
    [
        ("  ", ""),
        (f"{AGE}>=18", f"{AGE} >= 18"),
        (f"({AGE} >= 18.0)", f"{AGE} >= 18"),
        (f"{AGE} >= -0", f"{AGE} >= 0"),
        ("bmi > 1e3 and bmi > .5", "members.bmi > 0.5 and members.bmi > 1000"),
        ('condition == "als"', "members.condition == 'als'"),
        ("condition == 'O''Hara''s'", "members.condition == 'O''Hara''s'"),
        ("condition in ['ms', 'als', 'ms']", "members.condition in ['als', 'ms']"),
        ("condition in ['als']", "members.condition == 'als'"),
        ("condition not in ['als']", "members.condition != 'als'"),
        ("not condition == 'als'", "members.condition != 'als'"),
        ("NOT (bmi < 5 OR active == true)", "members.active != true and members.bmi >= 5"),
        ("not not bmi < 5", "members.bmi < 5"),
        ("bmi between 1 and 2", "members.bmi <= 2 and members.bmi >= 1"),
        ("not bmi between 1 and 2", "members.bmi < 1 or members.bmi > 2"),
        ("onset > '2024-02-29'", "members.onset > '2024-02-29'"),
        ("ph.ecog == 1", "members.ph.ecog == '1'"),
        ("members.ph.ecog in [2, '0']", "members.ph.ecog in ['0', '2']"),
        ("`lung capacity (l)` < 2", "`members.lung capacity (l)` < 2"),
        ("`in` == 1", "members.in == 1"),
        ("active is not missing", "members.active is not missing"),
        ("not (active is not missing)", "members.active is missing"),
        # on a many-row table "no row" is another question than "any other row"
        ("not severity > 3", "not symptoms.severity > 3"),
        ("severity <= 3", "symptoms.severity <= 3"),
        ("not name in ['pain']", "not symptoms.name == 'pain'"),
        ("name not in ['pain']", "symptoms.name != 'pain'"),
        ("severity between 1 and 3", "symptoms.severity between 1 and 3"),
        ("not (severity > 3 or bmi < 1)", "members.bmi >= 1 and not symptoms.severity > 3"),
        (
            "bmi < 1 or severity > 3 and (bmi > 5 or active == false)",
            "(members.active == false or members.bmi > 5) and symptoms.severity > 3"
            " or members.bmi < 1",
        ),
    ],
)
def test_questions_that_ask_the_same_have_one_text(written: str, one_text: str) -> None:
    assert canonical(written) == one_text
    assert canonical(one_text) == one_text


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_text_and_tree_are_two_forms_of_one_thing(seed: int) -> None:
    rng = random.Random(seed)
    dictionary = load_dictionary(make_dictionary_text(rng), "dictionary.toml")
    written = cohort_text(make_cohort(rng, dictionary, depth=5), rng)
    tree = parse_cohort(written, dictionary)
    assert parse_cohort(canonical_text(tree), dictionary) == tree
    assert all(ref.name in dictionary.refs for ref in columns_of(tree))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_and_and_or_does_not_matter(seed: int) -> None:
    rng = random.Random(seed)
    dictionary = load_dictionary(make_dictionary_text(rng), "dictionary.toml")
    parts = [cohort_text(make_cohort(rng, dictionary, depth=2), rng) for _ in range(4)]
    word = rng.choice([" and ", " or "])
    first = parse_cohort(word.join(f"({part})" for part in parts), dictionary)
    rng.shuffle(parts)
    assert parse_cohort(word.join(f"({part})" for part in parts), dictionary) == first


@pytest.mark.parametrize(
    ("written", "position", "instead"),
    [
        ("bmi = 3", 5, "write =="),
        ("bmi <> 3", 5, "write !="),
        ("bmi > 3 & active == true", 9, "write and"),
        ("bmi > 3 && active == true", 9, "write and"),
        ("bmi > 3 | bmi < 1", 9, "write or"),
        ("!(bmi > 3)", 1, "write not"),
        ("bmi ≥ 3", 5, "write >="),
        ("condition == “als”", 14, "write straight quotes"),
        ("abs(bmi) > 3", 1, "compare a column with a value"),
        ("bmi + 1 > 3", 5, "compare one column with one value"),
        ("bmi > 3; drop table members", 8, "compare one column with one value"),
        ("18 < bmi", 1, "begin with the column"),
        ("1 < bmi < 3", 1, "begin with the column"),
        ("bmi > 1 < 3", 9, "between"),
        ("bmi > 3 active == true", 9, "join conditions with and / or"),
        ("active", 7, "write members.active == true"),
        ("bmi", 4, "followed by"),
        ("bmi >", 6, "write one"),
        ("bmi > 3 and", 12, "write a condition"),
        ("(bmi > 3", 9, "close the bracket opened at position 1"),
        ("bmi > 3)", 8, "join conditions"),
        ("bmy > 3", 1, "did you mean 'bmi'?"),
        ("age > 3", 1, "write members.age or symptoms.age"),
        ("post_code == 'x'", 1, "use a column that is none"),
        ("story == 'x'", 1, "use a column with declared levels"),
        ("story is missing", 1, "use a column with declared levels"),
        ("condition == als", 14, "write 'als'"),
        ("condition == bmi", 14, "a level in quotes"),
        ("condition == 'ALS'", 14, "did you mean 'als'?"),
        ("condition == 'x'", 14, "write one of 'als', 'ms', 'O''Hara''s'"),
        ("condition < 'ms'", 11, "write == or in"),
        ("condition between 'als' and 'ms'", 11, "write in"),
        ("bmi == '3'", 8, "without quotes"),
        ("bmi == true", 8, "without quotes"),
        ("bmi == 1e999", 8, "finite"),
        ("bmi == 3kg", 8, "write it alone"),
        ("bmi == null", 8, "write members.bmi is missing"),
        ("bmi is null", 8, "is missing"),
        ("active == 'yes'", 11, "write one of false, true"),
        ("onset > 2024-01-01", 9, "write '2024-01-01'"),
        ("onset > '2024-02-30'", 9, "write it as '2024-12-31'"),
        ("onset > 2024", 9, "write it as '2024-12-31'"),
        ("bmi between 3 and 1", 19, "write between 1 and 3"),
        ("bmi between 3 or 1", 15, "write between"),
        ("bmi not between 1 and 3", 9, "write not (members.bmi"),
        ("condition in ('als', 'ms')", 14, "square brackets"),
        ("condition in []", 15, "write one"),
        ("condition in ['als'", 20, "close the list"),
        ("condition == 'als", 14, "close the quote"),
        ("`bmi > 3", 1, "close the backquote"),
        ("condition like 'a%'", 11, "followed by"),
        ("__import__('os').system('id')", 1, "compare a column"),
        ("bmi > 3 or 1 == 1 --", 12, "begin with the column"),
        ("condition == 'als' OR 'a'='a'", 26, "write =="),
        ("condition == ''' OR ''1''=''1'", 14, "write one of"),
        ("condition == 'als' /* x */", 20, "compare one column"),
        ("{condition}", 1, "compare one column"),
        ("bmi > $1", 7, "compare one column"),
        ("bmi\x00 > 1", 4, "compare one column"),
        ("lambda: 0", 1, "declared: "),
    ],
)
def test_what_is_not_in_the_grammar_is_refused_with_place_and_remedy(
    written: str, position: int, instead: str
) -> None:
    with pytest.raises(BadInput) as refused:
        parse_cohort(written, DICTIONARY)
    assert instead in refused.value.instead
    assert refused.value.where == f"cohort, position {position}"
    assert "\n" not in str(refused.value)


def test_size_and_depth_are_bounded() -> None:
    for bomb in (
        "(" * 10**6,
        "(" * 3000,
        "not " * 900 + "bmi > 1",
        "bmi > 1" + " or bmi > 1" * 900,
    ):
        with pytest.raises(BadInput, match=r"longer|deeper") as refused:
            parse_cohort(bomb, DICTIONARY)
        assert "position" in refused.value.where
    deep = "(" * MAX_DEPTH + "bmi > 1" + ")" * MAX_DEPTH
    assert canonical(deep) == "members.bmi > 1"
    with pytest.raises(BadInput, match="deeper"):
        parse_cohort(f"({deep})", DICTIONARY)
    with pytest.raises(BadInput, match="more than 200"):
        parse_cohort(" or ".join(f"bmi>{i}" for i in range(250)), DICTIONARY)
    with pytest.raises(BadInput, match="names are written in full"):
        parse_cohort(" or ".join(f"`lung capacity (l)`>{i}.12345" for i in range(110)), DICTIONARY)


def test_trees_are_facts_that_can_be_compared_and_kept_in_sets() -> None:
    tree = parse_cohort("bmi > 1 and active is not missing", DICTIONARY)
    assert isinstance(tree, And)
    assert Not(Missing(DICTIONARY.resolve("active"))) in tree.operands
    assert len({tree, parse_cohort("active is not missing and bmi > 1.0", DICTIONARY)}) == 1
    assert parse_cohort("", DICTIONARY) == Everyone()
