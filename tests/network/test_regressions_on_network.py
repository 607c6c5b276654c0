"""Regressions over the network: pooled statsmodels where noise is negligible; refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from models.regression.effect import Effect
from models.regression.request import Regression
from tests.support.network import Network

HUGE = {"epsilon_allowance": "1000000000000000", "yearly_epsilon": "1000000000000000"}
EPSILON = "100000000000000"
Make = Callable[..., Network]


def found(network: Network, run: Any) -> dict[str, dict[str, float]]:
    rows = network.result(run)["rows"]
    return {row["cell"][1]: row for row in rows if row["cell"][0] == "coefficient"}


def test_the_network_fits_the_pooled_linear_model(make: Make) -> None:
    network = make(**HUGE)
    asked = Regression(formula="score ~ age + C(condition)", way="newton")
    got = found(network, network.ask(asked.to_json(), "", epsilon=EPSILON))
    people = network.pooled.dropna(subset=["score", "age", "condition"])
    x = np.column_stack(
        [np.ones(len(people)), people.age, people.condition == "ms", people.condition == "mood"]
    ).astype(float)
    fit = sm.OLS(people.score.clip(-20, 60).astype(float), x).fit()
    names = ("Intercept", "age", "condition[ms]", "condition[mood]")
    for name, value, error in zip(names, fit.params, fit.bse, strict=True):
        assert got[name]["estimate"] == pytest.approx(value, abs=1e-5 * max(abs(value), error))
        assert got[name]["se"] == pytest.approx(error, rel=1e-5)


def test_the_network_fits_the_pooled_logistic_model(make: Make) -> None:
    network = make(**HUGE)
    asked = Regression(
        formula="condition ~ age + score", family="binomial", happened="als", way="newton"
    )
    got = found(network, network.ask(asked.to_json(), "", epsilon=EPSILON))
    people = network.pooled.dropna(subset=["score", "age", "condition"])
    x = np.column_stack([np.ones(len(people)), people.age, people.score.clip(-20, 60)])
    fit = sm.Logit((people.condition == "als") * 1.0, x.astype(float)).fit(disp=0)
    for name, value, error in zip(("Intercept", "age", "score"), fit.params, fit.bse, strict=True):
        assert got[name]["estimate"] == pytest.approx(value, abs=1e-5 * max(abs(value), error))
        assert got[name]["se"] == pytest.approx(error, rel=1e-5)


@pytest.mark.parametrize(("way", "told"), [("gram", True), ("gradient", False)])
def test_a_noisy_fit_runs_and_says_its_noise(make: Make, way: str, told: bool) -> None:
    network = make(**HUGE)
    asked = Regression(formula="score ~ severity + age", way=way)
    got = found(network, network.ask(asked.to_json(), "age > 20", epsilon="5"))
    assert set(got) == {"Intercept", "severity", "age"}
    assert all((row["se_noise"] > 0) is told for row in got.values())
    assert pd.DataFrame(got).loc["estimate"].abs().max() < 1e6


def test_the_network_finds_the_pooled_effect(make: Make) -> None:
    network = make(**HUGE)
    asked = Effect(
        outcome="score",
        treatment="condition",
        treated="als",
        covariates="age",
        way="newton",
    )
    rows = network.result(network.ask(asked.to_json(), "", epsilon=EPSILON))["rows"]
    got = {row["cell"][1]: row for row in rows if row["cell"][0] == "effect"}
    people = network.pooled.dropna(subset=["score", "age", "condition"])
    given = (people.condition == "als") * 1.0
    x = sm.add_constant(people[["age"]].astype(float))
    weight = np.abs(given - sm.Logit(given, x).fit(disp=0, tol=1e-12).predict(x))
    score = people.score.clip(-20, 60).astype(float)
    fit = sm.WLS(score, sm.add_constant(given), weights=weight).fit()
    assert got["difference"]["estimate"] == pytest.approx(fit.params.iloc[1], abs=1e-5)
    assert got["others"]["estimate"] == pytest.approx(fit.params.iloc[0], abs=1e-5)
