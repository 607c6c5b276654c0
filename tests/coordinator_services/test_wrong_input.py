"""What people write by mistake, or in another way: a code and a word on what to write, no trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coordinator.client import connect
from coordinator.client.errors import BadInput, Refused
from coordinator.client.study import Study
from privacy.errors import Code

EXAMPLE = Path(__file__).parents[2] / "deploy" / "example"


@pytest.fixture(scope="module")
def study() -> Study:
    return connect(f"mock:{EXAMPLE}").study("als-progression")


@pytest.mark.parametrize(
    ("ask", "code", "says"),
    [
        (lambda s: s.count(by="conditon"), Code.UNKNOWN_COLUMN, "did you mean 'condition'"),
        (lambda s: s.mean("sex"), Code.UNKNOWN_COLUMN, "count(by='sex')"),
        (lambda s: s.histogram("alsfrs_r_visit"), Code.UNKNOWN_COLUMN, "declare bins"),
        (lambda s: s.top("symptom", 50), Code.BAD_REQUEST, "write k from 1 to 11"),
        (lambda s: s.top("symptom", 10**30), Code.BAD_REQUEST, "write k from 1 to 11"),
        (lambda s: s.top("symptom", 2.5), Code.BAD_REQUEST, "k: not a whole number"),
        (lambda s: s.top("symptom", True), Code.BAD_REQUEST, "k: not a whole number"),
        (lambda s: s.quantiles("age", []), Code.BAD_REQUEST, "q=[0.5]"),
        (lambda s: s.quantiles("age", "median"), Code.BAD_REQUEST, "q: not a finite number"),
        (lambda s: s.quantiles("age", 10**400), Code.BAD_REQUEST, "more than 60 signs"),
        (lambda s: s.quantiles("age", 50), Code.BAD_REQUEST, "0.5 is the median"),
        (lambda s: s.density("age", "edss", x_edges=5), Code.BAD_REQUEST, "a list of numbers"),
        (lambda s: s.density("age", "edss", x_edges=[1e-300]), Code.BAD_REQUEST, "60 signs"),
        (lambda s: s.density("age", "edss", x_edges=[9, 8]), Code.BAD_REQUEST, "ascend"),
        (lambda s: s.associations(claims=3), Code.BAD_REQUEST, "a list of claims"),
        (lambda s: s.histogram(["age"]), Code.BAD_REQUEST, "list where a name is expected"),
        (lambda s: s.count(by={"age"}), Code.BAD_REQUEST, "list of names"),
        (lambda s: s.count().run(1, max_attempts="x"), Code.TOO_MANY_ATTEMPTS, "1 to 10"),
        (lambda s: s.count().run(1, timeout_seconds="x"), Code.BAD_REQUEST, "number above 0"),
        (lambda s: s.plan(1).add("count"), Code.BAD_REQUEST, "add(study.count())"),
        (
            lambda s: s.glm("age ~ sex", family="gamma"),
            Code.BAD_REQUEST,
            "family: no family 'gamma'",
        ),
        (lambda s: s.glm("age ~ sex", way="magic"), Code.BAD_REQUEST, "write gradient, gram"),
        (lambda s: s.effect("age", "sex", "edss", estimand="atc"), Code.BAD_REQUEST, "estimand"),
        (lambda s: s.attrition([3]), Code.BAD_REQUEST, "list of texts"),
        (lambda s: s.attrition("age > 3"), Code.BAD_REQUEST, "list of texts"),
        (lambda s: s.where("ever(symptoms)"), Code.BAD_EXPRESSION, "did you mean any(…)"),
        (
            lambda s: s.member_summary("phq9_visit", window="within 90 to 30 days after months"),
            Code.BAD_REQUEST,
            "mean(phq9_visit within 90 to 30 days after months), position 17: the window ends",
        ),
    ],
)
def test_a_mistake_has_a_code_and_a_word(
    study: Study, ask: Callable[[Any], object], code: Code, says: str
) -> None:
    with pytest.raises(BadInput) as refused:
        ask(study)
    assert refused.value.code is code
    assert says in str(refused.value)


def test_an_address_and_a_name_are_text(study: Study) -> None:
    with pytest.raises(BadInput, match="an address is text"):
        connect(3)  # type: ignore[arg-type]
    with pytest.raises(Refused, match="unknown_study"):
        connect("http://127.0.0.1:1").study(3)  # type: ignore[arg-type]


def test_an_absurd_plan_is_said_once(study: Study) -> None:
    asked = study.count(by=["condition", "sex", "region", "age", "years_since_onset"])
    with pytest.raises(Refused, match="members") as refused:
        asked.preview(0.3, members=100)
    assert str(refused.value).count("group by fewer columns") == 1
    with pytest.raises(Refused, match="with 1 member: "):
        study.count(by="sex").preview(1, members=1)


def test_epsilon_may_come_first(study: Study) -> None:
    question = study.count()
    assert question.preview(0.5).epsilon == 0.5
    result = question.run(0.1)
    assert len(result.top_up(0.2).releases) == 2


def test_lists_and_numpy_are_taken(study: Study) -> None:
    assert study.describe(["age", "sex"]) == study.describe("age", "sex")
    assert study.correlation(("age", "phq9")) == study.correlation("age", "phq9")
    assert study.quantiles("age", np.array([0.25, 0.5])) == study.quantiles("age", [0.25, 0.5])
    assert study.top("symptom", np.int64(3)) == study.top("symptom", 3)
    edges = study.density("age", "edss", x_edges=np.linspace(20, 90, 8))
    assert edges == study.density("age", "edss", x_edges=range(20, 91, 10))


def test_a_ranking_of_few_levels_ranks_all(study: Study) -> None:
    assert study.top("condition") == study.top("condition", 3)
    assert study.top("symptom") == study.top("symptom", 10)


def test_a_column_without_its_table_is_counted(study: Study) -> None:
    counted = study.member_summary("phq9_visit", "count")
    assert counted == study.member_summary("outcomes.phq9_visit", "count")
    assert counted != study.member_summary("outcomes", "count")


def test_a_list_of_columns_names_each_once(study: Study) -> None:
    with pytest.raises(BadInput) as refused:
        study.mean("zzz")
    said = str(refused.value)
    assert "age" in said
    assert "members.age" not in said


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *[(name, "write 'linear'") for name in ("gaussian", "OLS", "normal", "Linear ")],
        *[(name, "write 'binomial'") for name in ("logistic", "logit", "Bernoulli")],
        *[(name, "write 'negative_binomial'") for name in ("nb", "NegBin", "negative binomial")],
        ("counts", "write 'poisson'"),
        ("proportional odds", "write 'ordinal'"),
        ("cox", "study.cox"),
        ("multinomial", "study.train"),
        ("gamma", "write linear, binomial, poisson, negative_binomial, ordinal"),
        (3, "write linear"),
        (None, "write linear"),
    ],
)
def test_another_programs_family_is_answered_with_ours(
    study: Study, written: Any, meant: str
) -> None:
    with pytest.raises(BadInput) as refused:
        study.glm("age ~ sex", family=written)
    assert refused.value.where == "family"
    assert meant in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rounds": 0}, "rounds: less than 1 — write 1 or more"),
        ({"rounds": 500}, "rounds: more than 200 — write 200 or less"),
        ({"rounds": 2.5}, "rounds: not a whole number"),
        ({"optimiser": "rmsprop"}, "write 'adam' or 'sgd'"),
        ({"seed": -1}, "seed: less than 0"),
        ({"widths": 32}, "widths: not a list"),
        ({"widths": []}, "widths: fewer than 1"),
        ({"widths": [8] * 5}, "widths: more than 4"),
        ({"widths": [1000]}, "widths: more than 512"),
        ({"widths": ["a"]}, "widths: not a whole number"),
        ({"activation": "gelu"}, "write 'relu', 'tanh' or 'silu'"),
        ({"layer_norm": "yes"}, "layer_norm: neither true nor false"),
        ({"epochs": 10}, "epochs: mlp has no such setting — write rounds=20"),
        ({"lr": 0.1}, "write rate='0.1'"),
        ({"dropout": 0.5}, "write activation, layer_norm, widths"),
        ({"batch_size": 64}, "every round is of all members"),
        ({"event": "maybe"}, "write one of female, male"),
        ({"features": 3}, "features: neither"),
        ({"epsilon": "much"}, "epsilon is not a decimal number"),
        ({"epsilon": -1}, "epsilon"),
    ],
)
def test_a_wrong_setting_of_training_is_said_in_words(
    study: Study, settings: dict[str, Any], says: str
) -> None:
    ask: Any = study.train
    with pytest.raises(BadInput) as refused:
        ask("mlp", **{"outcome": "sex", "features": ["age"], **settings})
    said = str(refused.value)
    assert says in said
    assert "Input should" not in said
    assert "Train." not in said


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda s: s.cox("age", "sex", "edss", grid=5), "grid: not a list of numbers"),
        (lambda s: s.cox("age", "sex", "edss", grid=[0, 10**6]), "happened"),
        (lambda s: s.cox("age", "edss", "sex"), "event: 'members.edss' has no levels"),
        (lambda s: s.glm("age ~ sex", members=0), "members: at least 1 is guessed"),
        (lambda s: s.glm("age ~ sex", members="many"), "members: not a whole number"),
        (lambda s: s.glm("age ~ sex", reuse=3), "reuse: neither an answer nor a release"),
        (lambda s: s.cox("age", "sex", "edss", reuse="auto"), "leave reuse out"),
        (lambda s: s.glm(3), "formula: not a text"),
        (lambda s: s.effect("age", "sex", "edss", estimand="ATE"), "'overlap', 'ate' or 'att'"),
    ],
)
def test_a_wrong_setting_of_a_fit_is_said_in_words(
    study: Study, ask: Callable[[Any], object], says: str
) -> None:
    with pytest.raises(BadInput) as refused:
        ask(study)
    assert says in str(refused.value)
