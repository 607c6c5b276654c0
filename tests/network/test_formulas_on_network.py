"""Every part of a formula over the network, against statsmodels on the pooled rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from models.regression.request import Regression
from tests.support.network import Network

HUGE = {"epsilon_allowance": "1000000000000000", "yearly_epsilon": "1000000000000000"}
EPSILON = "100000000000000"
NAMES = {
    "condition[ms]": "C(condition)[T.ms]",
    "condition[mood]": "C(condition)[T.mood]",
    "treatment[riluzole]": "C(treatment)[T.riluzole]",
    "treatment[other]": "C(treatment)[T.other]",
    "missing(score)": "gone",
    "log(age)": "np.log(young)",
}


@pytest.fixture
def network(make: Callable[..., Network]) -> Network:
    return make(**HUGE)


def pooled(network: Network) -> pd.DataFrame:
    frame = network.pooled
    score = frame.score.clip(-20, 60)
    return frame.assign(
        gone=score.isna() * 1.0,
        filled=score.fillna(20.0),
        young=frame.age.clip(1, 110),
        als=(frame.condition == "als") * 1.0,
        years=np.rint(frame.age),
        score=score,
    )


def check(network: Network, asked: Regression, fit: Any, names: dict[str, str]) -> None:
    rows = network.result(network.ask(asked.to_json(), "", epsilon=EPSILON))["rows"]
    got = {row["cell"][1]: row for row in rows if row["cell"][0] == "coefficient"}
    assert len(got) == len(fit.params)
    for name, row in got.items():
        parts = (names.get(part, part) for part in name.split(":"))
        theirs = names.get(name) or ":".join(parts)
        error = fit.bse[theirs]
        assert row["estimate"] == pytest.approx(fit.params[theirs], abs=1e-5 * error), name
        assert row["se"] == pytest.approx(error, rel=1e-4), name


def test_missing_values_with_a_column_of_their_own(network: Network) -> None:
    asked = Regression(formula="age ~ score + missing(score) + treatment", way="newton")
    fit = smf.ols("age ~ filled + gone + C(treatment)", pooled(network)).fit()
    check(network, asked, fit, {**NAMES, "score": "filled"})


def test_interactions_of_numbers_and_levels(network: Network) -> None:
    asked = Regression(formula="score ~ age*condition + treatment:age", way="newton")
    frame = pooled(network).dropna(subset=["score"])
    arm = "age:C(treatment, Treatment('none'))"
    fit = smf.ols(f"score ~ age*C(condition) + {arm}", frame).fit()
    terms = {f"treatment[{level}]:age": f"{arm}[T.{level}]" for level in ("riluzole", "other")}
    check(network, asked, fit, {**NAMES, **terms})


def test_offsets_and_counts(network: Network) -> None:
    asked = Regression(
        formula="age ~ condition + offset(log1p(clip(age, 10, 110)))",
        family="poisson",
        way="newton",
    )
    frame = pooled(network)
    fit = smf.glm(
        "years ~ C(condition)",
        frame,
        family=sm.families.Poisson(),
        offset=np.log1p(frame.age.clip(10, 110)),
    ).fit(tol=1e-12)
    check(network, asked, fit, NAMES)


def test_weights_count_a_member_so_many_times(network: Network) -> None:
    asked = Regression(
        formula="condition ~ treatment + weights(age)",
        family="binomial",
        happened="als",
        way="newton",
    )
    frame = pooled(network)
    fit = smf.glm(
        "als ~ C(treatment)", frame, family=sm.families.Binomial(), freq_weights=frame.age
    ).fit(tol=1e-12)
    check(network, asked, fit, NAMES)


def test_splines_and_logarithms(network: Network) -> None:
    asked = Regression(
        formula="condition ~ bs(score, knots=[10, 30]) + log(clip(age, 1, 110))",
        family="binomial",
        happened="als",
        way="newton",
    )
    frame = pooled(network).dropna(subset=["score"])
    basis = "bs(score, knots=[10, 30], lower_bound=-20, upper_bound=60)"
    fit = smf.logit(f"als ~ {basis} + np.log(young)", frame).fit(disp=0, tol=1e-12)
    terms = {f"bs(score)[{k}]": f"{basis}[{k - 1}]" for k in range(1, 6)}
    check(network, asked, fit, {**NAMES, **terms, "log(clip(age, 1, 110))": "np.log(young)"})
