"""Counts and histograms: members in each cell of declared columns."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal, Self

from models.aggregates.columns import cell_columns, short_name
from models.aggregates.expected import Expected, scale_of
from models.aggregates.request import Labels, Request
from models.aggregates.wording import word, words
from models.changed import changed
from models.contribution import CellCounts
from models.noise_law import NoiseLaw
from models.result import Z95, Result, normal_estimate
from privacy.contract.dictionary import ColumnRef, Dictionary

Refs = tuple[ColumnRef, ...]


class Count(Request):
    """Members in each cell of `by` (levels or bins); without `by`, members in all."""

    kind: Literal["count"] = "count"
    by: tuple[str, ...] = ()

    def normalised(self, dictionary: Dictionary) -> Self:
        refs = cell_columns(dictionary, self.by)
        return changed(self, by=tuple(ref.name for ref in refs))

    def refs(self, dictionary: Dictionary) -> Refs:
        return tuple(map(dictionary.resolve, self.by))

    def cells(self, dictionary: Dictionary) -> Labels:
        return cell_labels(self.refs(dictionary))

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> CellCounts:
        return contribution(self.refs(dictionary), delta_grid)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        return estimate(self.kind, self.refs(dictionary), dictionary, totals, law)

    def expected(self, dictionary: Dictionary, law: NoiseLaw, members: int | None) -> Expected:
        return expected(self.refs(dictionary), law)

    def words(self) -> str:
        return f"Counts members by {words(self.by)}" if self.by else "Counts members"

    def method(self) -> str:
        return (
            "Members were counted in public cells; the noise is the only error of a count, so "
            "its interval is that of a normal law."
        )


class Histogram(Request):
    """Members in each bin (or level) of one column."""

    kind: Literal["histogram"] = "histogram"
    column: str

    def normalised(self, dictionary: Dictionary) -> Self:
        (ref,) = cell_columns(dictionary, (self.column,))
        return changed(self, column=ref.name)

    def refs(self, dictionary: Dictionary) -> Refs:
        return (dictionary.resolve(self.column),)

    def cells(self, dictionary: Dictionary) -> Labels:
        return cell_labels(self.refs(dictionary))

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> CellCounts:
        return contribution(self.refs(dictionary), delta_grid)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        return estimate(self.kind, self.refs(dictionary), dictionary, totals, law)

    def expected(self, dictionary: Dictionary, law: NoiseLaw, members: int | None) -> Expected:
        return expected(self.refs(dictionary), law)

    def words(self) -> str:
        return f"Counts members in each bin of {word(self.column)}"

    def method(self) -> str:
        return (
            "Members were counted in public cells; the noise is the only error of a count, so "
            "its interval is that of a normal law."
        )


def cell_labels(refs: Refs) -> tuple[tuple[str, ...], ...]:
    """Labels of every cell in row-major order; one nameless cell without columns."""
    return tuple(itertools.product(*(ref.column.cell_labels for ref in refs)))


def cells_per_member(refs: Refs) -> int:
    """How many cells one member can be in: 1, times what each many-row table allows.

    In a many-row table a member is in at most one cell per row, and in no more cells than its
    columns have; columns of different tables combine as a product.
    """
    tables = {ref.table.name: ref.table.max_rows_per_member for ref in refs if ref.many}
    most = 1
    for name, rows in tables.items():
        sizes = (len(ref.column.cell_labels) for ref in refs if ref.table.name == name)
        most *= min(rows, math.prod(sizes))
    return most


def contribution(refs: Refs, delta_grid: int) -> CellCounts:
    """The largest integer weight whose vector norm stays within `delta_grid`.

    Guarantee: norm_squared <= delta_grid**2. Raises BadInput where not even weight 1 fits.
    """
    most = cells_per_member(refs)
    weight = math.isqrt(delta_grid**2 // most)
    return CellCounts(dims=refs, weight=scale_of(weight), max_cells=most)


def estimate(
    kind: str, refs: Refs, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw
) -> Result:
    """Unbiased counts of the cohort; the only error is the noise, so intervals are exact.

    Source: a normal interval for the sum of discrete Gaussian shares (sd of at least 2**4 grid
    units, where the lattice is invisible).
    """
    weight = contribution(refs, law.mechanism.delta_grid).weight
    se_noise = law.sd_grid / weight
    rows = tuple(
        normal_estimate(cell, total / weight, se_noise)
        for cell, total in zip(cell_labels(refs), totals, strict=True)
    )
    by = tuple(short_name(dictionary, ref) for ref in refs)
    return Result(kind=kind, by=by, rows=rows, floor=0.0, notes=_notes(refs, by))


def _notes(refs: Refs, by: tuple[str, ...]) -> tuple[str, ...]:
    if not refs:
        return ()
    notes = [f"Members with {' or '.join(by)} missing are in no cell."]
    if cells_per_member(refs) > 1:
        notes.append("A member with rows in several cells is counted once in each.")
    return tuple(notes)


def expected(refs: Refs, law: NoiseLaw) -> Expected:
    """The error of every cell: known before asking, and the same for all."""
    weight = contribution(refs, law.mechanism.delta_grid).weight
    return Expected(half_noise=Z95 * law.sd_grid / weight, half_sampling=0.0, unit="members")
