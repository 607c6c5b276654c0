"""A network with what it reads and predicts: all that weights need to mean something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self, assert_never

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.changed import changed
from models.figures.named import column_named
from models.neural.architecture import (
    MAX_SEED,
    Gru,
    Mlp,
    Parameter,
    ResNet,
    Sizes,
    initial,
    parameters,
)
from models.neural.features import Encoding, encoding
from models.neural.outcome import Amount, Event, Level, Outcome, outcome_of
from models.neural.step import Loss
from privacy.contract.dictionary import Dictionary
from privacy.contract.facts import Fact

Floats = NDArray[np.float32]


class Specification(Fact):
    """Public, and fixed before anything is spent. `event` names a level of a two-level outcome;
    without it the last declared level is the event."""

    network: Annotated[Mlp | ResNet | Gru, Field(discriminator="kind")]
    outcome: str
    event: str | None = None
    features: tuple[str, ...]
    seed: int = Field(default=0, ge=0, le=MAX_SEED)

    def normalised(self, dictionary: Dictionary) -> Self:
        """Columns by their full names. Raises BadInput for what does not fit."""
        compiled(self, dictionary)
        return changed(
            self,
            outcome=column_named(dictionary, self.outcome).name,
            features=tuple(column_named(dictionary, name).name for name in self.features),
        )


@dataclass(frozen=True)
class Compiled:
    """A specification against a dictionary."""

    encoding: Encoding
    outcome: Outcome
    layout: tuple[Parameter, ...]

    @property
    def length(self) -> int:
        return sum(each.count for each in self.layout)

    @property
    def loss(self) -> Loss:
        match self.outcome:
            case Event():
                return "event"
            case Level():
                return "level"
            case Amount():
                return "amount"
            case _:
                assert_never(self.outcome)


def compiled(specification: Specification, dictionary: Dictionary) -> Compiled:
    """Raises BadInput for columns that do not fit, and a network that is too large."""
    network = specification.network
    outcome = outcome_of(dictionary, specification.outcome, specification.event)
    plan = encoding(dictionary, network, specification.features, specification.outcome)
    sizes = Sizes(plan.static_width, plan.visit_width, plan.visits, outcome.outputs)
    return Compiled(plan, outcome, parameters(network, sizes))


def first_weights(made: Compiled, seed: int, base: Floats) -> Floats:
    """The weights of the seed, with what is known of the outcome's level in the last bias."""
    weights = initial(made.layout, seed)
    shares = np.clip(np.asarray(base, dtype=np.float64), 1e-4, 1 - 1e-4)
    match made.outcome:
        case Event():
            level = np.log(shares) - np.log1p(-shares)
        case Level():
            level = np.log(shares)
        case Amount():
            level = np.clip(np.asarray(base, dtype=np.float64), -1.0, 1.0)
        case _:
            assert_never(made.outcome)
    weights[-len(level) :] = level
    return weights
