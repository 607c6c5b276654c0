"""Smaller linear models from what a larger one opened: the pooled fit, coverage, and refusals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from models.derivation import rounds_of
from models.in_memory import openings
from models.opening import Opening
from models.regression.choosing import Way
from models.regression.request import Regression
from models.regression.submodel import submodel
from models.result import Estimate
from models.rows import Rows
from models.streamed import Streamed
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput
from tests.support.regression_world import DELTA, HUGE, as_rows, clinic, people

FRAME = people(1500, 7)
LARGER = "score ~ age*bmi + sex + arm"
SMALLER = ("score ~ age + sex", "score ~ arm + bmi", "score ~ age*bmi", LARGER)


def opened(asked: Regression, rows: Rows, epsilon: str = HUGE, seed: int = 0) -> Sequence[Opening]:
    """All rounds in memory, with normal noise of the true noise's variance."""
    rng = np.random.default_rng(seed)
    rho = rho_of_epsilon(parse_epsilon(epsilon), DELTA)
    rounds = rounds_of(asked, clinic(), rho, 3, 1, 1)
    noises = iter([each.mechanism for each in rounds])

    def total(shape: object, _: object) -> Iterator[int]:
        assert isinstance(shape, Streamed)
        mechanism = next(noises)
        noise = rng.normal(size=shape.length) * mechanism.noise_variance(3) ** 0.5
        exact = shape.fold(rows, np.ones(rows.members, dtype=bool))
        return (exact + np.rint(noise).astype(np.int64)).tolist()

    return openings(asked, clinic(), rounds, total)


def regression(way: Way, formula: str = LARGER, **more: str) -> Regression:
    return Regression.from_json({"kind": "glm", "formula": formula, "way": way, **more}).normalised(
        clinic()
    )


def found(
    asked: Regression, dictionary: Dictionary, every: Sequence[Opening], formula: str
) -> dict[str, Estimate]:
    return {row.cell[1]: row for row in submodel(asked, dictionary, every, formula)[1].rows}


@pytest.mark.parametrize("formula", SMALLER)
def test_with_negligible_noise_it_is_the_pooled_fit(formula: str) -> None:
    asked = regression("newton")
    got = found(asked, clinic(), opened(asked, as_rows(FRAME)), formula)
    fit = smf.ols(formula, FRAME).fit()
    names = {"sex[m]": "sex[T.m]", "arm[b]": "arm[T.b]", "arm[c]": "arm[T.c]"}
    for name in set(got) - {"residual variance", "members"}:
        other = names.get(name, name)
        error = fit.bse[other]
        assert got[name].estimate == pytest.approx(fit.params[other], abs=1e-5 * error)
        assert got[name].se == pytest.approx(error, rel=1e-5)
    assert len(got) == len(fit.params) + 2
    assert got["residual variance"].estimate == pytest.approx(fit.scale, rel=1e-5)


def test_what_it_answers_is_the_smaller_question() -> None:
    asked = regression("newton")
    smaller, result = submodel(asked, clinic(), opened(asked, as_rows(FRAME)), "score ~ sex")
    assert smaller == regression("newton", "score ~ sex")
    assert any(asked.formula in note for note in result.notes)


def test_members_are_those_of_the_larger_model() -> None:
    frame = FRAME.copy()
    frame.loc[frame.index % 10 == 0, "bmi"] = np.nan
    asked = regression("newton")
    got = found(asked, clinic(), opened(asked, as_rows(frame)), "score ~ age + sex")
    fit = smf.ols("score ~ age + sex", frame.dropna()).fit()
    assert got["age"].estimate == pytest.approx(fit.params["age"], rel=1e-5)
    assert got["members"].estimate == pytest.approx(1350, abs=0.01)


@pytest.mark.parametrize(
    ("asked", "formula", "says"),
    [
        (regression("gradient"), "score ~ age", "no products"),
        (regression("newton"), "score ~ age + years", "fewer of the terms"),
        (regression("newton"), "bmi ~ age", "fewer of the terms"),
        (regression("newton"), "score ~ age - 1", "fewer of the terms"),
        (regression("newton"), "score ~ 1", "fewer of the terms"),
        (regression("newton"), "score ~ clip(age, 20, 80)", "fewer of the terms"),
        (regression("newton"), "score ~ C(sex, ref='m')", "fewer of the terms"),
        (regression("newton", "better ~ age", family="binomial"), "better ~ age", "linear"),
        (regression("newton", "pain ~ dose + age"), "pain ~ dose", "one row"),
        (regression("newton", "score ~ age + weights(years)"), "score ~ age", "weights"),
    ],
)
def test_what_is_no_part_of_it_is_refused(asked: Regression, formula: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        submodel(asked, clinic(), (), formula)


@pytest.mark.statistical
@pytest.mark.parametrize("members", [1000, 3000])
def test_intervals_hold_the_truth(members: int) -> None:
    """Covariates are correlated, so that leaving one out moves the other's coefficient."""
    held, runs = 0, 300
    asked = regression("gram", "score ~ age + bmi + sex")
    for seed in range(runs):
        frame = correlated(members, np.random.default_rng(seed))
        got = found(asked, clinic(), opened(asked, as_rows(frame), "1", seed), "score ~ age + sex")
        held += got["age"].low <= 0.15 - 0.2 * 5 * 0.6 / 14 <= got["age"].high
    assert 0.92 <= held / runs <= (0.985 if members > 1000 else 1.0)  # few members: known limits


def correlated(members: int, rng: np.random.Generator) -> pd.DataFrame:
    first, second = rng.normal(size=(2, members))
    sex = rng.choice(["f", "m"], members)
    age, bmi = 55 + 14 * first, 26 + 5 * (0.6 * first + 0.8 * second)
    score = 0.15 * (age - 55) - 0.2 * (bmi - 26) + 1.5 * (sex == "m") + rng.normal(0, 3, members)
    return pd.DataFrame(
        {
            "id": np.arange(members),
            "age": age.clip(0, 110),
            "bmi": bmi.clip(10, 60),
            "sex": sex,
            "score": score.clip(-20, 20),
        }
    )
