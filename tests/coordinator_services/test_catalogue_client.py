"""Every analysis through the client and the command line, on made-up members of the example."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from coordinator.cli.researcher import app
from coordinator.client import connect, fitted
from coordinator.client.errors import BadInput, Refused
from coordinator.client.kinds import Kind
from coordinator.client.question import Question
from coordinator.client.study import Study
from models.aggregates.requests import KINDS, Density, Incidence
from models.neural.trained import TrainedNetwork

EXAMPLE = Path(__file__).parents[2] / "deploy" / "example"

QUESTIONS: dict[str, Callable[[Study], Question]] = {
    "table": lambda study: study.table(["condition", "sex"]),
    "prevalence": lambda study: study.prevalence("symptom", by="condition"),
    "variance": lambda study: study.variance("phq9"),
    "quantiles": lambda study: study.quantiles("age", [0.25, 0.5, 0.75]),
    "compare": lambda study: study.compare(
        "alsfrs_r_visit",
        "any(treatments: treatment == 'lithium')",
        "first(outcomes.months: months >= 9)",
        slopes=[-3, 1],
        by="sex",
        needing=[3, 60],
    ),
    "member_summary": lambda study: study.member_summary(
        "outcomes.phq9_visit", "share", by="sex", high=9, where="months > 0", needing=2, clip=[0, 1]
    ),
    "correlation": lambda study: study.correlation("age", "phq9"),
    "density": lambda study: study.density("age", "edss", x_edges=[18, 50, 95]),
    "describe": lambda study: study.describe("age", "sex", "symptom"),
    "map": lambda study: study.map("region"),
    "top": lambda study: study.top("symptom", 5),
    "treatment_report": lambda study: study.treatment_report("treatment", ["purpose"]),
    "incidence": lambda study: study.incidence(
        "edss", "years_since_onset", by="sex", weights=[0.5, 0.5], per=100
    ),
    "survival": lambda study: study.survival(
        "years_since_onset", "condition", by="sex", grid=[0, 2.5, 10], happened="als"
    ),
    "glm": lambda study: study.glm("alsfrs_r_loss ~ age + C(sex)", way="gram", reuse="auto"),
    "cox": lambda study: study.cox(
        "years_since_onset", "condition", "age + sex", grid=[0, 5, 10], happened="als", way="gram"
    ),
    "progression": lambda study: study.progression(
        "alsfrs_r_visit", "months", "sex", lower=-3, upper=1, way="gram"
    ),
    "effect": lambda study: study.effect(
        "phq9",
        "any(treatments: treatment == 'lithium')",
        "age + sex",
        estimand="att",
        trim="0.1",
        way="gram",
    ),
    "disproportionality": lambda study: study.disproportionality("treatment", "side_effect"),
    "associations": lambda study: study.associations(["sex", "region"], "condition"),
    "train": lambda study: study.train(
        "resnet", outcome="sex", features=["age", "condition"], rounds=2, width=4, by="condition"
    ),
    "evaluate": lambda study: study.evaluate(trained(), by=["sex", "condition"]),
}


@cache
def trained() -> TrainedNetwork:
    study = connect(f"mock:{EXAMPLE}").study("als-progression")
    return study.train(outcome="sex", features=["age"], rounds=1, epsilon=3).result.model()


LINES: dict[str, list[str]] = {
    "table": ["--by", "condition", "--by", "sex"],
    "prevalence": ["symptom", "--by", "condition"],
    "variance": ["phq9"],
    "quantiles": ["age", "--set", "q=0.25,0.5,0.75"],
    "compare": [
        *("alsfrs_r_visit", "any(treatments: treatment == 'lithium')"),
        *("first(outcomes.months: months >= 9)", "--by", "sex"),
        *("--set", "slopes=-3,1", "--set", "needing=3,60"),
    ],
    "member_summary": [
        *("outcomes.phq9_visit", "--by", "sex", "--set", "summary=share", "--set", "high=9"),
        *("--set", "where=months > 0", "--set", "needing=2", "--set", "clip=0,1"),
    ],
    "correlation": ["age", "phq9"],
    "density": ["age", "edss", "--set", "x_edges=18,50,95"],
    "describe": ["age", "sex", "symptom"],
    "map": ["region"],
    "top": ["symptom", "--set", "k=5"],
    "treatment_report": ["treatment", "purpose"],
    "incidence": [
        *("edss", "years_since_onset", "--by", "sex"),
        *("--set", "weights=0.5,0.5", "--set", "per=100"),
    ],
    "survival": [
        *("years_since_onset", "condition", "--by", "sex"),
        *("--set", "grid=0,2.5,10", "--set", "happened=als"),
    ],
    "glm": ["alsfrs_r_loss ~ age + C(sex)", "--set", "way=gram", "--set", "reuse=auto"],
    "cox": [
        *("years_since_onset", "condition", "age + sex", "--set", "grid=0,5,10"),
        *("--set", "happened=als", "--set", "way=gram"),
    ],
    "progression": [
        *("alsfrs_r_visit", "months", "sex", "--set", "lower=-3", "--set", "upper=1"),
        *("--set", "way=gram"),
    ],
    "effect": [
        *("phq9", "any(treatments: treatment == 'lithium')", "age + sex"),
        *("--set", "estimand=att", "--set", "trim=0.1", "--set", "way=gram"),
    ],
    "disproportionality": ["treatment", "side_effect"],
    "associations": ["--set", "exposures=sex,region", "--set", "outcomes=condition"],
    "train": [
        *("sex", "age", "condition", "--by", "condition", "--set", "network=resnet"),
        *("--set", "rounds=2", "--set", "width=4"),
    ],
    "evaluate": ["--by", "sex", "--by", "condition", "--set", "model=MODEL"],
}


@pytest.fixture(scope="module")
def study() -> Study:
    return connect(f"mock:{EXAMPLE}").study("als-progression")


def cairn(*args: str) -> tuple[int, str, str]:
    env = {"CAIRN_URL": f"mock:{EXAMPLE}", "CAIRN_TOKEN": "", "NO_COLOR": "1"}
    done = CliRunner().invoke(app, list(args), env=env)
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("kind", QUESTIONS)
def test_the_client_previews_answers_and_explains(study: Study, kind: str) -> None:
    question = QUESTIONS[kind](study)
    assert question.analysis.kind == kind
    preview = question.preview(epsilon=1, members=2000)
    assert "95 %" in str(preview)
    result = question.run(epsilon=1)
    assert len(result.table) == len(result.display) == len(result.answer.rows)
    said = " ".join(result.summary().split())
    assert question.sentence in said
    assert len(said) < 2400 if kind in fitted.KINDS else len(said) < 1200
    assert result.methods().count(".") > 3
    assert question.analysis.method() in result.methods()
    assert str(result).startswith("MOCK DATA")
    json.dumps(result.to_json(), allow_nan=False)


@pytest.mark.parametrize("kind", LINES)
def test_the_command_line_asks_the_same_question(study: Study, kind: str, tmp_path: Path) -> None:
    line = [word.replace("MODEL", str(tmp_path / "m.safetensors")) for word in LINES[kind]]
    if line != LINES[kind]:
        for name, data in zip(("m.safetensors", "m.json"), trained().files(), strict=True):
            (tmp_path / name).write_bytes(data)
    code, out, err = cairn(
        "query", "run", "als-progression", kind, *line, "--epsilon", "1", "--format", "json"
    )
    assert code == 0, err
    assert (
        json.loads(out)["question"]["analysis"] == QUESTIONS[kind](study).suited("1").analysis_json
    )


def test_every_kind_has_its_word_and_its_method() -> None:
    assert {kind.value for kind in Kind} == set(KINDS)
    assert all(callable(getattr(Study, kind)) for kind in KINDS)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["top", "symptom", "--set", "k=50"], "has 11 levels"),
        (["top", "symptom", "--set", "k=many"], "whole number"),
        (["top", "symptom", "--set", "depth=3"], "no setting 'depth'"),
        (["top", "symptom", "--set", "k"], "is no setting"),
        (["top", "symptom", "--set", "k=1", "--set", "k=2"], "set twice"),
        (["mean", "age", "--set", "k=1"], "no setting 'k'"),
        (["density", "age"], "needs a y"),
        (["density", "age", "edss", "phq9"], "no column 'phq9'"),
        (["correlation", "age"], "2 to 8 columns"),
        (["treatment_report"], "needs a treatment"),
        (["table"], "1 to 4 columns"),
        (["quantiles", "age", "--set", "q=0.5,1"], "no share between 0 and 1"),
        (["quantiles", "age", "--set", "q=half"], "not a finite number"),
        (["quantiles", "months"], "many rows per member"),
        (["compare", "phq9_visit", "sex", "months"], "sex' has no level 'true'"),
        (["compare", "phq9_visit", "sex"], "needs an index"),
        (["compare", "phq9_visit", "sex", "age", "--set", "months=0"], "ends before it starts"),
        (["member_summary", "months", "--set", "summary=middle"], "no summary 'middle'"),
        (["member_summary", "months", "--set", "summary=share"], "a share has a range"),
        (["member_summary", "months", "--set", "low=3"], "belong to a share"),
        (["member_summary", "mean(months)", "--set", "needing=3"], "nothing to add"),
        (["map", "age"], "does not place"),
        (["survival", "years_since_onset", "sex"], "female, male"),
        (["survival", "months", "sex"], "many rows per member"),
        (["disproportionality", "treatment"], "needs an event"),
        (["associations", "--set", "claims=sex:male"], "a claim is"),
        (["associations", "--set", "exposures=sex"], "write exposures"),
        (["train", "sex"], "needs a feature"),
        (["effect", "age", "sex"], "needs a covariates"),
        (["effect", "age", "sex", "phq9", "--set", "estimand=all"], "no estimand"),
        (["train", "sex", "age", "--set", "network=transformer"], "mlp"),
        (["train", "sex", "age", "--set", "rounds=0"], "rounds"),
        (["train", "sex", "age", "--set", "depth=3"], "no setting 'depth'"),
        (["train", "sex", "age", "--set", "rate=1e9"], "from 1e-06 to 1000"),
        (["train", "sex", "sex"], "is the outcome"),
        (["train", "months", "age"], "many rows per member"),
        (["evaluate"], "ends .safetensors"),
        (["evaluate", "--set", "model=none.safetensors"], "cannot be read"),
    ],
)
def test_wrong_use_says_what_to_write(args: list[str], says: str) -> None:
    code, out, err = cairn("query", "run", "als-progression", *args, "--epsilon", "1")
    assert code == 2
    assert says in " ".join(err.split())
    assert out == ""


def test_numbers_may_be_of_any_kind_and_are_signed_as_text(study: Study) -> None:
    edges = [np.int64(18), Decimal("50.50"), 9.5e1]
    analysis = study.density("age", "sex", x_edges=edges).analysis
    assert isinstance(analysis, Density)
    assert analysis.x_edges == ("18", "50.5", "95")
    weights = study.incidence("edss", "age", by="sex", weights=[np.float64(0.1), 2]).analysis
    assert isinstance(weights, Incidence)
    assert weights.weights == ("0.1", "2")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda study: study.top("symptom", k=2.5),
        lambda study: study.top("symptom", k=True),
        lambda study: study.density("age", "sex", x_edges="18,95"),
        lambda study: study.density("age", "sex", x_edges=[18, "many"]),
        lambda study: study.density("age", "sex", x_edges=[18, float("inf")]),
        lambda study: study.density("age", "sex", x_edges=[18, None]),
        lambda study: study.table(3),
        lambda study: study.correlation("age", 3),
        lambda study: study.quantiles("age", [0.5, 0.5]),
        lambda study: study.quantiles("age", []),
        lambda study: study.quantiles("age", None),
        lambda study: study.compare("phq9_visit", "sex", "age", exposed=True),
        lambda study: study.compare("phq9_visit", "sex", "age", exposed="male", needing=[1, 2, 3]),
        lambda study: study.member_summary("months", needing="3"),
        lambda study: study.member_summary("months", 3),
        lambda study: study.member_summary("age"),
        lambda study: study.treatment_report("treatment", {"purpose"}),
        lambda study: study.survival("years_since_onset", "sex", happened=True),
        lambda study: study.survival("years_since_onset", "sex", grid=[0, "soon"]),
        lambda study: study.associations({"sex"}, ["region"]),
        lambda study: study.associations(claims=["sex"]),
        lambda study: study.associations(claims=[("sex", "male", "region", "europe", "up")]),
    ],
)
def test_what_is_no_number_or_name_is_refused(
    study: Study, wrong: Callable[[Study], Question]
) -> None:
    with pytest.raises(BadInput):
        wrong(study)


def test_a_claim_is_asked_for_alike_by_client_and_command_line(study: Study) -> None:
    claims = [("sex", "male", "condition", "als", "below"), ("sex", "male", "condition", "ms")]
    question = study.associations(claims=claims)
    line = "claims=sex:male:condition:als:below,sex:male:condition:ms"
    code, out, err = cairn(
        *("query", "run", "als-progression", "associations", "--set", line),
        *("--epsilon", "1", "--format", "json"),
    )
    assert code == 0, err
    assert json.loads(out)["question"]["analysis"] == question.analysis_json
    assert "2 claimed associations in 1 table" in question.sentence


def test_a_study_may_allow_few_analyses(tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "dictionary.toml", tmp_path)
    text = '[[study]]\nid = "s"\nepsilon_allowance = 1\nanalyses = ["table", "top"]\n'
    (tmp_path / "study.toml").write_text(text)
    few = connect(f"mock:{tmp_path}").study("s")
    assert few.table("sex").analysis.kind == "table"
    with pytest.raises(Refused):
        few.variance("age")


def test_the_help_names_every_kind() -> None:
    for command in ("run", "preview"):
        said = CliRunner().invoke(app, ["query", command, "--help"]).stdout
        assert all(kind.value in said.replace("\n", " ") for kind in Kind)
