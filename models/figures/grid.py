"""How a figure's number is computed, so that every engine gets the same bits.

Values are rounded to a decimal grid of `digits` places that depends on declared bounds alone,
added up as 64-bit integers, and divided once, in IEEE double precision and in this order:

    q = clamp(floor(x * 10^digits + 0.5))                 (x / 10^-digits where digits < 0)
    sum    sum(q) / 10^digits
    mean   (sum(q) / n) / 10^digits                       n: rows with a known value
    share  m / n                                          m: rows where the test holds
    slope  ((n sum(t q) - sum(t) sum(q)) / (n sum(t t) - sum(t)^2)) * 30.4375 / 10^digits

with division by 10^digits read as multiplication by 10^-digits where digits < 0, and t the day
of the row. The day of a date is the number of days since 1900-01-01; that of a counted time x is
floor(x * days per unit + 0.5), clamped to ten million days. In a slope a day is counted from
1900-01-01, or from the day of the clock's lower bound, and clamped to 0 ... 65,535.

Guarantee: no integer above reaches 2^62, whatever the rows hold; integers that are divided
in a mean, sum or share are below 2^53, so that doubles hold them exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

from models.figures.clock import days_per_unit
from privacy.contract.dictionary import Column, ColumnRef, ColumnType
from privacy.errors import BadInput

DAYS_PER_MONTH = 30.4375
ORIGIN = date(1900, 1, 1)
LAST_DAY = 2**16 - 1
DAY_LIMIT = 10_000_000
MOST_DIGITS = 6
LEAST_DIGITS = -15
MOST_SLOPE_ROWS = 2**15
_SUM_BITS = 52
_SLOPE_BITS = 61
_DAY_BITS = 16
_FINEST = 2**31


@dataclass(frozen=True)
class Grid:
    """Decimal steps within [low, high], as whole numbers."""

    digits: int
    low: int
    high: int

    @property
    def times(self) -> float:
        """What a value is multiplied by: 10^digits, or 1.0."""
        return float(10 ** max(self.digits, 0))

    @property
    def over(self) -> float:
        """What a value is divided by: 10^-digits, or 1.0."""
        return float(10 ** max(-self.digits, 0))


def sum_grid(column: ColumnRef) -> Grid:
    """For means and sums of a bounded numeric column."""
    most = column.table.max_rows_per_member
    return _grid(column, min(_FINEST, 2**_SUM_BITS // most))


def slope_grid(column: ColumnRef) -> Grid:
    """For slopes: coarser, because products with days are added up."""
    most = column.table.max_rows_per_member
    if most > MOST_SLOPE_ROWS:
        raise BadInput(
            f"{column.table.name} has too many rows per member for a slope",
            instead=f"declare a max_rows_per_member of at most {MOST_SLOPE_ROWS:,}",
        )
    return _grid(column, min(_FINEST, 2 ** (_SLOPE_BITS - _DAY_BITS) // most**2))


def _grid(column: ColumnRef, finest: int) -> Grid:
    low, high = bounds(column)
    largest = max(abs(low), abs(high))
    whole = column.column.type is ColumnType.INTEGER
    for digits in range(0 if whole else MOST_DIGITS, LEAST_DIGITS - 1, -1):
        grid = Grid(digits, 0, 0)
        if largest * grid.times / grid.over + 1 <= finest:
            return Grid(digits, _step(grid, low), _step(grid, high))
    raise BadInput(f"the bounds of {column.name} are too wide", instead="declare narrower ones")


def _step(grid: Grid, value: float) -> int:
    return math.floor(value * grid.times / grid.over + 0.5)


def bounds(column: ColumnRef) -> tuple[float, float]:
    """The declared bounds; raises BadInput where there are none."""
    if column.column.bounds is None:
        raise BadInput(
            f"{column.name} has no bounds", instead="declare lower and upper in the dictionary"
        )
    return column.column.bounds


def first_day(clock: Column) -> int:
    """The day that slopes count from: 0 for dates (1900-01-01), else that of the lower bound."""
    if clock.type is ColumnType.DATE or clock.bounds is None:
        return 0
    return math.floor(clock.bounds[0] * (days_per_unit(clock) or 1.0) + 0.5)
