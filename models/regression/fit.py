"""What a finished run of rounds found: coefficients with both covariances, and what predicts.

Coefficients stand in the researcher's units and in one order: the terms, then an ordinal model's
thresholds or the logarithms of a survival model's baseline hazards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import assert_never

import numpy as np

from models.opening import Opening
from models.regression.batch import Floats
from models.regression.cox import BASELINE, Cox, hazards
from models.regression.families import Linear, NegativeBinomial
from models.regression.newton import Standing
from models.regression.outcome import Glm
from models.regression.outside import outside
from models.regression.progression import Progression
from models.regression.reading import figures
from models.regression.request import Regression
from models.regression.special import logistic
from models.regression.survival import PiecewiseHazard
from privacy.contract.dictionary import Dictionary

Fitted = Regression | Cox | Progression
LEAST_SPREAD = 0.05
_LARGEST = 30.0


@dataclass(frozen=True)
class Spread:
    """About where predictions lie, by the noised law of the covariates: `centre` and `scale` of
    the linear predictor, or of the predicted number; `error` of the outcome about it.

    They say where bins lie and by how much is divided. A wrong one costs precision, no more.
    """

    centre: float
    scale: float
    error: float


@dataclass(frozen=True, eq=False)
class Fit:
    """`values` [k] as they are told, with covariances `sampling` and `privacy` [k, k]; `shrunk` [k]
    predicts."""

    names: tuple[str, ...]
    values: Floats
    sampling: Floats
    privacy: Floats
    shrunk: Floats
    spread: Spread


def fit_of(request: Fitted, dictionary: Dictionary, opened: Sequence[Opening]) -> Fit:
    """The fit after all rounds. Raises BadInput for openings of another analysis."""
    now, _ = request.standing(dictionary, opened)
    model: Glm | PiecewiseHazard
    match request:
        case Cox():
            model = request.model(dictionary)
            found = hazards(request, model, now)
            names = (*model.design.names, *baseline_names(model))
        case Regression() | Progression():
            model = request.model(dictionary)
            found = figures(model, now, model.outcome.column.column.levels)
            names = found.names
        case _:
            assert_never(request)
    spread = spread_of(model, now, inside(model, found.shrunk))
    return Fit(names, found.told, found.sampling, found.privacy, found.shrunk, spread)


def baseline_names(model: PiecewiseHazard) -> tuple[str, ...]:
    """One per interval of time, and of organisations where each has its own."""
    spans = [f"log {BASELINE} ({low:.12g}, {high:.12g}]" for low, high in pairwise(model.edges)]
    if model.sites == 1:
        return tuple(spans)
    return tuple(f"{site} {span}" for site in range(model.sites) for span in spans)


def inside(model: Glm | PiecewiseHazard, values: Floats) -> Floats:
    """The coefficients of `model.rows(...).x` and what follows them, from those outside.

    Shape [len(values)]: a spread of the outcome, which no prediction needs, is not among them.
    """
    if isinstance(model, PiecewiseHazard):
        return inside_hazards(model, values)
    matrix, constant = outside(model)
    kept = len(values)
    return np.asarray(np.linalg.solve(matrix[:, :kept], values - constant))


def inside_hazards(model: PiecewiseHazard, values: Floats) -> Floats:
    """Baselines first, as inside."""
    back, shift = model.design.back
    slopes = np.linalg.solve(back, values[: len(back)])
    return np.concatenate([values[len(back) :] - float(shift @ slopes), slopes])


def spread_of(model: Glm | PiecewiseHazard, now: Standing, theta: Floats) -> Spread:
    """Of the linear predictor for an event, levels or hazards; of the mean for a number."""
    population = now.population
    points = population.points
    if isinstance(model, PiecewiseHazard):
        return _scores(points[:, model.baselines :] @ theta[model.baselines :])
    eta = points @ theta[: model.width] + population.offset
    if not model.family.log_link and not isinstance(model.family, Linear):
        return _scores(eta)
    middle, half = model.scaling
    if isinstance(model.family, Linear):
        error = half * math.exp(float(np.clip(now.theta[-1], -10, 10)) / 2)
        mean = middle + half * eta
    else:
        mean = np.exp(np.clip(eta, -_LARGEST, _LARGEST))
        more = 0.0
        if isinstance(model.family, NegativeBinomial):
            more = model.family.size(now.theta[model.width :])
        error = math.sqrt(float(np.mean(mean + more * mean**2)))
    scale = max(float(np.std(mean)), LEAST_SPREAD * error, 1e-9)
    return Spread(float(np.mean(mean)), scale, max(error, 1e-9))


def _scores(eta: Floats) -> Spread:
    return Spread(float(np.mean(eta)), max(float(np.std(eta)), LEAST_SPREAD), 1.0)


def probabilities(thresholds: Floats, eta: Floats) -> Floats:
    """[n, thresholds + 1]: of each class of an ordinal model."""
    below = logistic(np.clip(thresholds[None, :] - eta[:, None], -_LARGEST, _LARGEST))
    whole = np.concatenate([np.zeros((len(eta), 1)), below, np.ones((len(eta), 1))], axis=1)
    return np.asarray(np.diff(whole, axis=1))
