"""Standard errors where a member has several rows: clustered by member, as statsmodels does."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from models.regression.batch import batch_of
from models.regression.member_vectors import Newton, newton_bounds, vectors
from models.regression.reading import BY_MEMBER, BY_ROW
from models.regression.request import Regression, model_of
from models.rows import Rows
from tests.support.regression_world import as_rows, clinic, coefficients, people, run

MEMBERS = 800


@cache
def visits() -> pd.DataFrame:
    """One to four visits of a member, which are alike, also in what is not in the model."""
    rng = np.random.default_rng(4)
    own = rng.normal(0, 1.5, MEMBERS)
    count = rng.integers(1, 5, MEMBERS)
    home = np.repeat(np.arange(MEMBERS), count)
    dose = (2.5 + 0.9 * own[home] + rng.normal(0, 0.7, len(home))).clip(0, 5)
    pain = 5 + 0.5 * (dose - 2.5) + rng.normal(0, 1, MEMBERS)[home] + rng.normal(0, 1, len(home))
    return pd.DataFrame(
        {
            "id": home,
            "day": np.concatenate([np.arange(k) for k in count]),
            "dose": dose,
            "pain": pain.clip(0, 10),
        }
    )


def rows() -> list[Rows]:
    frame, every = people(MEMBERS, 9), visits()
    cuts = (frame.id < 300, frame.id >= 300)
    return [as_rows(frame[cut], visits=every[every.id.isin(frame[cut].id)]) for cut in cuts]


@cache
def pooled() -> pd.DataFrame:
    frame = visits().merge(people(MEMBERS, 9), on="id")
    return frame.assign(yes=(frame.better == "true") * 1.0, counted=np.rint(frame.pain))


def asked(formula: str, family: str = "linear", **more: Any) -> Regression:
    fields = {"formula": formula, "family": family, "way": "newton", **more}
    return Regression(**fields).normalised(clinic())


def fits() -> dict[str, tuple[Regression, Any]]:
    frame = pooled()
    by = {"cov_type": "cluster", "cov_kwds": {"groups": frame["id"]}}
    counts = smf.glm("counted ~ dose + age", frame, family=sm.families.Poisson())
    logit = smf.logit("yes ~ dose + pain", frame)
    return {
        "linear": (asked("pain ~ dose + age"), smf.ols("pain ~ dose + age", frame).fit(**by)),
        "logistic": (asked("better ~ dose + pain", "binomial"), logit.fit(disp=0, **by)),
        "poisson": (asked("pain ~ dose + age", "poisson"), counts.fit(tol=1e-12, **by)),
    }


@pytest.mark.parametrize("name", ["linear", "logistic", "poisson"])
def test_with_negligible_noise_they_are_those_of_statsmodels(name: str) -> None:
    question, fit = fits()[name]
    result = run(question, rows())
    for term, row in coefficients(result).items():
        size = max(abs(fit.params[term]), fit.bse[term])
        assert abs(row.estimate - fit.params[term]) < 1e-5 * size, term
        assert row.se == pytest.approx(fit.bse[term], rel=1e-5), term
    assert BY_MEMBER in result.notes
    assert BY_ROW not in result.notes


def test_taking_rows_for_independent_would_be_too_narrow() -> None:
    """The mutant: what was told before."""
    _, fit = fits()["linear"]
    naive = smf.ols("pain ~ dose + age", pooled()).fit()
    assert naive.bse["age"] < 0.85 * fit.bse["age"]


def test_a_way_without_them_says_so() -> None:
    result = run(asked("pain ~ dose", way="gram"), rows(), epsilon="5")
    assert BY_ROW in result.notes
    assert BY_MEMBER not in result.notes
    alone = run(asked("score ~ age"), [as_rows(people(300, 9))])
    assert not {BY_ROW, BY_MEMBER} & set(alone.notes)


def test_a_member_is_bounded_and_no_part_of_it_touches_its_bound() -> None:
    """Within the unit ball; and the square of a score is not clipped where the score is not."""
    question = asked("pain ~ dose + age")
    model = model_of(question, clinic())
    batch = batch_of(rows()[0], model.columns, np.ones(300, bool))
    theta = np.array([0.1, 0.2, -0.1, -1.5])
    found = vectors(model, Newton(theta, clustered=True), batch)
    assert np.linalg.norm(found, axis=1).max() <= 1
    first, _ = newton_bounds(model, theta)
    p = model.size
    score = found[:, 1 : p + 1] * 2
    square = found[:, 1 + p + p * (p + 1) // 2 :] * 2
    assert np.linalg.norm(score, axis=1).max() < 1
    np.testing.assert_allclose(np.linalg.norm(square, axis=1), (score**2).sum(axis=1), rtol=1e-9)
    assert first > 0
