"""Whether there are events at all, as far as noisy totals let one see."""

from __future__ import annotations

import math

from models.regression.batch import Floats
from models.regression.families import Logistic
from models.regression.outcome import Glm, Model
from models.regression.population import Population
from models.regression.survival import PiecewiseHazard

SEEN = 2.0  # standard deviations of noise
LEAST = 0.5  # an event, where there is no noise to speak of
NO_EVENTS = (
    "There are no events, as far as the noise lets one see: do not rely on what is said of what "
    "leads to them."
)
EVERYBODY = (
    "Everybody has the event, as far as the noise lets one see: do not rely on what is said of "
    "what leads to it."
)


def eventless(model: Model, population: Population) -> list[str]:
    """Said where their number cannot be told from none, or from one for everybody."""
    seen = _share(model, population.outcome)
    if seen is None:
        return []
    share, error = seen
    least = max(LEAST, SEEN * error * population.noise * model.most_rows)
    if share * population.rows <= least:
        return [NO_EVENTS]
    every = isinstance(model.family, Logistic) and (1 - share) * population.rows <= least
    return [EVERYBODY] if every else []


def _share(model: Model, mean: Floats) -> tuple[float, float] | None:
    """The share of rows with an event, from what the first round learns of the outcome, and its
    error in units of that of one such mean; None where the outcome is no event."""
    if isinstance(model, PiecewiseHazard):
        return float(mean[1:-1:2].sum()), math.sqrt(model.intervals)
    if isinstance(model.family, Logistic):
        return float(mean[0]) + 0.5, 1.0
    if not model.counts or not isinstance(model, Glm):
        return None
    single = math.log1p(model.highest) / math.log(2)  # over what one event adds to the mean
    return float(mean[0]) * single, single
