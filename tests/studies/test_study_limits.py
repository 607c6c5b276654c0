"""A study's cohort and columns hold for every question of it, whoever compiles the question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.cohort.parse import parse_cohort
from models.cohort.text import canonical_text
from models.derivation import derive
from models.dictionary_file import load_dictionary
from models.within import check_study, cohort_within, declared
from privacy.contract.plan import Question
from privacy.contract.signing import SigningKey
from privacy.contract.study import ConsentRule, Investigator, Study
from privacy.contract.study_words import changes, describe
from privacy.errors import BadInput, Code, Refused
from tests.support import net_data

DICTIONARY = load_dictionary(net_data.DICTIONARY, "dictionary.toml")
NAMES = ("a", "b", "c")
KEY = SigningKey(b"k" * 32).public.text
COHORTS = ("", "age >= 40", "treatment == 'none'", "age < 30 or age > 60", "not (age < 50)")


def study(**changes: object) -> Study:
    facts: dict[str, object] = {
        "id": "als",
        "title": "ALS",
        "purpose": "disease-research",
        "consent": ConsentRule.REQUIRED,
        "starts": "2026-01-01",
        "ends": "2026-12-31",
        "epsilon_allowance": "10",
        "delta": "1/1000000",
        "dictionary": DICTIONARY.digest,
        "investigators": (Investigator(key=KEY),),
    }
    return Study(**(facts | changes))  # type: ignore[arg-type]


def question(of: Study, cohort: str = "", **analysis: object) -> Question:
    return Question(
        study=of.id,
        study_digest=of.digest,
        analysis={"kind": "count", **analysis},  # type: ignore[dict-item]
        cohort=cohort,
        epsilon="1",
        asked_at="2026-03-10T12:00:00Z",
        expires="2026-03-10T12:10:00Z",
        nonce="00",
    )


@pytest.mark.parametrize("cohort", COHORTS)
@pytest.mark.parametrize("asked", COHORTS)
def test_the_studys_cohort_is_part_of_every_question(cohort: str, asked: str) -> None:
    limited = study(cohort=cohort)
    found = derive(question(limited, asked), limited, DICTIONARY, net_data.NODES).cohort_text
    parts = [f"({part})" for part in (cohort, asked) if part]
    assert found == canonical_text(parse_cohort(" and ".join(parts), DICTIONARY))


@pytest.mark.parametrize("asked", COHORTS)
def test_asking_for_the_studys_cohort_oneself_changes_nothing(asked: str) -> None:
    limited = study(cohort="age >= 40")
    once = canonical_text(cohort_within(limited, asked, DICTIONARY))
    assert canonical_text(cohort_within(limited, once, DICTIONARY)) == once


@pytest.mark.parametrize("text", ["age >= 18) or (age < 40", ") or (", "true", "age < 40) --"])
def test_a_bracket_in_a_question_does_not_reach_into_the_studys_cohort(text: str) -> None:
    limited = study(cohort="age >= 40")
    parse_cohort(f"({limited.cohort}) and (age >= 18) or (age < 40)", DICTIONARY)  # by gluing text
    with pytest.raises(BadInput):
        derive(question(limited, text), limited, DICTIONARY, net_data.NODES)


@pytest.mark.parametrize(
    ("cohort", "analysis"),
    [
        ("condition == 'als'", {}),
        ("", {"by": ["condition"]}),
        ("", {"by": ["age", "condition"]}),
        ("any(symptoms: severity >= 2)", {}),
    ],
)
def test_a_column_that_the_study_does_not_name_is_refused(
    cohort: str, analysis: dict[str, object]
) -> None:
    open_to_all = study()
    derive(question(open_to_all, cohort, **analysis), open_to_all, DICTIONARY, net_data.NODES)
    limited = study(variables=("members.age", "members.treatment"))
    derive(question(limited, "age < 40", by=["treatment"]), limited, DICTIONARY, net_data.NODES)
    with pytest.raises(Refused) as refused:
        derive(question(limited, cohort, **analysis), limited, DICTIONARY, net_data.NODES)
    assert refused.value.code is Code.OUTSIDE_STUDY


@given(st.sets(st.sampled_from(sorted(DICTIONARY.refs)), min_size=1))
def test_what_is_declared_for_a_study_is_exactly_what_it_names(names: set[str]) -> None:
    limited = study(variables=tuple(sorted(names)))
    view = declared(limited, DICTIONARY)
    assert set(view.refs) == names
    for name, ref in view.refs.items():
        assert ref.column == DICTIONARY.refs[name].column
    assert declared(study(variables=("members.*",)), DICTIONARY).tables[0].columns == tuple(
        ref.column for name, ref in DICTIONARY.refs.items() if name.startswith("members.")
    )


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"variables": ("members.wage",)}, "members.age"),
        ({"variables": ("age",)}, "write 'members.age'"),
        ({"variables": ("visits.*",)}, "no table 'visits'"),
        ({"cohort": "age >="}, "cohort"),
        ({"cohort": "condition == 'als'", "variables": ("members.age",)}, "cohort"),
    ],
)
def test_a_study_that_does_not_fit_the_dictionary_is_not_proposed(
    said: dict[str, object], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        check_study(study(**said), DICTIONARY)


def test_a_cohort_is_kept_in_its_one_form() -> None:
    assert check_study(study(cohort="(age>=40)"), DICTIONARY).cohort == "members.age >= 40"


def test_words_and_changes_cover_every_field() -> None:
    """Whatever differs between two versions is told to the steward who decides on the second."""
    old = study()
    other: dict[str, object] = {
        "title": "Other", "question": "Why?", "summary": "Plainly.", "purpose": "care",
        "research": "disease", "conditions": ("MONDO:0004976",), "for_profit": True,
        "commercial": True, "publishes": True, "returns_results": True, "legal_basis": "Art. 9",
        "permit": "EC 7", "consent": ConsentRule.NONE, "starts": "2026-02-01",
        "ends": "2026-11-30", "epsilon_allowance": "11", "epsilon_per_researcher": "2",
        "delta": "1/10000000", "dictionary": "0" * 64,
        "investigators": (Investigator(key=SigningKey(b"m" * 32).public.text),),
        "cohort": "age > 1", "variables": ("members.age",), "analyses": ("count",),
        "min_cohort": 5, "t_drop": 1, "t_collude": 2, "max_memberships": 2, "version": 2,
        "protocol": {"kind": "text", "text": "See page 1."}, "by_organisation": True,
        "linked": True,
    }  # fmt: skip
    assert set(other) | {"id"} == set(Study.model_fields)
    for name, value in other.items():
        extra = {"conditions": ("MONDO:0004976",)} if name == "research" else {}
        new = Study.model_validate({**old.model_dump(), **extra, name: value}, strict=False)
        assert changes(old, new), name
    assert len(describe(old)) == len(dict(describe(old)))


def test_countries_count_only_if_every_investigator_names_theirs() -> None:
    here = Investigator(key=KEY, country="DE")
    there = Investigator(key=SigningKey(b"m" * 32).public.text)
    assert study(investigators=(here,)).use.countries == ("DE",)
    assert study(investigators=(here, there)).use.countries == ()
