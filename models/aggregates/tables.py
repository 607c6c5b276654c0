"""Contingency tables of up to four columns: members and shares, with every margin.

Every margin is a sum of the table's own cells, so the figures always add up.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from models.aggregates import counts
from models.aggregates.columns import cell_column, checked_cells, short_name
from models.aggregates.expected import Expected
from models.aggregates.request import Labels, Request
from models.aggregates.shares import Counted, share
from models.aggregates.wording import words
from models.changed import changed
from models.contribution import CellCounts
from models.noise_law import NoiseLaw
from models.result import Estimate, Result, normal_estimate
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput

ALL = "all"
MAX_WAYS = 4
MAX_TABLE = 2_000  # cells; margins and shares make some eight lines of each
_NOTE = "Margins are sums of the cells; shares speak of the population the members are drawn from."


class Table(Request):
    """Members and shares in every cell and margin of one-row columns."""

    kind: Literal["table"] = "table"
    by: tuple[str, ...]

    def normalised(self, dictionary: Dictionary) -> Self:
        if not 1 <= len(self.by) <= MAX_WAYS:
            raise BadInput(f"a table has 1 to {MAX_WAYS} columns", where="by")
        refs = checked_cells(tuple(cell_column(dictionary, name) for name in self.by), MAX_TABLE)
        for ref in refs:
            if ref.many:
                raise BadInput(
                    f"{ref.name!r} has many rows per member, who would be in several cells",
                    where="by",
                    instead=f"use prevalence({ref.column.name!r}) or count(by=…)",
                )
        return changed(self, by=tuple(ref.name for ref in refs))

    def refs(self, dictionary: Dictionary) -> counts.Refs:
        return tuple(map(dictionary.resolve, self.by))

    def cells(self, dictionary: Dictionary) -> Labels:
        return counts.cell_labels(self.refs(dictionary))

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> CellCounts:
        return counts.contribution(self.refs(dictionary), delta_grid)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        refs = self.refs(dictionary)
        shape = self.contribution(dictionary, law.mechanism.delta_grid)
        names = tuple(short_name(dictionary, ref) for ref in refs)
        filled = _filled(refs, np.array(totals) / shape.weight, law.sd_grid / shape.weight)
        missing = f"Members with {' or '.join(names)} missing are in no cell."
        rows = (*filled.members(), *filled.shares(names))
        return Result(
            self.kind, ("figure", *names), rows, unit="", floor=0.0, notes=(missing, _NOTE)
        )

    def expected(self, dictionary: Dictionary, law: NoiseLaw, members: int | None) -> Expected:
        return counts.expected(self.refs(dictionary), law)

    def words(self) -> str:
        return f"Counts members in a table of {words(self.by)} with its margins"

    def method(self) -> str:
        return (
            "Cells and margins of the table come from one release, margins as sums of cells. "
            "Shares have score intervals that hold sampling error and noise."
        )


@dataclass(frozen=True, eq=False)
class _Filled:
    """Members per cell with all margins: index -1 of an axis is the sum along it.

    `parts` holds how many base cells each number adds up; `tau` is the noise of one of them.
    """

    labels: tuple[tuple[str, ...], ...]
    numbers: NDArray[np.float64]
    parts: NDArray[np.int64]
    tau: float

    def places(self) -> Iterator[tuple[int, ...]]:
        return itertools.product(*(range(len(each)) for each in self.labels))

    def label(self, place: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(names[at] for names, at in zip(self.labels, place, strict=True))

    def members(self) -> Iterator[Estimate]:
        for place in self.places():
            noise = self.tau * math.sqrt(int(self.parts[place]))
            cell = ("members", *self.label(place))
            yield normal_estimate(cell, float(self.numbers[place]), noise)

    def shares(self, names: tuple[str, ...]) -> Iterator[Estimate]:
        """Of all members, then within each level of each column, where that is another thing."""
        corner = tuple(len(each) - 1 for each in self.labels)
        for place in self.places():
            if place != corner:
                yield self._share("share", place, corner)
        for axis, name in enumerate(names if len(names) > 1 else ()):
            for place in self.places():
                margin = (*corner[:axis], place[axis], *corner[axis + 1 :])
                if place[axis] != corner[axis] and place != margin:
                    yield self._share(f"share within {name}", place, margin)

    def _share(self, figure: str, place: tuple[int, ...], of: tuple[int, ...]) -> Estimate:
        noise = self.tau**2 * int(self.parts[place])
        counted = Counted(
            part=float(self.numbers[place]),
            whole=float(self.numbers[of]),
            part_noise=noise,
            whole_noise=self.tau**2 * int(self.parts[of]),
            shared_noise=noise,
        )
        return share((figure, *self.label(place)), counted)


def _filled(refs: counts.Refs, cells: NDArray[np.float64], tau: float) -> _Filled:
    shape = [len(ref.column.cell_labels) for ref in refs]
    numbers, parts = cells.reshape(shape), np.ones(shape, dtype=np.int64)
    for axis in range(len(refs)):
        numbers = np.concatenate([numbers, numbers.sum(axis=axis, keepdims=True)], axis=axis)
        parts = np.concatenate([parts, parts.sum(axis=axis, keepdims=True)], axis=axis)
    labels = tuple((*ref.column.cell_labels, ALL) for ref in refs)
    return _Filled(labels, numbers, parts, tau)
