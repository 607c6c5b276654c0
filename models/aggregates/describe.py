"""A first table: several columns described by one release.

A bounded numeric column gets its mean, variance and standard deviation, and members per bin if
bins are declared; any other column members per level. Each part is an analysis of its own at an
equal share of the cost; all parts are opened together.

Guarantee: with p parts of norm at most floor(delta_grid / sqrt(p)) each, a member's whole vector
has squared L2 norm at most delta_grid**2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal, Self

from models.aggregates.columns import NUMERIC, bounds_of, cell_column, short_name
from models.aggregates.counts import Histogram
from models.aggregates.expected import Expected
from models.aggregates.request import Labels, Request
from models.aggregates.variance import Variance
from models.aggregates.wording import word, words
from models.changed import changed
from models.contribution import Stack
from models.noise_law import NoiseLaw
from models.result import Estimate, Result
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.errors import BadInput, Code, Refused

MAX_COLUMNS = 50
MAX_NUMBERS = 10_000
MEMBERS = "members"
Part = Variance | Histogram


class Describe(Request):
    """Means, deviations and counts of several columns; each member counts once in each part."""

    by_size: ClassVar[bool] = True
    kind: Literal["describe"] = "describe"
    columns: tuple[str, ...]

    def normalised(self, dictionary: Dictionary) -> Self:
        if not 1 <= len(self.columns) <= MAX_COLUMNS:
            raise BadInput(f"name 1 to {MAX_COLUMNS} columns", where="columns")
        refs = [dictionary.resolve(name) for name in self.columns]
        full = tuple(ref.name for ref in refs)
        if len(set(full)) < len(full):
            raise BadInput("a column stands twice", where="columns", instead="name it once")
        for ref in refs:
            _check(dictionary, ref)
        asked = changed(self, columns=full)
        numbers = len(asked.cells(dictionary))
        if numbers > MAX_NUMBERS:
            raise Refused(Code.TOO_MANY_CELLS, cells=numbers, most=MAX_NUMBERS)
        return asked

    def parts(self, dictionary: Dictionary) -> tuple[Part, ...]:
        """The analyses that are opened together, column by column."""
        return tuple(
            part for name in self.columns for part in _parts(dictionary.resolve(name), name)
        )

    def cells(self, dictionary: Dictionary) -> Labels:
        return tuple(
            _cell(dictionary, part, label)
            for part in self.parts(dictionary)
            for label in part.cells(dictionary)
        )

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> Stack:
        parts = self.parts(dictionary)
        share = _share(delta_grid, len(parts))
        return Stack(tuple(part.contribution(dictionary, share) for part in parts))

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        rows: list[Estimate] = []
        start = 0
        own, shape = self._laws(dictionary, law)
        for part, added in zip(self.parts(dictionary), shape.parts, strict=True):
            found = part.estimate(dictionary, totals[start : start + added.length], own)
            start += added.length
            rows += [replace(row, cell=_cell(dictionary, part, row.cell)) for row in found.rows]
        notes = (
            "Members with a column missing are left out of that column.",
            "Means, variances and deviations are in the column's unit; counts are members.",
        )
        return Result(self.kind, ("column", "figure", "level"), tuple(rows), unit="", notes=notes)

    def _laws(self, dictionary: Dictionary, law: NoiseLaw) -> tuple[NoiseLaw, Stack]:
        """The noise beside one part, which uses its share of the grid; and all parts."""
        shape = self.contribution(dictionary, law.mechanism.delta_grid)
        share = _share(law.mechanism.delta_grid, len(shape.parts))
        return NoiseLaw(replace(law.mechanism, delta_grid=share), law.survivors), shape

    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        """That of the first column's first part."""
        own, _ = self._laws(dictionary, law)
        first = self.parts(dictionary)[0]
        found = first.expected(dictionary, own, members)
        if found is None:
            return None
        figure = f"{word(first.column)}, {found.figure}" if found.figure else word(first.column)
        return replace(found, figure=figure)

    def expected_cells(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> tuple[Expected | None, ...]:
        own, _ = self._laws(dictionary, law)
        return tuple(
            each
            for part in self.parts(dictionary)
            for each in part.expected_cells(dictionary, own, members)
        )

    def words(self) -> str:
        return f"Describes {words(self.columns)}"

    def method(self) -> str:
        return (
            "Columns were described by one release that gives each of them an equal share of "
            "the cost: noisy sums of the first four powers of values clamped to public bounds, "
            "and noisy counts of public cells. Counts have normal intervals of the noise alone; "
            "means and deviations hold sampling error too."
        )


def _check(dictionary: Dictionary, ref: ColumnRef) -> None:
    if ref.column.type in NUMERIC:
        Variance(column=ref.name).normalised(dictionary)
        bounds_of(ref.column)
    else:
        cell_column(dictionary, ref.name)


def _parts(ref: ColumnRef, name: str) -> tuple[Part, ...]:
    if ref.column.type not in NUMERIC:
        return (Histogram(column=name),)
    numbers = Variance(column=name)
    return (numbers, Histogram(column=name)) if ref.column.cell_labels else (numbers,)


def _cell(dictionary: Dictionary, part: Part, label: tuple[str, ...]) -> tuple[str, ...]:
    column = short_name(dictionary, dictionary.resolve(part.column))
    (name,) = label
    return (column, name, "") if isinstance(part, Variance) else (column, MEMBERS, name)


def _share(delta_grid: int, parts: int) -> int:
    return math.isqrt(delta_grid**2 // parts)
