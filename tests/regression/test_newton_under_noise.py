"""Newton's method under noise: when it is chosen, what it says of itself, and rows' bounds."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from bench.bench_fit_coverage import fitted
from bench.fit_worlds import DICTIONARY, WORLDS, drawn
from models.regression.batch import batch_of
from models.regression.cox import Cox
from models.regression.families import NegativeBinomial
from models.regression.member_vectors import (
    informations,
    newton_bounds,
    scores,
    summed,
)
from models.regression.newton import BLURRED, UNSETTLED
from models.regression.outcome import Model
from models.regression.request import Regression
from models.regression.rounds import InRounds
from models.result import NO_INFORMATION
from models.rows import Rows, from_tables
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from tests.support.regression_world import HUGE, coefficients, law, run
from tests.support.rows_factory import number, one_row

BY_NAME = {world.name: world for world in WORLDS}
NARROW = Dictionary(
    tables=(
        one_row(
            "people",
            number("age", ("0", "110")),
            number("score", ("0", "100")),
            Column(name="arm", type=ColumnType.BOOLEAN, levels=("false", "true")),
        ),
    )
)


def people_alike(members: int) -> Rows:
    """Ages within ten years of one another, and scores in a twentieth of their range."""
    rng = np.random.default_rng(3)
    age, arm = rng.normal(60, 4, members), rng.random(members) < 0.2
    frame = pd.DataFrame(
        {
            "id": np.arange(members),
            "age": age,
            "arm": np.where(arm, "true", "false"),
            "score": 40 + 0.3 * (age - 60) + 1.0 * arm + rng.normal(0, 4, members),
        }
    )
    return from_tables(NARROW, {"people": frame})


def in_world(name: str, members: int) -> tuple[InRounds, Rows]:
    return BY_NAME[name].asked, drawn(BY_NAME[name], members, 0.5, (members, 50, 1))


@pytest.mark.parametrize("name", ["linear", "poisson", "cox", "negative_binomial"])
@pytest.mark.parametrize("epsilon", ["50", "200", "1000"])
def test_of_a_few_thousand_members_gram_is_chosen(name: str, epsilon: str) -> None:
    for members in (2000, 5000):
        chosen, _ = BY_NAME[name].asked.chosen(DICTIONARY, law(epsilon), members)
        assert chosen.way == "gram"


@pytest.mark.parametrize("name", list(BY_NAME))
def test_with_negligible_noise_newton_is_chosen(name: str) -> None:
    chosen, why = BY_NAME[name].asked.chosen(DICTIONARY, law("1e12"), 3000)
    assert (chosen.way, why[:6]) == ("newton", "newton")


@pytest.mark.parametrize("epsilon", ["50", "300", "1000", "20000", "200000"])
def test_what_is_chosen_is_not_noisier_than_gram_by_more_than_a_little(epsilon: str) -> None:
    """Of members who are much alike, for whom newton's noise is largest."""
    rows, asked = people_alike(3000), Regression(formula="score ~ age + arm")
    chosen = asked.chosen(NARROW, law(epsilon), 3000)[0].normalised(NARROW)
    ways = [chosen, chosen.model_copy(update={"way": "gram"})]
    ours, gram = (coefficients(run(each, [rows], epsilon=epsilon, seed=2)) for each in ways)
    exact = asked.model_copy(update={"way": "newton"}).normalised(NARROW)
    pooled = coefficients(run(exact, [rows]))
    for name, row in ours.items():
        assert not row.note
        assert row.se < 1.06 * gram[name].se
        error = math.hypot(row.se_noise, 0.03 * pooled[name].se)
        assert abs(row.middle - pooled[name].middle) < 6 * error


@pytest.mark.parametrize(
    ("name", "epsilon"),
    [("linear", "3"), ("poisson", "1000"), ("cox", "200"), ("negative_binomial", "1000")],
)
def test_newton_by_hand_says_that_it_knows_nothing(name: str, epsilon: str) -> None:
    """Confidently wrong by up to thirty standard errors, before it did."""
    asked, rows = in_world(name, 2000)
    asked = asked.model_copy(update={"way": "newton"}).normalised(DICTIONARY)
    result = run(asked, [rows], epsilon=epsilon, seed=4)
    assert {row.note for row in coefficients(result).values()} == {NO_INFORMATION}
    assert {BLURRED, UNSETTLED} & set(result.notes)


@pytest.mark.parametrize("epsilon", ["20", "50", "1000", HUGE])
def test_a_linear_fit_is_where_it_goes_at_once_and_says_nothing_else(epsilon: str) -> None:
    asked, rows = in_world("linear", 2000)
    asked = asked.model_copy(update={"way": "newton"}).normalised(DICTIONARY)
    result = run(asked, [rows], epsilon=epsilon, seed=5)
    assert not any("converged" in note for note in result.notes)
    for name, row in coefficients(result).items():
        assert abs(row.middle - BY_NAME["linear"].truth[name]) < 6 * row.se


def test_a_fit_that_gets_near_is_told_with_what_is_left_of_the_way() -> None:
    """Within six of its standard errors of noise; at this epsilon it was 20 standard errors off."""
    asked, rows = in_world("poisson", 3000)
    asked = asked.model_copy(update={"way": "newton"}).normalised(DICTIONARY)
    exact = fitted(asked, rows, HUGE, np.random.default_rng(0))
    told = 0
    for seed in range(8):
        found = fitted(asked, rows, "10000", np.random.default_rng(seed))
        if found[0].note:
            continue
        told += 1
        for row, best in zip(found, exact, strict=True):
            assert abs(row.middle - best.middle) < 6 * row.se_noise
    assert 0 < told < 8


# bounds of a row


def largest(model: Model, rows: Rows, theta: np.ndarray) -> tuple[float, float]:
    """The norms of the score and the information of the member who adds most."""
    batch = batch_of(rows, model.columns, np.ones(rows.members, dtype=bool))
    lines = model.rows(batch)
    both = scores(model, lines, theta), informations(model, lines, theta)
    one, two = (float(np.linalg.norm(summed(each, lines), axis=1).max()) for each in both)
    return one, two


@pytest.mark.parametrize("name", list(BY_NAME))
def test_no_member_is_beyond_the_bounds_at_the_fit(name: str) -> None:
    asked, rows = in_world(name, 3000)
    asked = asked.model_copy(update={"way": "newton"}).normalised(DICTIONARY)
    model = asked.model(DICTIONARY)
    theta = np.zeros(model.size)
    theta[model.width :] = np.linspace(-1, 1, model.size - model.width)
    score, information = largest(model, rows, theta)
    first, second = newton_bounds(model, theta)
    assert score < first * (1 + 1e-9)
    assert information < second * (1 + 1e-9)


def test_a_linear_rows_bounds_are_reached_and_half_of_them_would_clip() -> None:
    model = Regression(formula="score ~ age", way="newton").normalised(NARROW).model(NARROW)
    frame = pd.DataFrame({"id": [0], "age": [110.0], "score": [0.0], "arm": ["true"]})
    theta = np.array([0.5, 0.5, math.log(0.02)])  # foretells the upper bound where the lower is
    score, information = largest(model, from_tables(NARROW, {"people": frame}), theta)
    first, second = newton_bounds(model, theta)
    assert first / 2 < score < first * (1 + 1e-9)
    assert second / 2 < information < second * (1 + 1e-9)


@pytest.mark.parametrize("highest", [1.0, 5.0, 60.0, 1000.0])
def test_a_count_tells_no_more_than_twice_its_bound(highest: float) -> None:
    """Of coefficients, and a quarter as much of a dispersion: any count, mean and dispersion."""
    law_, most = NegativeBinomial(), np.zeros(5)
    count, mean = map(
        np.ravel,
        np.meshgrid(
            np.unique(np.rint(np.linspace(0, highest, 30))), np.geomspace(1e-4, 2 * highest, 60)
        ),
    )
    for log_dispersion in np.linspace(-7, 5, 25):
        kappa = np.array([log_dispersion])
        score = law_.score(count, np.log(mean), kappa)
        told = law_.information(count, np.log(mean), kappa)
        parts = (score.eta, score.kappa, told.eta, told.mixed, told.kappa)
        most = np.maximum(most, [np.abs(each).max() for each in parts])
    assert (most <= 2 * highest * np.array([1, 0.5, 1, 0.2501, 0.25])).all()


# intervals that nobody reaches


def followed(members: int, until: float) -> Rows:
    rng = np.random.default_rng(6)
    age = rng.normal(60, 10, members).clip(20, 90)
    fails = rng.exponential(2 * np.exp(-0.03 * (age - 60)))
    frame = pd.DataFrame(
        {
            "id": np.arange(members),
            "age": age,
            "years": np.minimum(fails, until),
            "died": np.where(fails <= until, "true", "false"),
        }
    )
    return from_tables(HOSPICE, {"people": frame})


DIED = Column(name="died", type=ColumnType.BOOLEAN, levels=("false", "true"))
HOSPICE = Dictionary(
    tables=(one_row("people", number("age", ("20", "90")), number("years", ("0", "4")), DIED),)
)


@pytest.mark.parametrize("epsilon", [HUGE, "1000000", "10000"])
def test_an_interval_that_nobody_reaches_is_left_out(epsilon: str) -> None:
    """The coefficients are those of the grid without it, save for the noise."""
    rows = [followed(3000, 2.5)]
    whole, short = (
        Cox(time="years", event="died", formula="age", edges=edges, way="newton").normalised(
            HOSPICE
        )
        for edges in (("0", "1", "2", "3", "3.5", "4"), ("0", "1", "2", "3"))
    )
    result = run(whole, rows, epsilon=epsilon, seed=1)
    exact = coefficients(run(short, rows), "hazard ratio")["age"]
    row = coefficients(result, "hazard ratio")["age"]
    assert not row.note
    assert abs(row.estimate - exact.estimate) < 6 * row.se_noise + 1e-7
    assert row.se == pytest.approx(exact.se, rel=0.05)
    hazards = coefficients(result, "baseline hazard")
    assert [name for name, each in hazards.items() if each.note] == ["(3, 3.5]", "(3.5, 4]"]
    assert sum("(3, 3.5], (3.5, 4]" in note for note in result.notes) == 1
    assert not any("cannot be told apart" in note for note in result.notes)
