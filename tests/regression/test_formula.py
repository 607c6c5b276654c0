"""Formulas: what is read, what is written back, and what is refused with what to write instead."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.regression.formula import parse_formula
from models.regression.syntax import Gap, Levels, Number, Scale, Site, Spline, formula_text
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput
from tests.support.regression_world import clinic
from tests.support.rows_factory import number, one_row

NUMBERS = ["age", "bmi", "people.years", "clip(age, 20, 80.5)", "log(years)", "log1p(relapses)"]
FACTORS = [
    *NUMBERS,
    "sex",
    "C(arm)",
    "C(arm, ref='b')",
    "bs(age)",
    "bs(age, df=6)",
    "bs(clip(bmi, 15, 45), knots=[20, 30.5], degree=2)",
    "missing(bmi)",
    "organisation",
]


def distinct(factors: list[str]) -> list[str]:
    """No column twice in one product."""
    kept: dict[str, str] = {}
    for factor in factors:
        names = [n for n in ("age", "bmi", "years", "relapses", "sex", "arm") if n in factor]
        kept.setdefault(f"missing {names}" if "missing" in factor else str(names), factor)
    return list(kept.values())


@st.composite
def formulas(draw: st.DrawFn) -> str:
    def product() -> str:
        factors = distinct(draw(st.lists(st.sampled_from(FACTORS), min_size=1, max_size=3)))
        return draw(st.sampled_from([":", " * "])).join(factors)

    parts = [product() for _ in range(draw(st.integers(1, 5)))]
    parts += draw(st.lists(st.sampled_from(["0", "1", "offset(log(years))"]), max_size=1))
    outcome = draw(st.sampled_from(["", "better ~ ", "log(years) ~ "]))
    return outcome + " + ".join(parts)


@settings(max_examples=300, deadline=None)
@given(formulas())
def test_the_written_text_reads_back_as_the_same_tree(text: str) -> None:
    tree = parse_formula(text, clinic())
    written = formula_text(tree)
    assert parse_formula(written, clinic()) == tree
    assert formula_text(parse_formula(written, clinic())) == written


def test_a_star_is_both_and_their_product() -> None:
    tree = parse_formula("score ~ age * sex + sex:age - 1", clinic())
    assert formula_text(tree) == (
        "people.score ~ people.age + C(people.sex) + people.age:C(people.sex) + 0"
    )


def test_every_kind_of_factor() -> None:
    tree = parse_formula(
        "better ~ C(arm, ref='b') + bs(age, knots=[40, 60]) + missing(bmi) + organisation "
        "+ log(clip(years, 1, 5)) + offset(log(years)) + weights(bmi)",
        clinic(),
    )
    arm, spline, gap, site, logged = (term[0] for term in tree.terms)
    assert isinstance(arm, Levels)
    assert arm.reference == "b"
    assert isinstance(spline, Spline)
    assert spline.knots == (40.0, 60.0)
    assert isinstance(gap, Gap)
    assert isinstance(site, Site)
    assert isinstance(logged, Number)
    assert (logged.lower, logged.upper, logged.scale) == (1.0, 5.0, Scale.LOG)
    assert tree.by_site
    assert tree.offset is not None
    assert tree.weight is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("better ~ aeg", "did you mean 'age'"),
        ("better ~ free", "declare lower and upper"),
        ("better ~ seen", "date column"),
        ("better ~ story", "text column"),
        ("better ~ log(age)", "log1p(x)"),
        ("better ~ log(relapses)", "log1p(x)"),
        ("better ~ clip(age, -5, 50)", "stay within 0 to 110"),
        ("better ~ clip(age, 50, 40)", "narrows"),
        ("better ~ bs(sex)", "is no number"),
        ("better ~ bs(age, knots=[60, 40])", "ascend"),
        ("better ~ bs(age, knots=[0, 40])", "ascend"),
        ("better ~ C(age)", "has no levels"),
        ("better ~ C(arm, ref='z')", "'a', 'b', 'c'"),
        ("better ~ poly(age, 2)", "is no function"),
        ("better ~ age ** 2", "name every term"),
        ("better ~ age / bmi", "write a + a:b"),
        ("better ~ age:bs(age)", "stands twice"),
        ("better ~ (1 | arm)", "not expected"),
        ("better ~ __import__('os')", "is no function"),
        ("better ~ age - bmi", "only 1 can be taken away"),
        ("better ~ 2", "is no term"),
        ("better ~ offset(log(years)) + offset(age)", "stands twice"),
        ("better ~ weights(score)", "can be negative"),
        ("better ~ ", "the end is not expected"),
        ("age + bmi ~ sex", "'~' is not expected"),
        ("bs(age) ~ sex", "no outcome"),
        ("better = age", "'=' is not expected"),
        ("better ~ 'a'", "not expected"),
        ("better ~ clip(age, 0, 1e-300)", "next to nothing"),
        ("better ~ clip(age, 1, 1.0000000000000002)", "next to nothing"),
        ("better ~ age +", "not expected"),
        ("", "not expected"),
        ("better ~ " + "age + " * 1000 + "age", "longer than"),
    ],
)
def test_what_is_refused_says_where_and_what_to_write(text: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_formula(text, clinic())
    assert said in str(caught.value)
    assert "formula, position" in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="abgesx~+:*-()[],='01. C", max_size=40))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        tree = parse_formula(text, clinic())
    except BadInput:
        return
    assert parse_formula(formula_text(tree), clinic()) == tree


@pytest.mark.parametrize("bounds", [("0", "1e-290"), ("-9e298", "9e298")])
def test_bounds_whose_squares_are_no_numbers_are_refused(bounds: tuple[str, str]) -> None:
    dictionary = Dictionary(tables=(one_row("t", number("x", bounds), number("y", ("0", "1"))),))
    with pytest.raises(BadInput, match="too narrow or too wide"):
        parse_formula("y ~ x", dictionary)
