"""Examples of what a study could ask stay within what it names, and are answered on mock data."""

from __future__ import annotations

import json

import pytest

from models.aggregates.requests import KINDS
from models.cohort.parse import parse_cohort
from models.dictionary_file import load_dictionary
from models.examples import MOST, USUAL, example_questions
from node.expected_shape import MOST_LINES, expected_shape
from tests.support import net_data
from tests.support.network import RESEARCHER, Shape, make_study
from tests.support.seeded import seeded_entropy

FLAG = '[tables.members.columns.died]\ntype = "boolean"\nlevels = ["false", "true"]\n'
DICTIONARY = load_dictionary(
    net_data.DICTIONARY.replace("[tables.symptoms]", FLAG + "[tables.symptoms]", 1), "d.toml"
)
STUDY = make_study(Shape(), DICTIONARY, RESEARCHER.signing_key.public)
PLAIN = {"train", "evaluate", "glm", "cox", "progression", "effect", "compare", "associations"}
PLAIN |= {"disproportionality", "treatment_report", "member_summary"}  # more than columns


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_that_needs_columns_alone_has_an_example(kind: str) -> None:
    found = example_questions(DICTIONARY, lambda name: name != "members.treatment", (kind,))
    assert [each.kind for each in found] == ([] if kind in PLAIN else [kind])
    assert "treatment" not in json.dumps([each.to_json() for each in found])
    study = STUDY.model_copy(update={"analyses": (kind,)})
    shape = expected_shape(study, DICTIONARY, 3, seeded_entropy(kind))
    assert bool(shape.examples) == (kind not in PLAIN)
    assert bool(shape.why) == (kind in PLAIN)


def test_a_study_that_may_ask_everything_has_the_usual_ones() -> None:
    found = example_questions(DICTIONARY, lambda _name: True)
    assert [each.kind for each in found] == list(USUAL[:MOST])
    assert example_questions(DICTIONARY, lambda _name: False, ("mean", "histogram")) == ()


def test_an_example_is_as_long_as_a_page_can_show_and_names_no_identifier() -> None:
    shape = expected_shape(STUDY, DICTIONARY, 3, seeded_entropy("long"))
    assert shape.epsilon == "1"
    for example in shape.examples:
        assert len(example.lines) <= MOST_LINES
        assert "email" not in example.sentence
    assert shape.examples[0].chart is not None
    assert shape.examples[1].chart is None, "one line is no chart"


def test_a_study_of_another_dictionary_or_of_nobody_is_told_so() -> None:
    other = STUDY.model_copy(update={"dictionary": "0" * 64})
    assert "another dictionary" in expected_shape(other, DICTIONARY, 3, seeded_entropy("x")).why
    cohort = "members.condition == 'als'"
    parse_cohort(cohort, DICTIONARY)
    some = expected_shape(
        STUDY.model_copy(update={"cohort": cohort}), DICTIONARY, 3, seeded_entropy("x")
    )
    assert "als" in some.examples[0].sentence
