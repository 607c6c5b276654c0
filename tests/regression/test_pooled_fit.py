"""With negligible noise and any split, a fit is the pooled one of statsmodels: coefficients and
standard errors, in eight rounds."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from statsmodels.miscmodels.ordinal_model import OrderedModel
from statsmodels.tools.numdiff import approx_fprime_cs, approx_hess_cs

from models.regression.batch import batch_of
from models.regression.choosing import Way
from models.regression.cox import Cox
from models.regression.fitting import next_round, standing
from models.regression.member_vectors import vectors
from models.regression.newton import Opened
from models.regression.progression import Progression
from models.regression.reading import figures
from models.regression.request import Regression, model_of
from models.regression.rounds import InRounds
from models.rows import Rows
from tests.support.regression_world import as_rows, clinic, coefficients, people, run

MEMBERS = 3000
FRAME = people(MEMBERS)
SPLITS = ([MEMBERS], [500, 1700], [0, 1000])
LOGIT = "better ~ age + bmi + sex*arm"
NAMES = {"sex[m]": "sex[T.m]", "arm[b]": "arm[T.b]", "arm[c]": "arm[T.c]"}


def split(at: Sequence[int]) -> list[Rows]:
    edges = [0, *at, MEMBERS]
    return [as_rows(FRAME[a:b]) for a, b in pairwise(edges)]


@cache
def reference(name: str) -> Any:
    frame = FRAME.assign(y=(FRAME.better == "true") * 1.0)
    offset = np.log(frame.years)
    match name:
        case "binomial":
            return smf.logit("y ~ age + bmi + sex*arm", frame).fit(disp=0, method="newton")
        case "linear":
            return smf.ols("score ~ age*bmi + sex", frame).fit()
        case "poisson":
            family = sm.families.Poisson()
            return smf.glm("relapses ~ age + bmi + sex", frame, family=family, offset=offset).fit()
        case _:
            asked = smf.negativebinomial("relapses ~ age + bmi + sex", frame, offset=offset)
            rough = asked.fit(disp=0, maxiter=200)
            return asked.fit(start_params=rough.params, method="newton", disp=0, tol=1e-12)


ASKED = {
    "binomial": Regression(formula=LOGIT, family="binomial", way="newton"),
    "linear": Regression(formula="score ~ age*bmi + sex", way="newton"),
    "poisson": Regression(
        formula="relapses ~ age + bmi + sex + offset(log(years))", family="poisson", way="newton"
    ),
    "negative_binomial": Regression(
        formula="relapses ~ age + bmi + sex + offset(log(years))",
        family="negative_binomial",
        way="newton",
    ),
}


GRADES = Regression(formula="grade ~ age + bmi + sex", family="ordinal", way="newton")


def theirs(name: str) -> str:
    return ":".join(NAMES.get(part, part) for part in name.split(":"))


def check(found: Mapping[str, tuple[float, float]], fit: Any, tolerance: float) -> None:
    for name, (value, error) in found.items():
        size = max(abs(fit.params[theirs(name)]), fit.bse[theirs(name)])
        assert abs(value - fit.params[theirs(name)]) < tolerance * size, name
        assert error == pytest.approx(fit.bse[theirs(name)], rel=tolerance), name


def fitted(asked: Regression, parts: Sequence[Rows]) -> dict[str, tuple[float, float]]:
    """By the pure functions alone, without integers: coefficients and standard errors."""
    asked = asked.normalised(clinic())
    model, course = model_of(asked, clinic()), asked.course(clinic())
    there = [part for part in parts if part.members]
    batches = [batch_of(part, model.columns, np.ones(part.members, bool)) for part in there]
    opened: list[Opened] = []
    for _ in course.weights:
        each = next_round(model, course, opened)
        clip = getattr(each, "clip", 1.0)
        total = sum(vectors(model, each, batch).sum(axis=0) for batch in batches)
        opened.append(Opened(each, total * clip, 0.0))
    found = figures(model, standing(model, course, opened), model.outcome.column.column.levels)
    errors = np.sqrt(np.diag(found.sampling))
    return dict(zip(found.names, zip(found.values, errors, strict=True), strict=True))


@pytest.mark.parametrize("at", SPLITS)
@pytest.mark.parametrize("name", ASKED)
def test_the_pure_functions_give_the_pooled_fit(name: str, at: list[int]) -> None:
    check(fitted(ASKED[name], split(at)), reference(name), 1e-6)


def ways() -> list[InRounds]:
    """Every family, and survival and progression, in every way."""
    asked: list[InRounds] = [*ASKED.values(), GRADES]
    asked.append(ASKED["negative_binomial"].model_copy(update={"dispersion": "0.5"}))
    asked.append(Cox(time="years", event="better", formula="age + sex"))
    asked.append(Progression(outcome="pain", time="dose", formula="age", lower="-1", upper="1"))
    return [each.model_copy(update={"way": way}) for each in asked for way in typing.get_args(Way)]


@pytest.mark.parametrize("asked", ways(), ids=lambda asked: f"{asked.kind} {asked.way}")
def test_no_fit_takes_more_than_eight_rounds(asked: InRounds) -> None:
    asked = asked.normalised(clinic())
    kinds = asked.course(clinic()).kinds
    assert len(asked.shares(clinic())) == len(kinds) == 8
    assert kinds[0] == "moments"


@pytest.mark.parametrize("at", SPLITS)
@pytest.mark.parametrize("name", ASKED)
def test_integers_and_any_split_give_the_pooled_fit(name: str, at: list[int]) -> None:
    asked = ASKED[name].normalised(clinic())
    result = run(asked, split(at))
    found = {k: (row.estimate, row.se) for k, row in coefficients(result).items()}
    check(found, reference(name), 1e-5)
    assert not any("converged" in note for note in result.notes)


@pytest.mark.parametrize("shape", [0.4, 1.0, 3.0, 12.0])
@pytest.mark.parametrize("level", [-1.0, 0.5, 2.0])
def test_counts_of_any_spread_are_fitted_in_eight_rounds(level: float, shape: float) -> None:
    rng = np.random.default_rng([3, int(10 * shape), int(10 + level)])
    mean = np.exp(level + 0.03 * (FRAME.age - 55) + 0.4 * (FRAME.sex == "m"))
    counts = np.minimum(rng.negative_binomial(shape, shape / (shape + mean)), 60)
    frame = FRAME.assign(relapses=counts)
    asked = Regression(formula="relapses ~ age + sex", family="negative_binomial", way="newton")
    rough = smf.negativebinomial("relapses ~ age + sex", frame)
    start = rough.fit(disp=0, maxiter=500).params
    fit = rough.fit(start_params=start, method="newton", disp=0, tol=1e-13)
    check(fitted(asked, [as_rows(frame[:800]), as_rows(frame[800:])]), fit, 1e-6)


def test_facts_of_the_law_are_the_pooled_ones() -> None:
    result = run(ASKED["linear"].normalised(clinic()), split([900]))
    facts = coefficients(result, "fact")
    assert facts["members"].estimate == pytest.approx(MEMBERS, abs=0.01)
    assert facts["residual variance"].estimate == pytest.approx(reference("linear").scale, rel=1e-5)
    result = run(ASKED["negative_binomial"].normalised(clinic()), split([900]))
    alpha = reference("negative_binomial").params["alpha"]
    assert coefficients(result, "fact")["dispersion"].estimate == pytest.approx(alpha, rel=1e-4)


def test_a_declared_dispersion_is_kept() -> None:
    asked = ASKED["negative_binomial"].model_copy(update={"dispersion": "0.5"})
    found = coefficients(run(asked.normalised(clinic()), split([900])))
    family = sm.families.NegativeBinomial(alpha=0.5)
    offset = np.log(FRAME.years)
    fit = smf.glm("relapses ~ age + bmi + sex", FRAME, family=family, offset=offset).fit(tol=1e-12)
    for name, row in found.items():
        assert row.estimate == pytest.approx(fit.params[theirs(name)], rel=1e-5)


def log_likelihood(params: np.ndarray) -> Any:
    """Of proportional odds, from the definition; a sum of what may be complex numbers."""
    place = FRAME.grade.map({"low": 0, "mid": 1, "high": 2, "top": 3}).to_numpy()
    eta = np.column_stack([FRAME.age, FRAME.bmi, FRAME.sex == "m"]).astype(float) @ params[:3]
    below = [1 / (1 + np.exp(eta - threshold)) for threshold in params[3:]]
    edges = np.stack([np.zeros_like(eta), *below, np.ones_like(eta)])
    lines = np.arange(len(eta))
    return np.log(edges[place + 1, lines] - edges[place, lines]).sum()


@cache
def best_grades() -> tuple[np.ndarray, np.ndarray]:
    """statsmodels' coefficients, thresholds and errors, by three of Newton's steps to the last
    digits: its own derivatives come by differences."""
    place = FRAME.grade.map({"low": 0, "mid": 1, "high": 2, "top": 3}).to_numpy()
    x = np.column_stack([FRAME.age, FRAME.bmi, FRAME.sex == "m"]).astype(float)
    fit = OrderedModel(place, x, distr="logit").fit(method="bfgs", disp=0, gtol=1e-9, maxiter=500)
    rough = np.append(fit.params[:3], fit.model.transform_threshold_params(fit.params)[1:-1])
    best = rough
    for _ in range(3):
        slope = approx_fprime_cs(best, log_likelihood)
        best = best - np.linalg.solve(approx_hess_cs(best, log_likelihood), slope)
    np.testing.assert_allclose(best, rough, rtol=1e-4)
    errors = np.sqrt(np.diag(np.linalg.inv(-approx_hess_cs(best, log_likelihood))))
    np.testing.assert_allclose(errors[:3], fit.bse[:3], rtol=1e-3)
    return best, errors


@pytest.mark.parametrize("at", SPLITS)
def test_proportional_odds_are_those_of_statsmodels(at: list[int]) -> None:
    (best, errors), names = best_grades(), ("age", "bmi", "sex[m]")
    names = (*names, "low | mid", "mid | high", "high | top")
    exact = fitted(GRADES, split(at))
    found = coefficients(run(GRADES.normalised(clinic()), split(at)))
    for name, value, error in zip(names, best, errors, strict=True):
        size = max(abs(value), error)
        assert abs(exact[name][0] - value) < 1e-6 * size, name
        assert exact[name][1] == pytest.approx(error, rel=1e-6), name
        assert abs(found[name].estimate - value) < 1e-5 * size, name
        assert found[name].se == pytest.approx(error, rel=1e-5), name


def test_splines_without_an_intercept_are_those_of_statsmodels() -> None:
    asked = Regression(
        formula="better ~ bs(age, knots=[40, 60]) + sex + log(bmi) - 1",
        family="binomial",
        way="newton",
    )
    found = coefficients(run(asked.normalised(clinic()), split([900])))
    frame = FRAME.assign(y=(FRAME.better == "true") * 1.0)
    basis = "bs(age, knots=[40, 60], lower_bound=0, upper_bound=110)"
    fit = smf.logit(f"y ~ {basis} + sex + np.log(bmi) - 1", frame).fit(disp=0)
    for name, row in found.items():
        place = {"sex[f]": "sex[f]", "sex[m]": "sex[m]", "log(bmi)": "np.log(bmi)"}
        other = place.get(name) or f"{basis}[{int(name[-2]) - 1}]"
        assert row.estimate == pytest.approx(fit.params[other], abs=1e-5 * fit.bse[other])
        assert row.se == pytest.approx(fit.bse[other], rel=1e-5)


def test_site_intercepts_are_dummies_of_the_pooled_rows() -> None:
    names = ("aa", "bb", "cc")
    parts = split([500, 1700])
    asked = Regression(
        formula="score ~ age + organisation", organisations=names, way="newton"
    ).normalised(clinic())
    found = coefficients(run(asked, parts, sites=names))
    frame = FRAME.assign(site=np.repeat(names, [500, 1200, 1300]))
    fit = smf.ols("score ~ age + site", frame).fit()
    for name, row in found.items():
        other = name.replace("organisation[", "site[T.")
        assert row.estimate == pytest.approx(fit.params[other], rel=1e-5)
        assert row.se == pytest.approx(fit.bse[other], rel=1e-5)


def test_missing_values_leave_out_or_stand_for_themselves() -> None:
    frame = FRAME.copy()
    gone = np.random.default_rng(5).random(MEMBERS) < 0.2
    frame.loc[gone, "bmi"] = np.nan
    asked = Regression(formula="score ~ age + bmi", way="newton").normalised(clinic())
    found = coefficients(run(asked, [as_rows(frame)]))
    fit = smf.ols("score ~ age + bmi", frame.dropna()).fit()
    assert found["bmi"].estimate == pytest.approx(fit.params["bmi"], rel=1e-5)
    both = Regression(formula="score ~ age + bmi + missing(bmi)", way="newton")
    found = coefficients(run(both.normalised(clinic()), [as_rows(frame)]))
    filled = frame.assign(gone=gone * 1.0, bmi=frame.bmi.fillna(35))
    fit = smf.ols("score ~ age + bmi + gone", filled).fit()
    assert found["missing(bmi)"].estimate == pytest.approx(fit.params["gone"], rel=1e-4)
    assert found["age"].se == pytest.approx(fit.bse["age"], rel=1e-5)


def test_weights_count_a_row_so_many_times() -> None:
    frame = FRAME.assign(years=np.random.default_rng(4).integers(1, 4, MEMBERS).astype(float))
    asked = Regression(
        formula="better ~ age + sex + weights(years)", family="binomial", way="newton"
    )
    found = coefficients(run(asked.normalised(clinic()), [as_rows(frame)]))
    y = (frame.better == "true") * 1.0
    x = sm.add_constant(pd.DataFrame({"age": frame.age, "sex": (frame.sex == "m") * 1.0}))
    fit = sm.GLM(y, x, family=sm.families.Binomial(), freq_weights=frame.years).fit(tol=1e-12)
    assert found["age"].estimate == pytest.approx(fit.params["age"], rel=1e-5)
    assert found["age"].se == pytest.approx(fit.bse["age"], rel=1e-5)


def test_weights_of_a_linear_fit_are_its_degrees_of_freedom() -> None:
    """Rows that stand for several count as several, and not in units of the largest weight."""
    rng = np.random.default_rng(8)
    frame = FRAME[:400].assign(years=rng.integers(1, 9, 400).astype(float))
    asked = Regression(formula="score ~ age + arm + weights(years)", way="newton")
    found = run(asked.normalised(clinic()), [as_rows(frame)])
    arms = pd.get_dummies(frame.arm)[["b", "c"]].assign(age=frame.age)
    x = sm.add_constant(arms.astype(float))
    fit = sm.GLM(frame.score, x, freq_weights=frame.years).fit(tol=1e-12)
    assert coefficients(found)["age"].se == pytest.approx(fit.bse["age"], rel=1e-5)
    variance = coefficients(found, "fact")["residual variance"].estimate
    assert variance == pytest.approx(fit.scale, rel=1e-5)
