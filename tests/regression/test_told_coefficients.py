"""Told coefficients, drawn in as far as noise demands, against the law of normal numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.optimize import minimize

from models.regression.batch import batch_of
from models.regression.member_vectors import Moments, moment_places, vectors
from models.regression.newton import Standing
from models.regression.outcome import Glm
from models.regression.population import (
    CORRELATIONS,
    Population,
    _sorted_out,
    first_population,
)
from models.regression.reading import PRIOR_EFFECT, drawn_in, figures
from models.regression.request import Regression
from tests.support.regression_world import as_rows, clinic, people

CLINIC = clinic()
ASKED = Regression(formula="better ~ age + bmi + sex + arm", family="binomial")


def model() -> Glm:
    return ASKED.normalised(CLINIC).model(CLINIC)


def population(members: int = 3000) -> Population:
    """From the exact sums of a first round whose clip nobody reaches."""
    rows, clip = as_rows(people(members)), 100.0
    batch = batch_of(rows, model().columns, np.ones(members, dtype=bool))
    return first_population(model(), vectors(model(), Moments(clip), batch).sum(axis=0) * clip, 0.0)


def standing(noise: float) -> Standing:
    rng, size = np.random.default_rng(3), model().size
    root = rng.normal(size=(size, size))
    sampling, privacy = 0.02 * root @ root.T, noise * root.T @ root
    theta = rng.normal(size=size)
    return Standing(theta, theta, population(), np.eye(size), sampling, privacy)


def test_without_noise_coefficients_are_told_as_measured() -> None:
    now = standing(0.0)
    assert (drawn_in(model(), now)[0] == now.theta).all()
    found = figures(model(), now, ())
    assert np.array_equal(found.told, found.values)


@pytest.mark.parametrize("noise", [0.001, 0.1, 10.0])
def test_they_are_the_means_of_the_pooled_fit_and_of_the_truth(noise: float) -> None:
    """Conditioning of a joint normal law of (truth, pooled fit, measured), nothing simplified: the
    intercept's prior is so wide that it says nothing."""
    now = standing(noise)
    size, variances = len(now.theta), np.diag(now.population.covariance)
    prior = np.diag([1e7 if v == 0 else PRIOR_EFFECT**2 / v for v in variances])
    joint = np.kron(np.ones((3, 3)), prior)
    joint += np.kron(np.array([[0, 0, 0], [0, 1, 1], [0, 1, 1]]), now.sampling)
    joint += np.kron(np.diag([0, 0, 1]), now.privacy)
    pull = np.linalg.solve(joint[2 * size :, 2 * size :], now.theta)
    pooled, truth = (joint[at * size : (at + 1) * size, 2 * size :] @ pull for at in (1, 0))
    best, shrunk = drawn_in(model(), now)
    np.testing.assert_allclose(best, pooled, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(shrunk, truth, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("noise", [0.001, 0.1, 10.0, 1e6])
def test_what_is_told_lies_within_its_interval(noise: float) -> None:
    found = figures(model(), standing(noise), ())
    for row, value in zip(found.coefficients(), found.values, strict=True):
        assert row.low <= row.estimate <= row.high
        assert row.middle == pytest.approx(value)
        assert row.high - row.low == pytest.approx(2 * stats.norm.ppf(0.975) * row.se)


def test_levels_of_one_factor_covary_as_their_shares_say() -> None:
    arms, made = [4, 5], people(3000)
    assert [model().names[at] for at in arms] == ["arm[b]", "arm[c]"]
    exact = np.cov(np.stack([made.arm == "b", made.arm == "c"]).astype(float), ddof=0)
    found = population().covariance
    np.testing.assert_allclose(found[np.ix_(arms, arms)], exact, atol=1e-9)
    others = [1, 2, 3]
    assert not found[np.ix_(others, arms)].any()
    assert "xx4" not in moment_places(model())


@pytest.mark.parametrize("tau", [0.02, 0.15, 0.5])
def test_correlations_under_noise_are_posterior_means(tau: float) -> None:
    """Against numerical integration under the prior that the numbers suggest, found by another
    search of the same penalised likelihood."""
    found = np.array([0.02, -0.05, 0.1, 0.03, -0.02, 0.75, -0.6, 0.04, 0.0, 0.08])
    mean, left = _sorted_out(found, tau)
    weight = _weights(found, tau)

    def prior(r: float) -> float:
        return float(weight @ stats.norm.pdf(r, scale=CORRELATIONS))

    for number, shrunk in zip(found, mean, strict=True):
        parts = [
            integrate.quad(
                lambda r, k=k, y=number: r**k * prior(r) * stats.norm.pdf(y, r, tau),
                -4,
                4,
                points=[number, 0.0],
                limit=400,
            )[0]
            for k in (0, 1)
        ]
        assert shrunk == pytest.approx(parts[1] / parts[0], abs=0.01)
    assert (np.abs(mean) <= np.abs(found) + 1e-12).all()
    assert 0 < left < tau


def _weights(found: np.ndarray, tau: float) -> np.ndarray:
    """The likeliest weights of the prior's parts, each of which counts one more number."""
    density = stats.norm.pdf(found[:, None], scale=np.sqrt(CORRELATIONS**2 + tau**2))

    def loss(logits: np.ndarray) -> float:
        weight = np.exp(logits - logits.max())
        weight = weight / weight.sum()
        return float(-np.log(density @ weight).sum() - np.log(weight).sum())

    best = minimize(loss, np.zeros(len(CORRELATIONS)), method="BFGS").x
    weight = np.exp(best - best.max())
    return np.asarray(weight / weight.sum())
