"""Whether there are events at all, as far as noisy totals let one see."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.regression.batch import Floats
from models.regression.families import Logistic
from models.regression.outcome import Glm, Model
from models.regression.population import Population
from models.regression.survival import PiecewiseHazard

SEEN = 2.0  # standard deviations of noise
LEAST = 0.5  # an event, where there is no noise to speak of
MANY = 0.1  # events for each member: noise that could hide more leaves unsaid that there are none
NO_EVENTS = (
    "There are no events, as far as the noise lets one see: do not rely on what is said of what "
    "leads to them."
)
EVERYBODY = (
    "Everybody has the event, as far as the noise lets one see: do not rely on what is said of "
    "what leads to it."
)


HIDDEN = (
    "How many events there are noise does not let one see: none, or as many as {:,.0f}. Do not "
    "rely on what is said of what leads to them."
)
NEARLY_ALL = (
    "How many are without the event noise does not let one see: none, or as many as {:,.0f}. Do "
    "not rely on what is said of what leads to it."
)


@dataclass(frozen=True)
class Absent:
    """Of a kind that cannot be told from none: noise may hide `most` of it."""

    most: float
    events: bool  # or members without one


def eventless(model: Model, population: Population) -> list[str]:
    """Said where their number cannot be told from none, or from one for everybody, and noise
    could not hide many."""
    absent = _absent(model, population)
    if absent is None or _many(absent, population):
        return []
    return [NO_EVENTS if absent.events else EVERYBODY]


def hidden_events(model: Model, population: Population) -> list[str]:
    """Said where noise could hide many: that none are seen says little then."""
    absent = _absent(model, population)
    if absent is None or not _many(absent, population):
        return []
    return [(HIDDEN if absent.events else NEARLY_ALL).format(absent.most)]


def _many(absent: Absent, population: Population) -> bool:
    return absent.most > max(LEAST, MANY * population.members)


def _absent(model: Model, population: Population) -> Absent | None:
    """What is not seen. Of a member's many rows, each counts for as much noise."""
    seen = _share(model, population.outcome)
    if seen is None:
        return None
    share, error = seen
    noise = SEEN * error * population.noise * model.most_rows
    others = (1 - share) if isinstance(model.family, Logistic) else math.inf
    for part, events in ((share, True), (others, False)):
        if part * population.rows <= max(LEAST, noise):
            most = max(part * population.rows, 0.0) + noise
            return Absent(min(most, _highest(model, population)), events)
    return None


def _highest(model: Model, population: Population) -> float:
    """Of events there can be: one of a member in a fit of hazards, one of a row unless counted."""
    if isinstance(model, PiecewiseHazard):
        return population.members
    return math.inf if model.counts else population.rows


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
