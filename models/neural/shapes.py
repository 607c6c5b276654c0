"""What a member adds in the rounds of training and scoring, as frozen facts with a pure fold.

Guarantee: every member adds an integer vector of squared L2 norm at most `norm_squared`, for
every weight that a state can hold, and what a member adds has no bit of the other members in it.
Gradients are taken in single precision, so that machines may differ by some grid units; the bound
is checked on the integers.
Assumes: a member is in one part only, with all rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.neural.features import Encoding, encode
from models.neural.outcome import Outcome
from models.neural.scoring import Tables, counted, group_codes, scores
from models.neural.step import Step, clipped_total
from models.rows import Rows
from models.streamed import Streamed
from privacy.contract.dictionary import ColumnRef

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

_NUMBERS_AT_ONCE = 2**24  # of all members' visits held together


@dataclass(frozen=True, repr=False, eq=False)
class MemberVectors(Streamed):
    """Clipped gradients, or the clipped ends of members' own descents."""

    step: Step
    encoding: Encoding
    outcome: Outcome
    weights: Floats
    delta_grid: int

    @property
    def length(self) -> int:
        return self.step.length

    @property
    def norm_squared(self) -> int:
        return self.delta_grid**2

    @property
    def columns(self) -> frozenset[ColumnRef]:
        return frozenset((*self.encoding.static, *self.encoding.visit, self.outcome.column))

    def fold(self, rows: Rows, asked: Mask, site: str = "") -> Integers:
        from models.neural.gradient import member_parts

        total = np.zeros(self.length, dtype=np.int64)
        for some, theirs in few_at_once(self.encoding, rows, asked):
            batch = encode(self.encoding, self.outcome, some, theirs)
            batch = batch.part(batch.known)
            for vectors, known in member_parts(self.step, self.weights, batch):
                total += clipped_total(vectors, known, self.step.clip, self.delta_grid)
        return total


def few_at_once(plan: Encoding, rows: Rows, asked: Mask) -> Iterator[tuple[Rows, Mask]]:
    """The same members, so many at a time as their visits fit into memory."""
    most = max(_NUMBERS_AT_ONCE // max(plan.visits * plan.visit_width, 1), 1)
    if rows.members <= most:
        yield rows, asked
        return
    place = np.arange(rows.members)
    for start in range(0, rows.members, most):
        chosen = (place >= start) & (place < start + most)
        yield rows.select(chosen), asked[chosen]


@dataclass(frozen=True, repr=False, eq=False)
class ScoreTables(Streamed):
    """Members counted by their own score, their outcome and their group."""

    step: Step
    encoding: Encoding
    outcome: Outcome
    weights: Floats
    tables: Tables
    delta_grid: int

    @property
    def length(self) -> int:
        return self.tables.length

    @property
    def norm_squared(self) -> int:
        return self.tables.weight(self.delta_grid) ** 2 * self.tables.most_cells

    @property
    def columns(self) -> frozenset[ColumnRef]:
        read = (*self.encoding.static, *self.encoding.visit, self.outcome.column, *self.tables.by)
        return frozenset(read)

    def members_in(self, totals: Sequence[int]) -> float | None:
        """Those with a known outcome: the cells of the first table of all members."""
        first = self.tables.bins[0].count * self.tables.answers
        return sum(totals[:first]) / self.tables.weight(self.delta_grid)

    def fold(self, rows: Rows, asked: Mask, site: str = "") -> Integers:
        found = np.zeros(self.length, dtype=np.int64)
        for some, theirs in few_at_once(self.encoding, rows, asked):
            batch = encode(self.encoding, self.outcome, some, theirs)
            score = scores(self.step.network, self.step.layout, self.weights, self.outcome, batch)
            groups = group_codes(self.tables.by, some)
            found += counted(self.tables, self.outcome, score, batch, groups)
        return found * self.tables.weight(self.delta_grid)
