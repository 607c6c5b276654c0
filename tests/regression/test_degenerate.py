"""Data that leave a fit without an answer: a finite result and a warning, or a clear refusal."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from coordinator.client.model import LOST
from models.regression.cox import Cox
from models.regression.events import (
    EVERYBODY,
    HIDDEN,
    NO_EVENTS,
    eventless,
    hidden_events,
)
from models.regression.member_vectors import moment_places
from models.regression.newton import BLURRED, CAUSED, UNSETTLED
from models.regression.population import first_population
from models.regression.request import Regression
from models.regression.unclear import Unclear, unclear
from models.result import Result
from privacy.errors import BadInput
from tests.support.regression_world import HUGE, as_rows, clinic, coefficients, people, run

WAYS = ("newton", "gram", "gradient")
FRAME = people(600, seed=4)


def fitted(frame: pd.DataFrame, way: str, epsilon: str = HUGE, **asked: object) -> Result:
    request = Regression(**{"formula": "better ~ age + sex", "family": "binomial", **asked})
    request = request.model_copy(update={"way": way}).normalised(clinic())
    parts = [as_rows(frame.iloc[:200]), as_rows(frame.iloc[200:]), as_rows(frame.iloc[:0])]
    return run(request, parts, epsilon=epsilon)


def finite(result: Result) -> bool:
    return all(math.isfinite(row.estimate) for row in result.rows)


@pytest.mark.parametrize("epsilon", [HUGE, "1", "0.01"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "frame",
    [
        FRAME.assign(better=np.where(FRAME.age > 55, "true", "false")),  # separated
        FRAME.assign(better="false"),  # no event
        FRAME.assign(age=50.0),  # constant
        FRAME.assign(sex="m"),  # a level absent
        FRAME.assign(age=np.nan),  # nothing known
        FRAME.iloc[:0],  # nobody
        FRAME.iloc[:3],
    ],
    ids=["separated", "no event", "constant", "level absent", "missing", "nobody", "three"],
)
def test_the_answer_is_finite(frame: pd.DataFrame, way: str, epsilon: str) -> None:
    assert finite(fitted(frame, way, epsilon))


def test_separation_is_said() -> None:
    frame = FRAME.assign(better=np.where(FRAME.age > 55, "true", "false"))
    assert any("separation" in note for note in fitted(frame, "newton").notes)


@pytest.mark.parametrize("column", [{"age": 50.0}, {"sex": "m"}])
def test_what_cannot_be_told_apart_is_said(column: dict[str, object]) -> None:
    result = fitted(FRAME.assign(**column), "newton")
    assert any("cannot be told apart" in note for note in result.notes)


SEEDS = range(8)
HEALTHY = "score ~ age + bmi"


def noted(frame: pd.DataFrame, formula: str = HEALTHY, seed: int = 0) -> list[str]:
    request = Regression(formula=formula, way="gram", clip="1.2").normalised(clinic())
    return list(run(request, [as_rows(frame)], epsilon="1", seed=seed).notes)


def among(notes: list[str], words: str) -> list[int]:
    return [at for at, note in enumerate(notes) if words in note]


@pytest.mark.parametrize("formula", [HEALTHY, "score ~ age"])
@pytest.mark.parametrize("spread", [0.0, 0.02])
def test_a_number_that_hardly_varies_is_said_under_noise(formula: str, spread: float) -> None:
    """Epsilon 1; by how much of a usual spread. Seeds are fixed."""
    for seed in SEEDS:
        whole = people(2000, seed)
        frame = whole.assign(age=50 + spread * (whole.age - 50))
        notes = noted(frame, formula, seed)
        (at,) = among(notes, "How much age varies cannot be told from noise")
        assert not among(notes[:at], "privacy noise")


def test_collinear_columns_are_said_under_noise_and_healthy_ones_are_not() -> None:
    for seed in SEEDS:
        healthy = people(2000, seed)
        half = (healthy.age / 2).clip(10, 55)
        notes = noted(healthy.assign(age=2 * half, bmi=half), seed=seed)
        (at,) = among(notes, "age and bmi cannot be told apart")
        assert not among(notes[:at], "privacy noise")
        assert not among(noted(healthy, seed=seed), "cannot be told")


def test_what_is_unclear_is_seen_in_products_alone() -> None:
    """A sum of two others, in three columns; and its mutant, in which it is a sum of nothing."""
    mixed = np.array([[1.0, 0.0, 0.7], [0.0, 1.0, 0.7], [0.7, 0.7, 1.0]])
    unknown, steady = np.full((3, 3), math.nan), np.zeros(3)
    assert unclear((4, 6, 7), mixed, 0.05, steady, unknown) == Unclear((), ((4, 6, 7),))
    assert unclear((4, 6, 7), np.eye(3), 0.05, steady, unknown) == Unclear()
    assert unclear((4, 6, 7), mixed, 0.5, steady, unknown) == Unclear((4, 6, 7))
    known = np.where(np.eye(3, dtype=bool), math.nan, 0.1)
    assert unclear((4, 6, 7), mixed, 0.05, steady, known) == Unclear()
    assert unclear((4, 6, 7), mixed, 0.05, np.array([0.5, 0, 0]), unknown).faint == (4,)
    assert Unclear((4,), ((4, 7), (6, 7))).among((7, 6, 1)) == Unclear((), ((1, 0),))


def test_collinear_columns_are_said() -> None:
    frame = FRAME.assign(bmi=(FRAME.age / 2).clip(10, 55))
    frame["age"] = frame.bmi * 2
    result = fitted(frame, "newton", formula="better ~ age + bmi")
    assert any("cannot be told apart" in note for note in result.notes)
    assert finite(result)


def test_nobody_is_said() -> None:
    for way in WAYS:
        assert any("hardly any" in note for note in fitted(FRAME.iloc[:0], way).notes)


@pytest.mark.parametrize("way", WAYS)
def test_of_nobody_no_members_are_told(way: str) -> None:
    """How many there are is never clipped, and may be below 0."""
    nobody = fitted(FRAME.iloc[:0], way)
    assert coefficients(nobody, "fact")["members"].estimate == pytest.approx(0.0, abs=0.01)
    noisy = [coefficients(fitted(FRAME.iloc[:0], way, "1"), "fact")["members"]]
    assert all(row.low < 0 < row.high for row in noisy)


@pytest.mark.parametrize(
    ("frame", "asked"),
    [
        (FRAME.assign(age=np.nan), {}),
        (FRAME.assign(sex=None), {"formula": "score ~ sex + missing(sex)", "family": "linear"}),
        (FRAME.assign(better=np.where(FRAME.age > 55, "true", "false")), {}),
    ],
    ids=["missing", "one column", "separated"],
)
def test_what_members_are_like_is_not_put_down_to_noise(
    frame: pd.DataFrame, asked: dict[str, object]
) -> None:
    result = fitted(frame, "newton", **asked)
    notes = result.notes
    assert not {BLURRED, UNSETTLED} & set(notes)
    lost = CAUSED in notes
    told = {name: not row.note for name, row in coefficients(result).items()}
    assert all(told.values()) or lost or any("nothing is told of it" in note for note in notes)
    if lost:
        assert not any(told.values())
        assert not any("those shown" in note or "privacy noise" in note for note in notes)
        assert CAUSED in LOST


def test_an_empty_node_changes_nothing() -> None:
    request = Regression(formula="score ~ age", way="newton").normalised(clinic())
    whole = coefficients(run(request, [as_rows(FRAME)]))
    split = coefficients(run(request, [as_rows(FRAME.iloc[:0]), as_rows(FRAME)]))
    assert whole == split


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("family", "outcome"),
    [("poisson", "relapses"), ("negative_binomial", "relapses"), ("linear", "score")],
)
def test_outcomes_that_never_vary(way: str, family: str, outcome: str) -> None:
    for value in (0.0, 20.0):
        frame = FRAME.assign(**{outcome: value})
        for epsilon in (HUGE, "1"):
            formula = f"{outcome} ~ age"
            assert finite(fitted(frame, way, epsilon, formula=formula, family=family))


@pytest.mark.parametrize("way", WAYS)
def test_a_class_without_members(way: str) -> None:
    frame = FRAME.assign(grade=FRAME.grade.replace("mid", "high"))
    for epsilon in (HUGE, "1"):
        result = fitted(frame, way, epsilon, formula="grade ~ age", family="ordinal")
        assert finite(result)


@pytest.mark.parametrize("way", WAYS)
def test_survival_without_events(way: str) -> None:
    frame = FRAME.assign(better="false")
    request = Cox(time="years", event="better", formula="age", way=way).normalised(clinic())
    for epsilon in (HUGE, "1"):
        assert finite(run(request, [as_rows(frame)], epsilon=epsilon))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("epsilon", [HUGE, "8"])
def test_no_events_are_said_before_what_noise_does(way: str, epsilon: str) -> None:
    found = fitted(FRAME.assign(better="false"), way, epsilon)
    causes = [at for at, note in enumerate(found.notes) if note == NO_EVENTS]
    said = [at for at, note in enumerate(found.notes) if note in LOST]
    assert causes
    assert not said or causes[0] < min(said)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("epsilon", ["0.3", "1"])
def test_it_is_not_said_that_there_are_none_where_noise_could_hide_many(
    way: str, epsilon: str
) -> None:
    """Whatever the noise drawn: it follows from the noise's size, of 32 events or more."""
    hazards = Cox(time="years", event="better", formula="age", way=way).normalised(clinic())
    for frame in (FRAME, FRAME.assign(better="false")):
        notes = run(hazards, [as_rows(frame)], epsilon=epsilon).notes
        assert NO_EVENTS not in notes
    assert any(note.startswith("How many events there are") for note in notes)


@pytest.mark.parametrize(
    ("noise", "said"), [(0.0, NO_EVENTS), (4.0, NO_EVENTS), (20.0, HIDDEN), (200.0, HIDDEN)]
)
def test_as_many_events_are_named_as_noise_could_hide(noise: float, said: str) -> None:
    """Two standard deviations of the noise on twelve sums; one event for each member at most."""
    model = Cox(time="years", event="better", formula="age").normalised(clinic()).model(clinic())
    sums = np.zeros(len(moment_places(model)))
    sums[:2] = 600.0  # members and rows
    population = first_population(model, sums, noise)
    found = eventless(model, population) + hidden_events(model, population)
    assert found == [said.format(min(2 * noise * math.sqrt(12), 600))]


@pytest.mark.parametrize("way", WAYS)
def test_so_is_an_event_of_everybody_and_a_count_of_nothing(way: str) -> None:
    everybody = fitted(FRAME.assign(better="true"), way)
    assert EVERYBODY in everybody.notes
    assert NO_EVENTS not in everybody.notes
    counts = {"formula": "relapses ~ age", "family": "poisson"}
    assert NO_EVENTS in fitted(FRAME.assign(relapses=0.0), way, **counts).notes


@pytest.mark.parametrize("way", WAYS)
def test_of_many_events_nothing_of_the_kind_is_said(way: str) -> None:
    hazards = Cox(time="years", event="better", formula="age", way=way).normalised(clinic())
    counts = {"formula": "relapses ~ age", "family": "poisson"}
    for found in (
        run(hazards, [as_rows(FRAME)], epsilon="8"),
        fitted(FRAME, way, "8"),
        fitted(FRAME, way, HUGE, **counts),
    ):
        assert not {NO_EVENTS, EVERYBODY} & set(found.notes)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"formula": "score ~ age", "family": "binomial"}, "boolean or a column with levels"),
        ({"formula": "better ~ age", "family": "linear"}, "ask binomial or ordinal"),
        ({"formula": "arm ~ age", "family": "binomial"}, "which level"),
        ({"formula": "score ~ age", "family": "poisson"}, "declared to be 0 or more"),
        ({"formula": "sex ~ age", "family": "ordinal"}, "three levels"),
        ({"formula": "grade ~ age - 1", "family": "ordinal"}, "thresholds"),
        ({"formula": "age + sex", "family": "linear"}, "no outcome"),
        ({"formula": "score ~ 0", "family": "linear"}, "no term"),
        ({"formula": "score ~ age + organisation"}, "organisations are named"),
        ({"formula": "score ~ age", "clip": "0"}, "above 0"),
        ({"formula": "score ~ age", "clip": "NaN"}, "above 0"),
        ({"formula": "score ~ age", "dispersion": "-1"}, "above 0"),
        ({"formula": "score ~ age", "organisations": ("a", "a")}, "stands twice"),
    ],
)
def test_what_does_not_fit_is_refused(asked: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        Regression(**asked).normalised(clinic())
    assert said in str(caught.value)
