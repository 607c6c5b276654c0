"""What a researcher can know of the error before anything is spent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from privacy.errors import BadInput


@dataclass(frozen=True)
class Expected:
    """Half-widths of the 95 % interval of one cell, in the estimate's unit.

    `assumption` says what was assumed where the error depends on the data; a half-width of
    infinity means that the interval will carry no information. `figure` is what the error is of,
    where an analysis has several.
    """

    half_noise: float
    half_sampling: float
    unit: str
    assumption: str = ""
    figure: str = ""

    @property
    def half_width(self) -> float:
        return math.hypot(self.half_noise, self.half_sampling)

    @property
    def noise_share(self) -> float:
        """Part of the expected variance that is privacy noise."""
        if not math.isfinite(self.half_noise):
            return 1.0
        return (self.half_noise / self.half_width) ** 2 if self.half_width > 0 else 0.0


def scale_of(weight: int) -> int:
    """`weight`, which must be positive: else the question is too cheap to carry anything.

    Raises BadInput.
    """
    if weight < 1:
        raise BadInput("epsilon is too small for this question", instead="ask with more epsilon")
    return weight
