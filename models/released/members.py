"""What a member adds where a released regression is judged: one cell, or six numbers, by group.

Guarantee: every member adds an integer vector of squared L2 norm at most `norm_squared`, for
every coefficient that a question can hold, and what a member adds has no bit of the others in it.
Assumes: a member is in one part only, with all rows; the model makes one row of each member, if
need be of several rows, as a slope is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.regression.batch import Batch, Floats, Mask, batch_of, slices
from models.regression.columns import product
from models.regression.member_sum import SLICE
from models.regression.outcome import Glm
from models.regression.survival import PiecewiseHazard
from models.released.judge import groups_by, places_of, weight_of
from models.rows import Rows
from models.streamed import Streamed
from privacy.contract.dictionary import ColumnRef

Integers = NDArray[np.int64]
ROWS = 2**16
HIGHEST = 30.0
MOMENTS = 6  # 1, e, e², q, eq, q²


@dataclass(frozen=True, eq=False, repr=False)
class Judged(Streamed):
    """`theta`: the coefficients of a row's columns, as inside the model. `block` numbers belong
    to each group; a member is in the groups of all members and of each column of `by`."""

    model: Glm | PiecewiseHazard
    theta: Floats
    by: tuple[ColumnRef, ...]
    delta_grid: int

    @property
    @abstractmethod
    def block(self) -> int:
        """Numbers of one group."""

    @property
    @abstractmethod
    def largest(self) -> int:
        """The squared norm of what a member adds to one group, before it is scaled."""

    @abstractmethod
    def added(self, batch: Batch, chosen: Mask, place: Integers, total: Integers) -> None:
        """Add the members who are `chosen` to their group's place in `total`."""

    @cached_property
    def weight(self) -> int:
        return weight_of(self.delta_grid, self.largest * (1 + len(self.by)))

    @property
    def length(self) -> int:
        return self.block * len(groups_by(self.by))

    @property
    def norm_squared(self) -> int:
        return self.weight**2 * self.largest * (1 + len(self.by))

    @property
    def columns(self) -> frozenset[ColumnRef]:
        return self.model.columns | frozenset(self.by)

    def fold(self, rows: Rows, asked: Mask, site: str = "") -> Integers:  # noqa: ARG002
        total = np.zeros(self.length, dtype=np.int64)
        for part in slices(batch_of(rows, self.columns, asked), SLICE, ROWS):
            first = np.flatnonzero(np.diff(part.member, prepend=-1))
            values = [part.of(ref)[first] for ref in self.by]
            for place in places_of(self.by, values, part.members):
                self.added(part, place >= 0, place, total)
        return total


@dataclass(frozen=True, eq=False, repr=False)
class JudgedCells(Judged):
    """One cell of each group's table: bin of the score (`edges`) by answer.

    The answer is the outcome's class, or interval and kind of the end of follow-up.
    """

    edges: tuple[float, ...] = ()
    answers: int = 2

    @property
    def block(self) -> int:
        return (len(self.edges) + 1) * self.answers

    @property
    def largest(self) -> int:
        return 1

    def members_in(self, totals: Sequence[int]) -> float | None:
        return sum(totals[: self.block]) / self.weight

    def added(self, batch: Batch, chosen: Mask, place: Integers, total: Integers) -> None:
        rows = self.model.first_rows(batch)
        eta = product(rows.x, self.theta) + rows.offset
        score = np.searchsorted(self.edges, np.nan_to_num(eta, nan=-np.inf), side="right")
        seen = self.model.ends(rows.y) if isinstance(self.model, PiecewiseHazard) else rows.y
        answer = np.clip(seen, 0, self.answers - 1).astype(np.int64)
        use = chosen & (rows.weight > 0)
        cell = place * self.block + score * self.answers + answer
        np.add.at(total, cell[use], self.weight)


@dataclass(frozen=True, eq=False, repr=False)
class JudgedNumbers(Judged):
    """Six moments per group, of e, the error over `error`, and q, the prediction less `centre`
    over `scale`, both cut off at 1: [1, e, e², q, eq, q²]."""

    centre: float = 0.0
    scale: float = 1.0
    error: float = 1.0

    @property
    def block(self) -> int:
        return MOMENTS

    @property
    def largest(self) -> int:
        return MOMENTS

    def members_in(self, totals: Sequence[int]) -> float | None:
        return totals[0] / self.weight

    def added(self, batch: Batch, chosen: Mask, place: Integers, total: Integers) -> None:
        rows = self.model.first_rows(batch)
        said, seen = numbers(self.model, self.theta, rows.x, rows.offset), rows.y
        if isinstance(self.model, Glm):
            middle, half = self.model.scaling
            seen = middle + half * rows.y
        with np.errstate(all="ignore"):
            e = _cut((seen - said) / self.error)
            q = _cut((said - self.centre) / self.scale)
        use = chosen & (rows.weight > 0)
        moments = np.stack([np.ones_like(e), e, e * e, q, e * q, q * q], axis=1)[use]
        whole = np.trunc(moments * self.weight).astype(np.int64)  # towards 0: within the bound
        lines = place[use, None] * MOMENTS + np.arange(MOMENTS)
        np.add.at(total, lines, whole)


def _cut(values: Floats) -> Floats:
    return np.clip(np.nan_to_num(values, nan=0.0), -1.0, 1.0)


def numbers(model: Glm | PiecewiseHazard, theta: Floats, x: Floats, offset: Floats) -> Floats:
    """[n]: the mean that a model of a number predicts, in the outcome's unit."""
    eta = product(x, theta) + offset
    if model.family.log_link:
        return np.asarray(np.exp(np.clip(eta, -HIGHEST, HIGHEST)))
    middle, half = model.scaling if isinstance(model, Glm) else (0.0, 1.0)
    return np.asarray(middle + half * eta)
