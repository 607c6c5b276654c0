"""The public places of a bounded column at which a search may cut it: never a fact of data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from models.aggregates.columns import gridded
from privacy.contract.dictionary import ColumnRef, ColumnType
from privacy.errors import BadInput

MOST_STEPS = 2**16


@dataclass(frozen=True)
class ValueGrid:
    """`steps` equal steps from `start`; place p lies p steps on, and 0 < p < steps cuts.

    Of a column of whole numbers every step holds one of them, so that no cut meets a value.
    """

    ref: ColumnRef
    start: Fraction
    step: Fraction
    steps: int
    whole: bool

    def value(self, position: float) -> float:
        """The value at a position between places, in the column's unit."""
        return float(self.start) + float(self.step) * position

    def low(self, position: float) -> float:
        """The smallest value that an interval from `position` on holds."""
        return self._number(math.floor(position)) if self.whole else self.value(position)

    def high(self, position: float) -> float:
        """The largest value that an interval up to `position` holds."""
        if not self.whole:
            return self.value(position)
        return self._number(max(math.ceil(position) - 1, 0))

    def cut(self, places: Sequence[int]) -> ColumnRef:
        """The column with the places as the inner edges of its bins. Raises BadInput."""
        edges = [self.start + self.step * place for place in places]
        lower, upper = str(self.ref.column.lower), str(self.ref.column.upper)
        return gridded(self.ref, (lower, *(repr(float(edge)) for edge in edges), upper))

    def _number(self, step: int) -> float:
        return float(self.start + min(step, self.steps - 1) + Fraction(1, 2))


def value_grid(ref: ColumnRef) -> ValueGrid:
    """The grid of a column that `value_column` took: all its whole numbers, or 2^16 steps.

    Fewer where doubles would not tell the places apart. Raises BadInput for one value.
    """
    lower, upper = Fraction(str(ref.column.lower)), Fraction(str(ref.column.upper))
    if ref.column.type is ColumnType.INTEGER:
        first, last = math.ceil(lower), math.floor(upper)
        if last <= first:
            raise BadInput(f"{ref.name!r} has room for one whole number only")
        if last - first < MOST_STEPS:
            start = Fraction(first) - Fraction(1, 2)
            return ValueGrid(ref, start, Fraction(1), last - first + 1, whole=True)
    steps = MOST_STEPS
    finest = 4 * math.ulp(max(abs(float(lower)), abs(float(upper))))
    while steps > 2 and (upper - lower) / steps < finest:
        steps //= 2
    return ValueGrid(ref, lower, (upper - lower) / steps, steps, whole=False)
