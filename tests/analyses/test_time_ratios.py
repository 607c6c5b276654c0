"""Accelerated failure times from a released survival table, against lifelines and known laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from lifelines import ExponentialFitter, LogLogisticAFTFitter, LogNormalAFTFitter, WeibullAFTFitter

from models.aggregates.accelerated import Law, fitted
from models.aggregates.life_table import LifeTable
from models.aggregates.requests import Survival, normalise
from models.aggregates.time_ratios import LAWS, time_ratios
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.reference import total
from models.result import NO_INFORMATION, Estimate
from models.rows import from_tables
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.errors import BadInput
from privacy.mechanism import GaussianSum
from tests.support.rows_factory import categorical, number, one_row

WORLD = Dictionary(
    tables=(
        one_row(
            "members",
            number("months", ("0", "200"), ("0", "200"), "months"),
            Column(name="died", type=ColumnType.BOOLEAN, levels=("false", "true")),
            categorical("arm", "control", "drug"),
        ),
    )
)
EDGES = np.arange(0, 61, 5.0)
FINE = np.arange(0, 101, 1.0)
LONGER = 0.4
NEGLIGIBLE = GaussianSum(delta_grid=2**30, nodes=3, margin=1, log2_sigma=4)
LIFELINES: dict[Law, Any] = {
    "weibull": WeibullAFTFitter,
    "lognormal": LogNormalAFTFitter,
    "loglogistic": LogLogisticAFTFitter,
}


def population(law: Law, members: int, rng: np.random.Generator) -> dict[str, Any]:
    drug = rng.integers(0, 2, members)
    draws = {
        "weibull": lambda: np.log(rng.exponential(size=members)),
        "exponential": lambda: np.log(rng.exponential(size=members)),
        "lognormal": lambda: rng.normal(size=members),
        "loglogistic": lambda: rng.logistic(size=members),
    }
    scale = 1.0 if law == "exponential" else 0.7
    time = np.exp(3.2 + LONGER * drug + scale * draws[law]())
    left = rng.uniform(0, 110, members)
    return {
        "id": np.arange(members),
        "months": np.minimum(time, left),
        "died": np.where(time <= left, "true", "false"),
        "arm": np.where(drug == 1, "drug", "control"),
    }


def tables(
    people: dict[str, Any], edges: np.ndarray, noise: float, rng: np.random.Generator
) -> list[LifeTable]:
    found = []
    for arm in ("control", "drug"):
        there = people["arm"] == arm
        months, died = people["months"][there], people["died"][there] == "true"
        events, censored = (np.histogram(months[who], edges)[0] * 1.0 for who in (died, ~died))
        noises = rng.normal(size=2 * len(events) + 2) * noise
        after = float((months > edges[-1]).sum()) + noises[-1] + noises[-2]
        events, censored = events + noises[: len(events)], censored + noises[len(events) : -2]
        found.append(LifeTable(events, censored, after, noise))
    return found


def answer(people: dict[str, Any], law: Law, edges: np.ndarray) -> dict[tuple[str, ...], Estimate]:
    asked = normalise(
        Survival(time="months", event="died", by=("arm",), edges=tuple(f"{e:g}" for e in edges)),
        WORLD,
    )
    assert isinstance(asked, Survival)
    rows = from_tables(WORLD, {"members": pd.DataFrame(people)})
    shape = asked.contribution(WORLD, NEGLIGIBLE.delta_grid)
    totals = total(shape, rows, np.ones(rows.members, dtype=bool))
    opening = Opening(tuple(int(each) for each in totals), NoiseLaw(NEGLIGIBLE, 3))
    result = time_ratios(asked, WORLD, opening, law)
    assert result.by == ("figure", "arm")
    return {row.cell: row for row in result.rows}


@pytest.mark.parametrize("law", LIFELINES)
def test_with_negligible_noise_and_a_fine_grid_it_is_that_of_lifelines(law: Law) -> None:
    people = population(law, 3000, np.random.default_rng(1))
    found = answer(people, law, FINE)
    frame = pd.DataFrame(
        {
            "t": people["months"],
            "e": people["died"] == "true",
            "drug": (people["arm"] == "drug") * 1,
        }
    )
    fit = LIFELINES[law]().fit(frame, "t", "e")
    ratio, error = np.exp(fit.params_.xs("drug", level=1).iloc[0]), fit.standard_errors_
    got = found["time ratio", "drug"]
    assert got.estimate == pytest.approx(ratio, rel=0.005)
    assert got.se_sampling == pytest.approx(ratio * error.xs("drug", level=1).iloc[0], rel=0.01)
    medians = fit.predict_median(pd.DataFrame({"drug": [0, 1]}))
    for arm, median in zip(("control", "drug"), medians, strict=True):
        assert found["median survival (months)", arm].estimate == pytest.approx(median, rel=0.005)


def test_the_exponential_law_is_events_over_time() -> None:
    people = population("exponential", 3000, np.random.default_rng(2))
    found = answer(people, "exponential", FINE)
    for arm in ("control", "drug"):
        there = people["arm"] == arm
        fit = ExponentialFitter().fit(people["months"][there], people["died"][there] == "true")
        got = found["median survival (months)", arm]
        assert got.estimate == pytest.approx(fit.median_survival_time_, rel=0.005)
    assert ("scale", "") not in found


@pytest.mark.parametrize("law", LIFELINES)
def test_a_coarse_grid_is_close(law: Law) -> None:
    people = population(law, 3000, np.random.default_rng(1))
    fine, coarse = (answer(people, law, edges) for edges in (FINE, EDGES))
    for cell in (("time ratio", "drug"), ("median survival (months)", "control")):
        assert coarse[cell].estimate == pytest.approx(fine[cell].estimate, rel=0.02)


@pytest.mark.parametrize("law", LAWS)
def test_the_noise_of_counts_is_carried_to_first_order(law: Law) -> None:
    """Against fits in which each count is moved alone."""
    rng = np.random.default_rng(3)
    exact = tables(population(law, 2000, rng), EDGES, 0.0, rng)
    noisy = [LifeTable(each.events, each.censored, each.after, 2.0) for each in exact]
    found = fitted(law, noisy, EDGES)
    carried = np.zeros_like(found.noise)
    for group, table in enumerate(noisy):
        for at in range(2 * table.bins + 1):
            moves = np.zeros(2 * table.bins + 1)
            moves[at] = table.count_sds[at] / 2
            ends = []
            for sign in (1, -1):
                events = table.events + sign * moves[: table.bins]
                censored = table.censored + sign * moves[table.bins : -1]
                moved = LifeTable(events, censored, table.after + sign * moves[-1], 2.0)
                ends.append(fitted(law, [*noisy[:group], moved, *noisy[group + 1 :]], EDGES).values)
            step = ends[0] - ends[1]
            carried += np.outer(step, step)
    np.testing.assert_allclose(np.diag(found.noise), np.diag(carried), rtol=0.1, atol=1e-12)


@pytest.mark.parametrize("law", LAWS)
def test_nothing_is_said_where_nothing_is_known(law: Law) -> None:
    people = population("weibull", 40, np.random.default_rng(4))
    rng = np.random.default_rng(5)
    found = fitted(law, tables(people, EDGES, 50.0, rng), EDGES)
    assert np.isfinite(found.values).all()
    nobody = {**people, "died": np.full(40, "false")}
    rows = answer(nobody, law, EDGES)
    assert all(np.isfinite(list(row.numbers().values())).all() for row in rows.values())
    assert any(row.note == NO_INFORMATION for row in rows.values())


def test_another_law_is_refused() -> None:
    people = population("weibull", 40, np.random.default_rng(4))
    with pytest.raises(BadInput, match="weibull, exponential"):
        answer(people, "gamma", EDGES)  # type: ignore[arg-type]


@pytest.mark.statistical
@pytest.mark.parametrize("law", LAWS)
def test_intervals_hold_the_truth(law: Law) -> None:
    held = naive = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        found = fitted(law, tables(population(law, 1000, rng), EDGES, 8.0, rng), EDGES)
        off, sampling = abs(found.values[1] - LONGER), found.sampling[1, 1]
        held += off < 1.96 * np.sqrt(sampling + found.noise[1, 1])
        naive += off < 1.96 * np.sqrt(sampling)
    assert 0.92 <= held / 400 <= 0.985
    assert naive / 400 < 0.8
