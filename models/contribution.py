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

from models.streamed import Streamed
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


@dataclass(frozen=True)
class Monomial:
    """A product of variables of one member, by their places in ascending order.

    With q the variables' integers and s their scale, r = q of the first factor; each further
    factor gives r = round(r * q / s); at last r = round(r / divisor), and in an even monomial
    (every factor stands an even number of times) less the middle of its range [0, top], where
    top = round(s / divisor), that is less top // 2. Halves are rounded upwards.
    """

    factors: tuple[int, ...]
    divisor: int = 1

    @property
    def even(self) -> bool:
        return all(self.factors.count(each) % 2 == 0 for each in self.factors)

    def top(self, scale: int) -> int:
        """The largest r before centring."""
        return (2 * scale + self.divisor) // (2 * self.divisor)

    def centre(self, scale: int) -> int:
        """What an even monomial is lessened by."""
        return self.top(scale) // 2 if self.even else 0

    def bound(self, scale: int) -> int:
        """The largest magnitude of the integer that a member adds."""
        return self.top(scale) - self.centre(scale)


@dataclass(frozen=True)
class Products:
    """In the one cell of `dims` where a member is: a count, and products of their numbers.

    `variables` are bounded values of which only q is used, all of one scale; a member without
    a value of every one of them, or in no cell, adds the zero vector. `dims` are columns of
    one-row tables, so that a member is in one cell at most. The vector is cell by cell in
    row-major order: the count (if count_weight > 0), then the monomials.
    """

    dims: tuple[ColumnRef, ...]
    variables: tuple[BoundedValue, ...]
    count_weight: int
    monomials: tuple[Monomial, ...]

    @property
    def scale(self) -> int:
        return self.variables[0].scale

    @property
    def cells(self) -> int:
        return math.prod(len(dim.column.cell_labels) for dim in self.dims)

    @property
    def width(self) -> int:
        """Numbers per cell."""
        return (self.count_weight > 0) + len(self.monomials)

    @property
    def length(self) -> int:
        return self.cells * self.width

    @property
    def norm_squared(self) -> int:
        return self.count_weight**2 + sum(each.bound(self.scale) ** 2 for each in self.monomials)


@dataclass(frozen=True)
class Rollup:
    """Cell counts, and after them the same counts added up over groups of cells.

    `groups` has for every coarser view the group's number of each cell. The cells' bound of one
    per member makes a member be in one group of each view at most.
    """

    cells: CellCounts
    groups: tuple[tuple[int, ...], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Groups of every coarser view."""
        return tuple(max(each) + 1 for each in self.groups)

    @property
    def length(self) -> int:
        return self.cells.length + sum(self.sizes)

    @property
    def norm_squared(self) -> int:
        most = min(self.cells.max_cells, self.cells.length)
        return self.cells.weight**2 * (most + len(self.groups) * most**2)


@dataclass(frozen=True)
class Stack:
    """Several contributions of one member, one after another in one vector."""

    parts: tuple[CellCounts | BoundedValue | Products, ...]

    @property
    def length(self) -> int:
        return sum(part.length for part in self.parts)

    @property
    def norm_squared(self) -> int:
        return sum(part.norm_squared for part in self.parts)


Summed = CellCounts | BoundedValue | Products | Rollup | Stack  # by the database
Contribution = Summed | Streamed
