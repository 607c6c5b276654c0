"""The streamed contribution of a regression: a round's vectors as integers on the grid."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.regression.batch import Batch, Floats, Mask, batch_of, slices
from models.regression.member_vectors import Moments, Round, length, moment_places, vectors
from models.regression.outcome import Model
from models.rows import Rows
from models.streamed import Integers, Streamed
from privacy.contract.dictionary import ColumnRef
from privacy.errors import BadInput
from privacy.grid import to_grid, total_on_grid

SLICE = 8192  # members at a time
CACHED = 2**17  # numbers of all rows' matrices that stay in the processor's cache
LEAST = 64  # rows at a time, even so
NUMBERS = 2**23  # of all rows' matrices held at once
MOST_NUMBERS = 2**27  # of one member's


def check_memory(model: Model) -> None:
    """Raises BadInput where the declared rows of one member are more than a node can hold."""
    if not fits_memory(model):
        raise BadInput(
            f"{model.size} coefficients are too many for {model.most_rows:,} rows per member",
            instead="fewer terms, or figures of the rows: mean(…), last(…)",
        )


def fits_memory(model: Model) -> bool:
    """Whether a node can hold the declared rows of one member."""
    return model.most_rows * model.lines_per_row * model.size**2 <= MOST_NUMBERS


class UnitVectors(Streamed):
    """What the members of a model add in one round, each a vector in the unit ball.

    Guarantee: each member's integer vector has L2 norm at most `delta_grid`: `_vectors` lie in
    the unit ball, and `privacy.grid.to_grid` checks the integers themselves.
    """

    delta_grid: int
    sites: tuple[str, ...]

    @abstractmethod
    def _unit(self, batch: Batch) -> Floats:
        """[members, length], in the unit ball, none depending on another member."""

    @property
    def norm_squared(self) -> int:
        return self.delta_grid**2

    def fold(self, rows: Rows, asked: Mask, site: str = "") -> Integers:
        total = np.zeros(self.length, dtype=np.int64)
        batch = self._batch(rows, asked, site)
        for part in slices(batch, SLICE, self._rows_at_once):
            total += total_on_grid(self._unit(part), self.delta_grid)
        return total

    @property
    @abstractmethod
    def _rows_at_once(self) -> int:
        """Stored rows whose matrices are quick to work on, and fit into memory together."""

    def each(self, rows: Rows, asked: Mask, site: str = "") -> Integers:
        """[members who are asked and have rows, length]: one vector per member."""
        return self._vectors(self._batch(rows, asked, site))

    def _batch(self, rows: Rows, asked: Mask, site: str) -> Batch:
        if self.sites and site not in self.sites:
            raise BadInput("this organisation is none of those told apart", where="organisations")
        place = self.sites.index(site) if self.sites else -1
        return batch_of(rows, self.columns, asked, place)

    def _vectors(self, batch: Batch) -> Integers:
        if not batch.members:
            return np.zeros((0, self.length), dtype=np.int64)
        return to_grid(self._unit(batch), self.delta_grid)


@dataclass(frozen=True, eq=False)
class MemberSum(UnitVectors):
    """What the members add in one round of a fit."""

    model: Model
    asked: Round
    delta_grid: int
    sites: tuple[str, ...] = ()

    @cached_property
    def length(self) -> int:
        return length(self.model, self.asked)

    @property
    def columns(self) -> frozenset[ColumnRef]:
        return self.model.columns

    def members_in(self, totals: Sequence[int]) -> float | None:
        if not isinstance(self.asked, Moments):
            return None
        places = moment_places(self.model, self.asked.outcome_alone)
        return totals[places["members"]] * self.asked.clip / self.delta_grid

    @property
    def _rows_at_once(self) -> int:
        return rows_at_once(self.model.lines_per_row * max(self.length, self.model.size))

    def _unit(self, batch: Batch) -> Floats:
        return vectors(self.model, self.asked, batch)


def rows_at_once(numbers: int) -> int:
    """How many rows of so many numbers each are worked on together."""
    return min(max(CACHED // numbers, LEAST), max(NUMBERS // numbers, 1))
