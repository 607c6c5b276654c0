"""Terms and uses: the rule that refuses is named, and a restriction never permits more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.contract.diseases import KNOWN_DISEASES, Diseases
from privacy.contract.duo import TERMS, Modifier, Permission, Terms, Use, permits, words
from privacy.errors import BadInput
from tests.support.terms import (
    ALS,
    ALS_1,
    ALS_ORPHA,
    COUNTRIES,
    MOTOR_NEURON,
    MS,
    STUDIES,
    any_terms,
    any_use,
    some,
)


def use(**changes: Any) -> Use:
    base = {
        "study": "a-study",
        "research": "disease",
        "conditions": [ALS],
        "for_profit": False,
        "commercial": False,
    }
    return Use.from_json(base | changes)


def terms(permission: Permission, **lists: Any) -> Terms:
    return Terms.from_json({"permission": permission, **lists})


@given(any_terms(), any_use(), st.sampled_from(Modifier), st.data())
def test_a_modifier_more_never_permits_more(
    before: Terms, asked: Use, modifier: Modifier, data: st.DataObject
) -> None:
    changes: dict[str, Any] = {"modifiers": tuple(sorted({*before.modifiers, modifier}))}
    if modifier is Modifier.GEOGRAPHY and not before.countries:
        changes["countries"] = data.draw(some(COUNTRIES, 1))
    if modifier is Modifier.ASK and Modifier.ASK not in before.modifiers:
        changes["studies"] = data.draw(some(STUDIES))
    after = Terms.from_json(before.model_copy(update=changes).to_json())
    assert not (permits(before, asked) and permits(after, asked) is None)


@given(any_terms(), any_use(), st.data())
def test_a_shorter_list_never_permits_more(before: Terms, asked: Use, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["conditions", "countries", "studies"]))
    least = 0 if name == "studies" else 1
    kept = getattr(before, name)
    if len(kept) <= least:
        return
    after = before.model_copy(update={name: kept[1:]})
    assert not (permits(before, asked) and permits(after, asked) is None)


@given(any_terms(), any_use())
def test_a_narrower_permission_never_permits_more(narrow: Terms, asked: Use) -> None:
    wider = {
        Permission.DISEASE: Permission.HEALTH,
        Permission.HEALTH: Permission.GENERAL,
        Permission.ORIGINS: Permission.GENERAL,
        Permission.GENERAL: Permission.GENERAL,
    }[narrow.permission]
    broad = narrow.model_copy(update={"permission": wider, "conditions": ()})
    assert not (permits(broad, asked) and permits(narrow, asked) is None)


@given(any_terms(), any_use())
def test_what_refuses_stands_in_the_terms(allowed: Terms, asked: Use) -> None:
    rule = permits(allowed, asked)
    assert rule is None or rule in (allowed.permission, *allowed.modifiers)
    assert Terms.from_json(allowed.to_json()) == allowed
    assert Use.from_json(asked.to_json()) == asked


def test_no_word_for_the_study_means_no_when_asking_each_time() -> None:
    asking = terms(Permission.GENERAL, modifiers=[Modifier.ASK])
    assert permits(asking, use()) is Modifier.ASK
    asked = terms(Permission.GENERAL, modifiers=[Modifier.ASK], studies=["a-study"])
    assert permits(asked, use()) is None
    assert permits(asked, use(study="b-study")) is Modifier.ASK


@pytest.mark.parametrize(
    ("allowed", "studied", "permitted"),
    [
        (ALS, ALS, True),
        (ALS, ALS_ORPHA, True),  # another id of the same disease
        (ALS_ORPHA, ALS, True),
        (ALS, ALS_1, True),  # a kind of it
        (MOTOR_NEURON, ALS_1, True),
        (ALS_1, ALS, False),  # a word on the narrow says nothing of the broad
        (ALS, MS, False),
        (ALS, "MONDO:9999999", False),  # what is not declared is not below
    ],
)
def test_conditions_match_by_what_lies_below_what(
    allowed: str, studied: str, permitted: bool
) -> None:
    found = permits(terms(Permission.DISEASE, conditions=[allowed]), use(conditions=[studied]))
    assert found is (None if permitted else Permission.DISEASE)


def test_every_condition_of_a_study_must_be_allowed() -> None:
    only = terms(Permission.DISEASE, conditions=[ALS])
    assert permits(only, use(conditions=sorted([ALS, MS]))) is Permission.DISEASE


def test_an_organisation_adds_to_the_map_and_cycles_end() -> None:
    own = KNOWN_DISEASES.adding([("MONDO:9999999", ALS), (MS, MS)])
    only = terms(Permission.DISEASE, conditions=[ALS])
    assert permits(only, use(conditions=["MONDO:9999999"]), own) is None
    assert not own.within(MS, [ALS])
    with pytest.raises(BadInput):
        Diseases({}).adding([("amyotrophic lateral sclerosis", ALS)])


def test_countries_all_have_to_be_allowed_and_named() -> None:
    home = terms(Permission.GENERAL, modifiers=[Modifier.GEOGRAPHY], countries=["CH", "DE"])
    assert permits(home, use(countries=["DE"])) is None
    assert permits(home, use(countries=["DE", "US"])) is Modifier.GEOGRAPHY
    assert permits(home, use()) is Modifier.GEOGRAPHY


@pytest.mark.parametrize(
    "document",
    [
        {"permission": Permission.DISEASE},
        {"permission": Permission.GENERAL, "conditions": [ALS]},
        {"permission": Permission.GENERAL, "modifiers": [Modifier.GEOGRAPHY]},
        {"permission": Permission.GENERAL, "countries": ["DE"]},
        {"permission": Permission.GENERAL, "studies": ["a-study"]},
        {"permission": Permission.DISEASE, "conditions": ["ALS"]},
        {"permission": Permission.DISEASE, "conditions": [MS, ALS]},
        {"permission": "DUO:0000005"},
    ],
)
def test_terms_that_mean_nothing_cannot_be_written(document: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        Terms.from_json(document)


def test_every_rule_has_its_code_and_its_sentence() -> None:
    assert set(TERMS) == {*Permission, *Modifier}
    for rule, term in TERMS.items():
        assert term.code == rule.value
        assert term.sentence.endswith(".")
    assert len({term.short for term in TERMS.values()}) == len(TERMS)
    said = words(terms(Permission.DISEASE, conditions=[ALS], modifiers=[Modifier.ETHICS]))
    assert ALS in said[0]
    assert len(said) == 2
