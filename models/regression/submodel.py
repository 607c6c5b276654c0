"""A linear model with fewer terms, from what a larger one opened: no further round, no cost.

Among the same members, the smaller model's coefficients follow from the larger one's and the second
moments of the covariates: with S the columns that are kept and R those that are not,

    beta_S = theta_S + M_SS^-1 M_SR theta_R,

where M are the moments. Both come with noise, which is carried to first order: that of theta as the
larger fit states it, and that of M times theta - (beta_S, 0).

Guarantee: a function of a release's openings alone.
Assumes: a linear model with one row per member, fitted by `newton` or `gram`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.opening import Opening
from models.regression.batch import Floats
from models.regression.families import Linear
from models.regression.formula import parse_formula
from models.regression.member_vectors import Gram, Newton, unpacked
from models.regression.newton import Opened, Standing, newton_sums
from models.regression.outcome import Glm
from models.regression.outside import outside
from models.regression.reading import COEFFICIENT, FACT, members_row, with_errors, without
from models.regression.request import Regression, model_of
from models.regression.special import even_normal
from models.regression.unseen import unseen
from models.result import Estimate, Result
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput

_POINTS, _STEPS = 2048, 60
_BENT = 2.0  # how much more the inverse of noisy products is off than to first order
METHOD = (
    "This model was computed from what the fit of a larger one opened, at no further cost: its "
    "coefficients follow from those of the larger model and the noisy products of covariates, "
    "whose noise is carried into the standard errors."
)
_SAME = "The members are those of the larger model: who lacks a value of any of its columns is out."


@dataclass(frozen=True, eq=False)
class _Moments:
    """Mean products of the covariates inside [d, d], and how noise on them is spread: noise on a
    product of `x @ linear` has deviation `noise`, off the diagonal over the root of 2."""

    second: Floats
    linear: Floats
    noise: float


def submodel(
    asked: Regression, dictionary: Dictionary, opened: Sequence[Opening], formula: str
) -> tuple[Regression, Result]:
    """`formula` from the openings of `asked`, a linear regression; and the request it answers.

    Raises BadInput where it is no part of it, or where no products of covariates were opened.
    """
    smaller = _smaller(asked, dictionary, formula)
    model = model_of(asked, dictionary)
    now, members_noise = asked.standing(dictionary, opened)
    moments = _moments_of(model, now, asked.read(dictionary, opened))
    kept = _kept(model, model_of(smaller, dictionary))
    rows = (*_reduced(model, now, moments, kept), members_row(now, members_noise))
    notes = (f"Made of the fit of {asked.formula}, at no further cost.", _SAME)
    return smaller, Result(asked.kind, ("figure", "term"), rows, unit="", notes=notes)


def _smaller(asked: Regression, dictionary: Dictionary, formula: str) -> Regression:
    model = model_of(asked, dictionary)
    whole = model.design.formula
    if not isinstance(model.family, Linear) or model.most_rows > 1 or model.weighted:
        raise BadInput(
            "only a linear model without weights, of one row per member, holds smaller ones",
            where="formula",
            instead="ask study.glm(…)",
        )
    if asked.way == "gradient":
        raise BadInput("the fit opened no products of covariates", instead="ask with way='gram'")
    tree = parse_formula(formula, dictionary)
    terms = {frozenset(term) for term in whole.terms}
    inside = all(frozenset(term) in terms for term in tree.terms)
    alike = (tree.outcome, tree.offset, tree.weight) == (whole.outcome, whole.offset, None)
    if not (inside and alike and tree.intercept and whole.intercept and tree.terms):
        raise BadInput(
            "no part of the larger model",
            where="formula",
            instead=f"write the same outcome and fewer of the terms of {asked.formula}",
        )
    return Regression.from_json({**asked.to_json(), "formula": formula}).normalised(dictionary)


def _kept(model: Glm, smaller: Glm) -> list[int]:
    """Where the smaller model's columns stand in the larger one."""
    places = {name: at for at, name in enumerate(model.design.names)}
    missing = [name for name in smaller.design.names if name not in places]
    if missing:
        raise BadInput(f"{missing[0]} is no column of the larger model", where="formula")
    return [places[name] for name in smaller.design.names]


def _moments_of(model: Glm, now: Standing, opened: Sequence[Opened]) -> _Moments:
    """From the last information, or from the Gram matrix."""
    last, d, rows = opened[-1], model.width, now.population.rows
    if isinstance(last.asked, Newton):
        variance = math.exp(float(last.asked.theta[-1])) / rows
        _, information, _, noise = newton_sums(model, last.asked.theta, last)
        return _Moments(information[:d, :d] * variance, np.eye(d), noise * variance)
    for each in opened:
        if isinstance(each.asked, Gram):
            return _whole_moments(each.asked, unpacked(each.sums, d) / rows, each.noise / rows)
    raise BadInput("the fit opened no products of covariates", instead="ask with way='gram'")


def _whole_moments(asked: Gram, found: Floats, noise: float) -> _Moments:
    """What the products would be had no member been clipped, were columns normal.

    `found` [d, d] are mean clipped products of mapped columns, the first of which is constant.
    Noise grows as products do, and by what their inverse is bent.
    """
    normal, second = even_normal(_POINTS, len(found) - 1), found.copy()
    second[0, 0] = 1.0
    for _ in range(_STEPS):
        mean = second[0, 1:]
        root = _root(second[1:, 1:] - np.outer(mean, mean))
        points = np.column_stack([np.ones(_POINTS), mean + normal @ root.T])
        kept = np.minimum(1.0, asked.clip / (points**2).sum(axis=1))
        second = second + found - (points * kept[:, None]).T @ points / _POINTS
        second[0, 0] = 1.0
    covariance = second[1:, 1:] - np.outer(second[0, 1:], second[0, 1:])
    second[1:, 1:] += _root(covariance) @ _root(covariance).T - covariance
    grown = float(np.trace(second) / max(np.trace(found), 1e-9))
    back = np.asarray(np.linalg.inv(asked.linear), dtype=np.float64)
    noise *= max(grown, 1.0)
    noise *= 1 + _BENT * (len(found) * noise) ** 2
    return _Moments(back.T @ second @ back, asked.linear, noise)


def _root(matrix: Floats) -> Floats:
    """A root of the nearest matrix that is positive enough."""
    values, axes = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray(axes * np.sqrt(np.clip(values, 0.05, 20.0)))


def _reduced(model: Glm, now: Standing, moments: _Moments, kept: list[int]) -> tuple[Estimate, ...]:
    """Coefficients and residual variance. Columns outside are `x_in @ turn`."""
    matrix, constant = outside(model)
    half = model.scaling[1]
    back = matrix[:, : model.width] / half
    turn = np.asarray(np.linalg.inv(back), dtype=np.float64)
    second = turn.T @ moments.second @ turn
    theta = back @ now.theta[: model.width]
    inverse = np.linalg.inv(second[np.ix_(kept, kept)])
    project = inverse @ second[kept]
    beta, left = project @ theta, theta.copy()
    left[kept] -= beta
    rows = now.population.rows
    variance = math.exp(float(now.theta[-1])) + max(float(left @ second @ left), 0.0)
    variance *= rows / max(rows - len(kept), 1.0)
    privacy = back @ now.privacy[: model.width, : model.width] @ back.T
    privacy = project @ privacy @ project.T
    privacy += inverse @ _shaken(moments, turn, left)[np.ix_(kept, kept)] @ inverse
    errors = np.diag(inverse) * variance / rows * half**2, np.diag(privacy) * half**2
    names = [model.design.names[at] for at in kept]
    found = zip(names, beta * half + constant[kept], *errors, strict=True)
    lines = [with_errors((COEFFICIENT, name), *three) for name, *three in found]
    hidden = unseen(model, replace(now, loose=None)).hidden  # what is left out may determine
    lines = without(lines, frozenset(at for at, place in enumerate(kept) if place in hidden))
    return (*lines, _spread(now, variance * half**2))


def _spread(now: Standing, variance: float) -> Estimate:
    """With the error of the larger model's logarithm of it."""
    errors = (variance**2 * float(each[-1, -1]) for each in (now.sampling, now.privacy))
    return with_errors((FACT, "residual variance"), variance, *errors)


def _shaken(moments: _Moments, turn: Floats, left: Floats) -> Floats:
    """The covariance of (noise on the moments) @ left."""
    spread = np.asarray(np.linalg.inv(moments.linear) @ turn, dtype=np.float64)
    moved = spread @ left
    inner = np.eye(len(moved)) * float(moved @ moved) + np.outer(moved, moved)
    return np.asarray(spread.T @ inner @ spread * moments.noise**2 / 2)
