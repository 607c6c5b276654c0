"""Cohorts and contributions computed row by row in memory: the meaning the engines must match.

Guarantee: each row of `contribute` has squared L2 norm at most the contribution's
`norm_squared`, whatever the members' rows hold.
Assumes: nothing; rows beyond the declared number per member are left out here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from models.cohort.expression import Expression, Leaf, Missing
from models.cohort.truth import Mask, Truth, holds, leaf_truth, truth
from models.contribution import (
    BoundedValue,
    CellCounts,
    Contribution,
    Monomial,
    Products,
    Rollup,
    Stack,
    Summary,
    Summed,
)
from models.figures.reference import values_of
from models.rows import Codes, Rows, cell_codes, is_known, ranks
from models.streamed import Streamed

Integers = NDArray[np.int64]


def cohort_mask(expression: Expression, rows: Rows) -> Mask:
    """Shape [members]: true where the expression is true (neither false nor unknown)."""
    found = truth(expression, rows.members, lambda leaf: _leaf(leaf, rows))
    return np.asarray(found == 2)


def _leaf(leaf: Leaf, rows: Rows) -> Truth:
    """Member by member; on a many-row table true if any row makes it so, else false."""
    table, values = values_of(rows, leaf.column)
    known = is_known(values)
    if leaf.column.many and not isinstance(leaf, Missing):
        found = np.zeros(rows.members, dtype=np.int8)
        found[table.member[known & holds(leaf, values)]] = 2
        return found
    found = np.full(rows.members, 2 if isinstance(leaf, Missing) else 1, dtype=np.int8)
    found[table.member[known]] = leaf_truth(leaf, values, known)[known]
    return found


@dataclass(frozen=True, repr=False, eq=False)
class _Entries:
    """The non-zero numbers of all members' vectors; (member, place) is never repeated."""

    member: Codes
    place: Codes
    amount: Integers


def contribute(contribution: Contribution, rows: Rows, mask: Mask) -> Integers:
    """Shape [members, length]: what each member adds, in grid units; zeros outside `mask`."""
    if isinstance(contribution, Streamed):
        return _one_by_one(contribution, rows, mask)
    entries = _entries(contribution, rows, mask)
    matrix = np.zeros((rows.members, contribution.length), dtype=np.int64)
    matrix[entries.member, entries.place] = entries.amount
    return matrix


def total(contribution: Contribution, rows: Rows, mask: Mask, site: str = "") -> Integers:
    """Shape [length]: the sum of `contribute` over members, without the matrix.

    `site` is the organisation whose members they are, where organisations are told apart.
    """
    if isinstance(contribution, Streamed):
        return contribution.fold(rows, mask, site)
    entries = _entries(contribution, rows, mask)
    summed = np.zeros(contribution.length, dtype=np.int64)
    np.add.at(summed, entries.place, entries.amount)
    return summed


def _one_by_one(contribution: Streamed, rows: Rows, mask: Mask) -> Integers:
    matrix = np.zeros((rows.members, contribution.length), dtype=np.int64)
    for member in np.flatnonzero(mask):
        alone = np.arange(rows.members) == member
        matrix[member] = contribution.fold(rows, alone)
    return matrix


def _entries(contribution: Summed, rows: Rows, mask: Mask) -> _Entries:
    match contribution:
        case CellCounts():
            member, cell = _cells(contribution, rows, mask)
            return _Entries(member, cell, np.full(len(cell), contribution.weight, dtype=np.int64))
        case BoundedValue():
            member, value = _member_values(contribution, rows, mask)
            return _stacked(member, _components(contribution, value))
        case Products():
            return _product_entries(contribution, rows, mask)
        case Rollup():
            return _rollup_entries(contribution, rows, mask)
        case Stack():
            return _joined(
                [_entries(part, rows, mask) for part in contribution.parts],
                [part.length for part in contribution.parts],
            )
        case _:
            assert_never(contribution)


def _cells(shape: CellCounts, rows: Rows, mask: Mask) -> tuple[Codes, Codes]:
    """Distinct (member, cell) pairs, of each member the first `max_cells` in cell order.

    A cell's index is a sum of one offset per table.
    """
    member = np.flatnonzero(mask)
    cell = np.zeros(len(member), dtype=np.int64)
    for name in dict.fromkeys(dim.table.name for dim in shape.dims):
        theirs, offset = _offsets(shape, rows, name)
        start = np.searchsorted(theirs, member, side="left")
        count = np.searchsorted(theirs, member, side="right") - start
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        cell = np.repeat(cell, count) + offset[np.repeat(start, count) + within]
        member = np.repeat(member, count)
    kept = ranks(member, np.lexsort((cell, member))) < shape.max_cells
    return member[kept], cell[kept]


def _offsets(shape: CellCounts, rows: Rows, name: str) -> tuple[Codes, Codes]:
    """One table's distinct (member, offset) pairs, sorted by member; rows with a gap left out."""
    stride, parts, complete = shape.length, [], []
    for dim in shape.dims:
        stride //= len(dim.column.cell_labels)
        if dim.table.name == name:
            table, values = values_of(rows, dim)
            codes = cell_codes(dim.column, values)
            parts.append(codes * stride)
            complete.append(codes >= 0)
    keep = np.logical_and.reduce(complete)
    pairs = np.stack([table.member[keep], np.sum(parts, axis=0)[keep]])
    distinct = np.unique(pairs, axis=1)
    return distinct[0], distinct[1]


def _member_values(shape: BoundedValue, rows: Rows, mask: Mask) -> tuple[Codes, Integers]:
    """Members with a known value, in order, and the integer of each."""
    table, values = values_of(rows, shape.column)
    use = is_known(values) & mask[table.member]
    member, inverse = np.unique(table.member[use], return_inverse=True)
    summed = np.zeros(len(member), dtype=np.int64)
    np.add.at(summed, inverse, quantised(shape, values[use]))
    match shape.summary:
        case Summary.VALUE:
            value = summed
        case Summary.SUM:
            value = _rounded(summed, np.int64(shape.rows_per_step))
        case Summary.MEAN:
            count = np.bincount(inverse, minlength=len(member)).astype(np.int64)
            value = _rounded(summed, count)
        case _:
            assert_never(shape.summary)
    return member, value


def _rounded(summed: Integers, rows: Integers | np.int64) -> Integers:
    """summed / rows to the nearest integer, halves upwards."""
    return np.asarray((2 * summed + rows) // (2 * rows), dtype=np.int64)


def quantised(shape: BoundedValue, values: NDArray[np.float64]) -> Integers:
    """One clamped integer in [-scale, scale] per known value, in the order the bytes fix."""
    with np.errstate(over="ignore"):  # beyond the doubles is beyond the bounds too
        steps = np.floor((values - shape.centre) / shape.half_width * shape.scale + 0.5)
    return np.clip(steps, -shape.scale, shape.scale).astype(np.int64)


def _components(shape: BoundedValue, value: Integers) -> list[Integers]:
    columns = [value]
    if shape.count_weight > 0:
        columns.insert(0, np.full(len(value), shape.count_weight, dtype=np.int64))
    if shape.with_square:
        columns.append(value * value // shape.scale - shape.scale // 2)
    return columns


def _stacked(member: Codes, columns: list[Integers]) -> _Entries:
    place = np.repeat(np.arange(len(columns)), len(member))
    return _Entries(np.tile(member, len(columns)), place, np.concatenate(columns))


def _joined(parts: list[_Entries], lengths: list[int]) -> _Entries:
    """Vectors one after another."""
    starts = np.cumsum([0, *lengths])
    return _Entries(
        np.concatenate([part.member for part in parts]),
        np.concatenate([part.place + start for part, start in zip(parts, starts, strict=False)]),
        np.concatenate([part.amount for part in parts]),
    )


def _rollup_entries(shape: Rollup, rows: Rows, mask: Mask) -> _Entries:
    member, cell = _cells(shape.cells, rows, mask)
    amount = np.full(len(cell), shape.cells.weight, dtype=np.int64)
    groups = [np.array(each, dtype=np.int64)[cell] for each in shape.groups]
    parts = [_Entries(member, place, amount) for place in (cell, *groups)]
    return _joined(parts, [shape.cells.length, *shape.sizes])


def _product_entries(shape: Products, rows: Rows, mask: Mask) -> _Entries:
    """Complete cases: members with every variable known and in a cell."""
    member, cell = _cells(CellCounts(shape.dims, 1, 1), rows, mask)
    found = [_member_values(variable, rows, mask) for variable in shape.variables]
    for known, _ in found:
        keep = np.isin(member, known)
        member, cell = member[keep], cell[keep]
    values = [value[np.searchsorted(known, member)] for known, value in found]
    columns = [monomial_value(each, values, shape.scale) for each in shape.monomials]
    if shape.count_weight > 0:
        columns.insert(0, np.full(len(member), shape.count_weight, dtype=np.int64))
    entries = _stacked(member, columns)
    return _Entries(
        entries.member, entries.place + np.tile(cell * shape.width, len(columns)), entries.amount
    )


def monomial_value(monomial: Monomial, values: list[Integers], scale: int) -> Integers:
    """The integer that each member adds for one monomial, in the order the bytes fix."""
    product = values[monomial.factors[0]]
    for factor in monomial.factors[1:]:
        product = _rounded(product * values[factor], np.int64(scale))
    return _rounded(product, np.int64(monomial.divisor)) - monomial.centre(scale)
