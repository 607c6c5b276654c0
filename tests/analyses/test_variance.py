"""Variances and correlations: pandas' figures without noise, and intervals that cover with it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models.aggregates.requests import Correlation, Variance, normalise
from models.contribution import Products
from models.mock import mock_rows
from models.noise_law import NoiseLaw
from models.reference import monomial_value
from models.rows import Rows
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput
from privacy.mechanism import plan_mechanism
from privacy.units import Rho
from tests.support.catalogue_factory import answer, by_cell
from tests.support.rows_factory import clinic, number, one_row

RUNS = 600
BELOW = 3 * math.sqrt(0.05 * 0.95 / RUNS)  # three Monte-Carlo errors
UNIT = Dictionary(tables=(one_row("t", number("x", ("-1", "1")), number("y", ("-1", "1"))),))


@pytest.fixture(scope="module")
def rows() -> Rows:
    return mock_rows(clinic(), members=800, seed=31)


def test_mean_variance_and_standard_deviation(rows: Rows) -> None:
    found = by_cell(answer(Variance(column="change"), rows))
    values = pd.Series(rows.tables["members"].values["change"]).dropna()
    assert found["mean",].estimate == pytest.approx(values.mean(), abs=1e-6)
    assert found["variance",].estimate == pytest.approx(values.var(), rel=1e-6)
    assert found["standard deviation",].estimate == pytest.approx(values.std(), rel=1e-6)
    fourth = ((values - values.mean()) ** 4).mean()
    wanted = math.sqrt((fourth - values.var(ddof=0) ** 2) / len(values))
    assert found["variance",].se == pytest.approx(wanted, rel=0.01)


def test_of_many_rows_it_is_of_the_members_means(rows: Rows) -> None:
    symptoms = rows.tables["symptoms"].first(3)
    frame = pd.DataFrame({"m": symptoms.member, "s": symptoms.values["severity"]}).dropna()
    own = frame.groupby("m")["s"].mean()
    found = by_cell(answer(Variance(column="severity"), rows))
    assert found["variance",].estimate == pytest.approx(own.var(), rel=1e-5)


def test_correlations_are_those_of_complete_cases(rows: Rows) -> None:
    members = rows.tables["members"].values
    frame = pd.DataFrame({name: members[name] for name in ("age", "change")})
    rows.tables["members"].values["change"][:] = members["change"] + 0.1 * members["age"] - 8
    frame = pd.DataFrame({name: members[name] for name in ("age", "change")})
    symptoms = rows.tables["symptoms"].first(3)
    own = pd.DataFrame({"m": symptoms.member, "s": symptoms.values["severity"]}).dropna()
    frame["severity"] = own.groupby("m")["s"].mean()
    frame["change"] = frame["change"].clip(-20, 5)
    wanted = frame.dropna().corr()
    result = answer(Correlation(columns=("age", "change", "severity")), rows)
    assert [row.cell for row in result.rows] == [
        ("age", "change"),
        ("age", "severity"),
        ("change", "severity"),
    ]
    for row in result.rows:
        assert row.estimate == pytest.approx(wanted.loc[row.cell], abs=1e-6)
    assert result.rows[0].estimate > 0.2


def covered(
    analysis: Variance | Correlation,
    draw: object,
    members: int,
    rho: float,
    truth: dict[tuple[str, ...], float],
) -> dict[tuple[str, ...], float]:
    """How often the intervals hold the truth, over runs of a new population and new noise."""
    rng = np.random.default_rng(members)
    asked = normalise(analysis, UNIT)
    law = NoiseLaw(plan_mechanism(Rho(int(rho * 2**60)), 10, 1), survivors=10)
    shape = asked.contribution(UNIT, law.mechanism.delta_grid)
    assert isinstance(shape, Products)
    hits = dict.fromkeys(truth, 0)
    for _ in range(RUNS):
        q = [np.rint(each * shape.scale).astype(np.int64) for each in draw(rng, members)]  # type: ignore[operator]
        exact = [shape.count_weight * members]
        exact += [int(monomial_value(each, q, shape.scale).sum()) for each in shape.monomials]
        noisy = np.array(exact) + np.rint(rng.normal(0, law.sd_grid, shape.length))
        rows = by_cell(asked.estimate(UNIT, noisy.astype(np.int64).tolist(), law))
        for cell, true in truth.items():
            hits[cell] += rows[cell].low <= true <= rows[cell].high
    return {cell: hit / RUNS for cell, hit in hits.items()}


def uniform(rng: np.random.Generator, members: int) -> list[np.ndarray]:
    return [rng.uniform(-1, 1, members)]


def skewed(rng: np.random.Generator, members: int) -> list[np.ndarray]:
    return [2 * rng.beta(2, 6, members) - 1]


@pytest.mark.parametrize("members", [200, 2000])
@pytest.mark.parametrize("rho", [1e6, 0.05, 0.005])
@pytest.mark.parametrize(
    ("draw", "mean", "variance"), [(uniform, 0.0, 1 / 3), (skewed, -0.5, 4 * 12 / (64 * 9))]
)
def test_intervals_of_variances_cover(
    draw: object, mean: float, variance: float, members: int, rho: float
) -> None:
    truth = {("variance",): variance, ("standard deviation",): math.sqrt(variance)}
    for cell, share in covered(Variance(column="x"), draw, members, rho, truth).items():
        assert share >= 0.93 - BELOW, (cell, share)
        assert share <= 0.985 + BELOW or rho < 0.05, (cell, share)
    assert mean < 1


@pytest.mark.parametrize("members", [200, 2000])
@pytest.mark.parametrize("rho", [1e6, 0.05])
@pytest.mark.parametrize("r", [0.0, 0.6, -0.9])
def test_intervals_of_correlations_cover(members: int, rho: float, r: float) -> None:
    def joint(rng: np.random.Generator, members: int) -> list[np.ndarray]:
        x = rng.normal(0, 0.25, members)
        y = r * x + math.sqrt(1 - r * r) * rng.normal(0, 0.25, members)
        return [np.clip(x, -1, 1), np.clip(y, -1, 1)]

    analysis = Correlation(columns=("x", "y"))
    (share,) = covered(analysis, joint, members, rho, {("x", "y"): r}).values()
    assert share >= 0.93 - BELOW
    assert share <= 0.98 + BELOW or rho < 1


@pytest.mark.parametrize(
    ("analysis", "words"),
    [
        (Variance(column="condition"), "no mean"),
        (Variance(column="height"), "declare lower and upper"),
        (Correlation(columns=("age",)), "2 to 8 columns"),
        (Correlation(columns=("age", "members.age")), "twice"),
        (Correlation(columns=("age", "sex")), "no mean"),
    ],
)
def test_what_does_not_fit_is_refused(analysis: Variance | Correlation, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        normalise(analysis, clinic())
    assert words in str(caught.value)


def test_a_mutant_that_does_not_clamp_breaks_the_bound() -> None:
    shape = Variance(column="t.x").contribution(UNIT, 10_000)
    wide = [np.array([2 * shape.scale], dtype=np.int64)]
    numbers = [int(monomial_value(each, wide, shape.scale)[0]) for each in shape.monomials]
    assert shape.count_weight**2 + sum(each**2 for each in numbers) > 10_000**2
    tight = [np.array([shape.scale], dtype=np.int64)]
    numbers = [int(monomial_value(each, tight, shape.scale)[0]) for each in shape.monomials]
    assert shape.count_weight**2 + sum(each**2 for each in numbers) <= shape.norm_squared
    assert replace(shape, count_weight=0).norm_squared < shape.norm_squared
