"""What an organisation reads in its ledger."""

from __future__ import annotations

import pytest

from models.aggregates.requests import Analysis, Count, Histogram, Mean, Sum, normalise
from models.cohort.parse import parse_cohort
from models.cohort.text import canonical_text
from models.sentences import sentence
from privacy.ledger.fields import MOST_WORDS
from tests.support.rows_factory import clinic


@pytest.mark.parametrize(
    ("analysis", "words"),
    [
        (Count(), "Counts members"),
        (Count(by=("condition",)), "Counts members by condition"),
        (Count(by=("condition", "sex", "drug")), "Counts members by condition, sex and drug"),
        (Histogram(column="age"), "Counts members in each bin of age"),
        (Mean(column="severity"), "Estimates the mean of severity"),
        (Sum(column="severity"), "Adds up severity"),
    ],
)
def test_what_is_computed(analysis: Analysis, words: str) -> None:
    assert sentence(normalise(analysis, clinic()), "") == f"{words}, among all members"


@pytest.mark.parametrize(
    ("cohort", "words"),
    [
        ("condition == 'als' and age >= 18", "age at least 18 and condition als"),
        ("condition in ['als', 'ms']", "condition als or ms"),
        ("condition not in ['als', 'ms']", "condition other than als or ms"),
        ("age is missing", "no known age"),
        ("age is not missing and smoker == true", "a known age and smoker true"),
        ("severity between 3 and 7", "severity from 3 to 7"),
        ("age < 65 and sex != 'f'", "age below 65 and sex other than f"),
        ("born > '1980-12-31'", "born after 1980-12-31"),
    ],
)
def test_of_whom(cohort: str, words: str) -> None:
    text = canonical_text(parse_cohort(cohort, clinic()))
    assert sentence(Count(), text) == f"Counts members, among members with {words}"


@pytest.mark.parametrize("cohort", ["age < 18 or sex == 'f'", "not severity > 3"])
def test_another_cohort_is_quoted(cohort: str) -> None:
    text = canonical_text(parse_cohort(cohort, clinic()))
    assert sentence(Count(), text) == f"Counts members, among members where {text}"


def test_text_that_is_no_cohort_is_quoted_too() -> None:
    assert sentence(Count(), "a == 'x' and ???").endswith("where a == 'x' and ???")


def test_what_a_ledger_could_not_keep_is_cut_and_says_so() -> None:
    text = " or ".join(f"members.age > {at}" for at in range(400))
    kept = sentence(Count(), text)
    assert len(kept) == MOST_WORDS
    assert kept.endswith("(cut; the plan has the rest)")
    assert kept.startswith("Counts members, among members where members.age > 0 or")
