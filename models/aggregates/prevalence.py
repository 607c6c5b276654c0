"""Prevalence: the share of a group's members who have each level of a column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np

from models.aggregates import counts
from models.aggregates.columns import cell_column, checked_cells, short_name
from models.aggregates.expected import Expected, scale_of
from models.aggregates.request import Labels, Request
from models.aggregates.shares import Counted, expected_share, share
from models.aggregates.wording import word, words
from models.changed import changed
from models.contribution import CellCounts, Stack
from models.noise_law import NoiseLaw
from models.result import Result
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.errors import BadInput


class Prevalence(Request):
    """Share of members with each level (or bin) of a column, within each group of `by`.

    Of a one-row column, among members with a value; of a many-row column, among all members
    of the group: a member counts once per level in which they have a row.
    """

    by_size: ClassVar[bool] = True
    kind: Literal["prevalence"] = "prevalence"
    column: str
    by: tuple[str, ...] = ()

    def normalised(self, dictionary: Dictionary) -> Self:
        groups = tuple(cell_column(dictionary, name) for name in self.by)
        for ref in groups:
            if ref.many:
                raise BadInput(
                    f"{ref.name!r} has many rows per member and makes no groups",
                    where="by",
                    instead="group by columns of a table with one row per member",
                )
        refs = checked_cells((*groups, cell_column(dictionary, self.column)))
        return changed(self, by=tuple(ref.name for ref in groups), column=refs[-1].name)

    def refs(self, dictionary: Dictionary) -> tuple[tuple[ColumnRef, ...], ColumnRef]:
        """The groups' columns and the column itself."""
        return tuple(map(dictionary.resolve, self.by)), dictionary.resolve(self.column)

    def cells(self, dictionary: Dictionary) -> Labels:
        groups, ref = self.refs(dictionary)
        return counts.cell_labels((*groups, ref))

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> CellCounts | Stack:
        groups, ref = self.refs(dictionary)
        if not ref.many:
            return counts.contribution((*groups, ref), delta_grid)
        most = counts.cells_per_member((ref,))
        weight = scale_of(math.isqrt(delta_grid**2 // (most + 1)))
        whole = CellCounts(dims=groups, weight=weight, max_cells=1)
        return Stack((whole, CellCounts(dims=(*groups, ref), weight=weight, max_cells=most)))

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        groups, ref = self.refs(dictionary)
        levels = len(ref.column.cell_labels)
        weight = self._weight(dictionary, law)
        tau2 = (law.sd_grid / weight) ** 2
        numbers = np.array(totals) / weight
        cells = self.cells(dictionary)
        parts = numbers[-len(cells) :].reshape(-1, levels)
        wholes = numbers[: len(parts)] if ref.many else parts.sum(axis=1)
        noise = (tau2, tau2, 0.0) if ref.many else (tau2, tau2 * levels, tau2)
        rows = tuple(
            share(cell, Counted(float(part), float(whole), *noise))
            for cell, part, whole in zip(
                cells, parts.ravel(), np.repeat(wholes, levels), strict=True
            )
        )
        by = tuple(short_name(dictionary, each) for each in (*groups, ref))
        notes = _notes(by[:-1], by[-1], many=ref.many)
        return Result(self.kind, by, rows, unit="", floor=0.0, ceiling=1.0, notes=notes)

    def _weight(self, dictionary: Dictionary, law: NoiseLaw) -> int:
        shape = self.contribution(dictionary, law.mechanism.delta_grid)
        first = shape.parts[0] if isinstance(shape, Stack) else shape
        return first.weight if isinstance(first, CellCounts) else 1

    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        if members is None:
            return None
        groups, ref = self.refs(dictionary)
        many = len(counts.cell_labels(groups))
        levels = len(ref.column.cell_labels)
        tau = law.sd_grid / self._weight(dictionary, law)
        factor = 1.25 if ref.many else levels / 4  # of part - whole / 2
        noise, sampling = expected_share(members / many, tau * math.sqrt(factor))
        assumed = f"{members:,} members" + (f" in {many:,} groups of one size" if many > 1 else "")
        return Expected(noise, sampling, "", f"{assumed}, of whom half have the level")

    def words(self) -> str:
        groups = f" within each {words(self.by)}" if self.by else ""
        return f"Estimates the share of members with each {word(self.column)}{groups}"

    def method(self) -> str:
        return (
            "Shares are ratios of noisy counts with score intervals (Wilson) that hold sampling "
            "error and noise."
        )


def _notes(by: tuple[str, ...], column: str, *, many: bool) -> tuple[str, ...]:
    missing = (*by, *(() if many else (column,)))
    notes = [f"Members with {' or '.join(missing)} missing are left out."] if missing else []
    if many:
        notes.append(f"Members without any {column} count in the whole.")
    return tuple(notes)
