"""What a researcher can know of the error before anything is spent."""

from __future__ import annotations

import math
from collections.abc import Iterable
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


class Foretold:
    """Two half-widths of one cell, by noise and by sampling; None where they cannot be told."""

    half_noise: float | None
    half_sampling: float | None

    @property
    def half_width(self) -> float | None:
        """Half-width of the 95 % interval of one cell, sampling and noise together."""
        if self.half_noise is None or self.half_sampling is None:
            return None
        return math.hypot(self.half_noise, self.half_sampling)

    @property
    def noise_share(self) -> float | None:
        """Part of the expected variance that is privacy noise; None where it cannot be told."""
        if self.half_noise is None or not self.half_width:
            return None
        return (self.half_noise / self.half_width) ** 2


def of_members_alone(
    found: Expected, cells: Iterable[tuple[str, ...]]
) -> tuple[Expected | None, ...]:
    """`found` for the figures that count members; others depend on the data."""
    return tuple(found if cell[0] == "members" else None for cell in cells)


def scale_of(weight: int) -> int:
    """`weight`, which must be positive: else the question is too cheap to carry anything.

    Raises BadInput.
    """
    if weight < 1:
        raise BadInput("epsilon is too small for this question", instead="ask with more epsilon")
    return weight
