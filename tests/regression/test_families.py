"""Laws of outcomes: derivatives against finite differences of scipy's log-likelihoods."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import special, stats
from scipy.interpolate import BSpline

from models.regression.families import (
    Family,
    Linear,
    Logistic,
    NegativeBinomial,
    Ordinal,
    Poisson,
)
from models.regression.special import digamma, even_normal, trigamma
from models.regression.spline import b_splines

Array = np.ndarray
STEP = 1e-5
CASES: list[tuple[Family, list[float]]] = [
    (Logistic(), []),
    (Poisson(), []),
    (Linear(), [0.3]),
    (NegativeBinomial(0.7), []),
    (NegativeBinomial(), [-0.4]),
    (Ordinal(4), [-1.0, 0.2, 1.5]),
]


def log_likelihood(family: Family, y: Array, eta: Array, kappa: Array) -> Array:
    match family:
        case Logistic():
            return stats.bernoulli.logpmf(y, special.expit(eta))
        case Poisson():
            return stats.poisson.logpmf(y, np.exp(eta))
        case Linear():
            return stats.norm.logpdf(y, eta, np.exp(kappa[0] / 2))
        case NegativeBinomial(dispersion):
            a = np.exp(kappa[0]) if dispersion is None else dispersion
            return stats.nbinom.logpmf(y, 1 / a, 1 / (1 + a * np.exp(eta)))
        case _:
            edges = np.concatenate([[-np.inf], kappa, [np.inf]])
            upper, lower = edges[y.astype(int) + 1], edges[y.astype(int)]
            return np.log(special.expit(upper - eta) - special.expit(lower - eta))


def by_eta(function: Callable[[Array, Array], Array], eta: Array, kappa: Array) -> Array:
    return (function(eta + STEP, kappa) - function(eta - STEP, kappa)) / (2 * STEP)


def by_kappa(function: Callable[[Array, Array], Array], eta: Array, kappa: Array, k: int) -> Array:
    step = STEP * (np.arange(len(kappa)) == k)
    return (function(eta, kappa + step) - function(eta, kappa - step)) / (2 * STEP)


@pytest.mark.parametrize(("family", "own"), CASES)
def test_scores_and_information_are_the_derivatives(family: Family, own: list[float]) -> None:
    rng = np.random.default_rng(1)
    eta, kappa = rng.normal(size=60), np.array(own)
    y = family.draw(eta, kappa, rng.normal(size=60))
    found, curve = family.score(y, eta, kappa), family.information(y, eta, kappa)

    def likelihood(e: Array, k: Array) -> Array:
        return log_likelihood(family, y, e, k)

    def slope(e: Array, k: Array) -> Array:
        return family.score(y, e, k).eta

    np.testing.assert_allclose(found.eta, by_eta(likelihood, eta, kappa), atol=1e-8)
    np.testing.assert_allclose(curve.eta, -by_eta(slope, eta, kappa), atol=1e-8)
    for k in range(len(kappa)):
        got = by_kappa(likelihood, eta, kappa, k)
        np.testing.assert_allclose(found.kappa[:, k], got, atol=1e-7)
        if isinstance(family, Linear):
            continue  # its information is the expected one
        np.testing.assert_allclose(curve.mixed[:, k], -by_kappa(slope, eta, kappa, k), atol=1e-7)
        own_slope = by_kappa(lambda e, q: family.score(y, e, q).kappa, eta, kappa, k)
        np.testing.assert_allclose(curve.kappa[:, :, k], -own_slope, atol=1e-7)


@pytest.mark.parametrize(("family", "own"), CASES)
def test_the_average_is_that_of_many_outcomes(family: Family, own: list[float]) -> None:
    """Within five standard errors and 3 %, for the draws are nearly of the law."""
    rng = np.random.default_rng(2)
    eta, kappa, draws = np.full(40_000, 0.4), np.array(own), rng.normal(size=40_000)
    y = family.draw(eta, kappa, draws)
    average = family.average(eta, kappa)
    square = family.score(y, eta, kappa).eta ** 2
    error = 5 * square.std() / np.sqrt(len(y)) + 0.03 * square.mean()
    assert abs(square.mean() - average.eta[0]) < error


def test_special_functions_are_those_of_scipy() -> None:
    x = np.array([1e-4, 0.1, 1.0, 3.3, 50.0, 1e5])
    np.testing.assert_allclose(digamma(x), special.digamma(x), rtol=1e-11)
    np.testing.assert_allclose(trigamma(x), special.polygamma(1, x), rtol=1e-11)


def test_even_points_have_the_moments_of_the_normal_law() -> None:
    points = even_normal(1024, 12)
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(points.T @ points / 1024, np.eye(12), atol=1e-12)
    assert stats.kstest(points[:, 3], "norm").statistic < 0.03


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
def test_splines_are_those_of_scipy(degree: int) -> None:
    x = np.linspace(-2, 5, 57)
    inner = (-1.0, 0.5, 3.0)
    found = b_splines(x, -2.0, 5.0, inner, degree)
    knots = np.concatenate([np.full(degree + 1, -2.0), inner, np.full(degree + 1, 5.0)])
    wanted = BSpline.design_matrix(x, knots, degree).toarray()
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    assert (found >= -1e-15).all()
