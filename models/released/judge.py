"""What judging a released model takes, whatever the model: what members add, and what it says."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from models.aggregates.expected import Expected
from models.neural.scoring import ALL
from models.noise_law import NoiseLaw
from models.regression.reading import UNBOUNDED
from models.result import NO_INFORMATION, Z95, Estimate
from models.rows import Codes, cell_codes
from models.streamed import Streamed
from privacy.contract.dictionary import ColumnRef
from privacy.errors import BadInput

Integers = NDArray[np.int64]
Group = tuple[str, str]


class Judge(ABC):
    """`by`: columns whose groups are reported on apart."""

    by: tuple[ColumnRef, ...]

    @property
    def groups(self) -> tuple[Group, ...]:
        """(column, level) of every group; all members first."""
        return groups_by(self.by)

    @abstractmethod
    def shape(self, delta_grid: int) -> Streamed:
        """What one member adds. Raises BadInput where `delta_grid` carries nothing."""

    @abstractmethod
    def figures(self, totals: Integers, law: NoiseLaw) -> tuple[Estimate, ...]:
        """How well the model does, from the opened total; `cell` is (group, figure)."""

    def expected(self, law: NoiseLaw, members: int) -> Expected | None:  # noqa: ARG002
        """The error to expect of a first figure; None where no public fact tells."""
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """What to bear in mind."""
        return ()


def groups_by(by: tuple[ColumnRef, ...]) -> tuple[Group, ...]:
    found = ((ref.column.name, cell) for ref in by for cell in ref.column.cell_labels)
    return ((ALL, ""), *found)


def places_of(by: tuple[ColumnRef, ...], values: list[Codes], members: int) -> list[Integers]:
    """Each member's place among the groups, once for all members and once for each column; -1
    where the column is missing."""
    found, first = [np.zeros(members, dtype=np.int64)], 1
    for ref, column in zip(by, values, strict=True):
        codes = cell_codes(ref.column, column)
        found.append(np.where(codes >= 0, codes + first, -1))
        first += len(ref.column.cell_labels)
    return found


def weight_of(delta_grid: int, norm_squared: int) -> int:
    """The largest whole factor of a vector with such a norm. Raises BadInput where it is 0."""
    weight = math.isqrt(delta_grid**2 // norm_squared)
    if weight < 1:
        raise BadInput("epsilon is too small for so many groups", where="by")
    return weight


def normal(cell: tuple[str, ...], value: float, sampling: float, noise: float) -> Estimate:
    """A figure with both its errors and a symmetric interval."""
    half = Z95 * math.hypot(sampling, noise)
    errors = float(sampling), float(noise)
    return Estimate(cell, float(value), *errors, float(value - half), float(value + half))


def unknown(
    cell: tuple[str, ...], value: float, low: float = -UNBOUNDED, high: float = UNBOUNDED
) -> Estimate:
    """`value` stands there, and nothing was learnt but that it lies within `low` and `high`."""
    return Estimate(cell, value, 0.0, 0.0, low, high, NO_INFORMATION)
