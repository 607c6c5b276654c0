"""Bins of a linear predictor: evenly about its centre, by its spread where the model was fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.regression.batch import Floats


@dataclass(frozen=True)
class ScoreBins:
    """`count` bins about `centre`, each `step` * `scale` wide; the first and the last are open."""

    centre: float
    scale: float
    count: int
    step: float

    @property
    def edges(self) -> tuple[float, ...]:
        places = (np.arange(self.count - 1) - (self.count - 2) / 2) * self.step
        return tuple(float(each) for each in self.centre + self.scale * places)

    @property
    def middles(self) -> Floats:
        """A value that stands for each bin; beyond the last edges half a step further."""
        places = (np.arange(self.count) - (self.count - 1) / 2) * self.step
        return np.asarray(self.centre + self.scale * places)
