"""Terms in one line: read back as written, and refused with the word that is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given

from privacy.contract.duo import Modifier, Permission, Terms
from privacy.contract.duo_text import parse_terms, terms_text
from privacy.errors import BadInput
from tests.support.terms import any_terms


@given(any_terms())
def test_terms_read_back_as_they_were_written(terms: Terms) -> None:
    assert parse_terms(terms_text(terms)) == terms


def test_order_case_and_codes_do_not_matter() -> None:
    found = parse_terms("gs=DE,CH npu DUO:0000006")
    assert found.permission is Permission.HEALTH
    assert found.modifiers == (Modifier.GEOGRAPHY, Modifier.NOT_FOR_PROFIT)
    assert terms_text(found) == "HMB GS=CH,DE NPU"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "one permission"),
        ("NPU", "one permission"),
        ("GRU HMB", "one permission"),
        ("GRU MAYBE", "no rule 'MAYBE'"),
        ("GRU=DE", "has no list"),
        ("DS", "conditions are named"),
        ("DS=ALS", "not a condition's id"),
        ("GRU GS=Germany", "two capitals"),
    ],
)
def test_a_wrong_word_is_named(text: str, what: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_terms(text, "consent.csv, column terms, row 3")
    assert what in refused.value.what
    assert refused.value.where == "consent.csv, column terms, row 3"
