"""What one member adds to the sum: a closed set of shapes, each with a provable bound.

A contribution says *what* is summed, without saying *where*: the node's engine computes the
sum inside its database, and `models.reference` computes the same integers row by row. Both
must agree bit for bit.

Guarantee: the integer vector of one member has squared L2 norm at most `delta_grid`**2.
Assumes: at most `table.max_rows_per_member` rows per member reach the engine (row ranks
from 0 below that number; the engine filters on the rank).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from privacy.contract.dictionary import ColumnRef


class Summary(StrEnum):
    """How the rows of one member become one value. A one-row table has VALUE."""

    VALUE = "value"
    MEAN = "mean"
    SUM = "sum"


@dataclass(frozen=True)
class CellCounts:
    """A member adds `weight` to every distinct cell in which they have a row.

    Cells are the product of the dimensions' levels or bins in row-major order (the last
    dimension varies fastest). A member with a missing value in a dimension is in no cell of it.
    Dimensions in one many-row table are read from the same row; dimensions in different
    tables combine as a product. A member is in at most `max_cells` cells.
    """

    dims: tuple[ColumnRef, ...]
    weight: int
    max_cells: int

    @property
    def length(self) -> int:
        return math.prod(len(dim.column.cell_labels) for dim in self.dims)

    @property
    def norm_squared(self) -> int:
        return self.weight**2 * min(self.max_cells, self.length)


@dataclass(frozen=True)
class BoundedValue:
    """A member adds (count_weight, q, square) for one clamped value q of a numeric column.

    One row: q = clamp(floor((x - centre) / half_width * scale + 0.5), -scale, scale), in IEEE
    double precision, evaluated in this order. MEAN of many rows: each row gives its own q, and
    the member floor((2*sum + rows) / (2*rows)) (floor division). SUM of many rows: the same
    with the declared max_rows_per_member in place of the number of rows, so that one grid step
    of a member is max_rows_per_member steps of their sum. Rows with a missing value are
    skipped; a member with none left adds the zero vector (not even the count).

    The count component is present if count_weight > 0; the square component, if with_square,
    is q*q // scale - scale // 2 (floor division of non-negative integers).
    """

    column: ColumnRef
    summary: Summary
    centre: float
    half_width: float
    scale: int
    count_weight: int
    with_square: bool

    @property
    def length(self) -> int:
        return 1 + (self.count_weight > 0) + self.with_square

    @property
    def rows_per_step(self) -> int:
        """How many rows' worth of value one step of the member's integer stands for."""
        return self.column.table.max_rows_per_member if self.summary is Summary.SUM else 1

    @property
    def norm_squared(self) -> int:
        square = max(self.scale - self.scale // 2, self.scale // 2) if self.with_square else 0
        return self.count_weight**2 + self.scale**2 + square**2


Contribution = CellCounts | BoundedValue
