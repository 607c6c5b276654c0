"""Baseline hazards of intervals that few reach: the law that scores are read by, and fits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.regression.batch import batch_of
from models.regression.cox import Cox
from models.regression.joining import Joined, held
from models.regression.member_vectors import Moments, scores, summed, vectors
from models.regression.population import Population, first_population
from models.regression.survival import PiecewiseHazard
from models.rows import Rows, from_tables
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from tests.support.regression_world import coefficients, law, run
from tests.support.rows_factory import number, one_row

YEARS = 4.0
DIED = Column(name="died", type=ColumnType.BOOLEAN, levels=("false", "true"))
PEOPLE = one_row("people", number("age", ("20", "90")), number("years", ("0", "4")), DIED)
WARD = Dictionary(tables=(PEOPLE,))
SHORT = ("0", "0.5", "1", "3")  # a year and more before the last are seen


def patients(members: int, seed: int) -> pd.DataFrame:
    """Half of them die within a year; everybody else is followed for four at most."""
    rng = np.random.default_rng(seed)
    age = rng.normal(60, 10, members).clip(20, 90)
    fails = rng.exponential(1.4 * np.exp(-0.03 * (age - 60)))
    leaves = np.minimum(rng.exponential(6.0, members), YEARS)
    return pd.DataFrame(
        {
            "id": np.arange(members),
            "age": age,
            "years": np.minimum(fails, leaves),
            "died": np.where(fails <= leaves, "true", "false"),
        }
    )


def ward(members: int, seed: int = 0) -> Rows:
    return from_tables(WARD, {"people": patients(members, seed)})


def asked(*edges: str) -> Cox:
    return Cox(time="years", event="died", formula="age", edges=edges).normalised(WARD)


def seen(model: PiecewiseHazard, rows: Rows) -> Population:
    """From a first round without noise whose clip nobody reaches."""
    batch = batch_of(rows, model.columns, np.ones(rows.members, dtype=bool))
    sums = vectors(model, Moments(100.0), batch).sum(axis=0) * 100.0
    return first_population(model, sums, 0.0)


def test_who_stays_to_the_last_edge_is_counted_apart() -> None:
    model, frame = asked(*SHORT).model(WARD), patients(2000, 1)
    found = seen(model, ward(2000, 1)).outcome
    assert len(found) == 2 * 3 + 1
    assert found[-1] == pytest.approx(np.mean(frame.years > 3))
    ended = [
        np.mean((frame.years > low) & (frame.years <= high) & (frame.died == died))
        for low, high in ((0, 0.5), (0.5, 1), (1, 3))
        for died in ("false", "true")
    ]
    np.testing.assert_allclose(found[:-1], ended, atol=1e-9)


@pytest.mark.parametrize("level", [-1.5, -0.5, 0.5])
def test_made_up_scores_have_mean_zero_and_the_information_for_variance(level: float) -> None:
    """What every law's scores have, and why a round's sum can be read: with deaths in the middle
    of their intervals it was not so, and fits went to and fro."""
    model = asked(*SHORT).model(WARD)
    population = seen(model, ward(4000, 2))
    theta = np.array([level, level, level + 1.0, 0.8])
    rows = model.pretend(population, theta)
    found = summed(scores(model, rows, theta), rows)
    usual = np.sqrt((found**2).mean(axis=0))
    assert (np.abs(found.mean(axis=0)) < 0.06 * usual).all()
    events = summed(rows.x * rows.y[:, None], rows).mean(axis=0)[:3]
    np.testing.assert_allclose((found**2).mean(axis=0)[:3], events, rtol=0.12)


def test_the_made_up_ends_are_about_those_that_were_seen() -> None:
    model = asked(*SHORT).model(WARD)
    population = seen(model, ward(6000, 3))
    rows = model.pretend(population, model.begin(population.outcome, 0.0))
    events = summed(rows.x * rows.y[:, None], rows).mean(axis=0)[:3]
    np.testing.assert_allclose(events, population.outcome[1:-1:2], rtol=0.1)
    last = (rows.x[:, 2] == 1) & (rows.y == 0) & (rows.offset > np.log(2 - 1e-6))
    assert last.sum() / rows.members == pytest.approx(population.outcome[-1], rel=0.4)


def test_a_fit_is_held_as_a_normal_law_would_hold_it() -> None:
    rng, size = np.random.default_rng(4), 5
    sampling, privacy, prior = (each @ each.T for each in rng.normal(size=(3, size, size)))
    theta, begun = rng.normal(size=(2, size))
    found = held(Joined(theta, sampling / 0.01, privacy, 1.0), begun, prior, 0.01)
    variance = np.linalg.inv(np.linalg.inv(sampling + privacy) + prior)
    mean = variance @ (np.linalg.solve(sampling + privacy, theta) + prior @ begun)
    np.testing.assert_allclose(found.theta, mean)
    np.testing.assert_allclose(0.01 * found.sampling + found.privacy, variance)
    free = Joined(theta, sampling, privacy, 1.0)
    assert held(free, begun, np.zeros((size, size)), 0.01) is free


def test_a_common_level_of_all_hazards_is_free() -> None:
    firmly = asked(*SHORT).model(WARD).held()
    np.testing.assert_allclose(firmly @ np.array([1.0, 1, 1, 0]), 0, atol=1e-12)
    assert not firmly[3].any()
    assert np.array([1.0, 0, -1, 0]) @ firmly @ np.array([1.0, 0, -1, 0]) == pytest.approx(2.0)


@pytest.mark.parametrize("edges", [SHORT, ("0", "1", "2", "3", "4")])
@pytest.mark.parametrize("epsilon", ["3", "8"])
def test_two_hundred_patients_are_told_of(edges: tuple[str, ...], epsilon: str) -> None:
    """Of the last interval hardly anything is known; the coefficient is told all the same, and is
    the pooled one within six standard errors (a chance of 1e-8)."""
    rows, grid = ward(230, 5), asked(*edges)
    best = coefficients(run(grid.model_copy(update={"way": "newton"}), [rows]))["age"]
    for seed in range(6):
        chosen = grid.chosen(WARD, law(epsilon), 230)[0].normalised(WARD)
        row = coefficients(run(chosen, [rows], epsilon=epsilon, seed=seed))["age"]
        assert not row.note
        error = np.hypot(row.se_noise, 0.5 * row.se_sampling)
        assert abs(row.middle - best.estimate) < 6 * error
        assert row.se < 4 * best.se
