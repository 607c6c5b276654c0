"""How well a released network predicts, from a table of counts: bins of its score by outcome.

At the node a member's own score is computed with the released weights, and the member is counted
in one cell of each table: in all, and in each subgroup. Bins are public. What is released is the
noised table; every figure is made of it afterwards (`models.neural.metrics`).

Guarantee: a member is in `tables` cells, each with `weight`, whatever the weights are.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from models.neural.architecture import Architecture, Parameter, arrays
from models.neural.features import Batch
from models.neural.forward import NUMPY, outputs
from models.neural.outcome import Amount, Event, Level, Outcome, predictions
from models.neural.reading import column_rows
from models.rows import Rows, cell_codes
from privacy.contract.dictionary import ColumnRef
from privacy.errors import BadInput

Integers = NDArray[np.int64]
Doubles = NDArray[np.float64]

BINS = 24
STEP = 0.3  # of the log odds: the bins reach 3.3 to both sides of the base rate
ERROR_BINS = 40  # of the error of an amount, over the declared range to both sides
ALL = "all"


@dataclass(frozen=True)
class Bins:
    """Edges between the bins of a score, ascending; below the first and above the last is open."""

    edges: tuple[float, ...]

    @property
    def count(self) -> int:
        return len(self.edges) + 1

    def middles(self) -> Doubles:
        """A value that stands for each bin; beyond the last edges half a step further."""
        edges = np.array(self.edges)
        ends = [edges[0] - (edges[1] - edges[0]) / 2, edges[-1] + (edges[-1] - edges[-2]) / 2]
        return np.concatenate([ends[:1], (edges[1:] + edges[:-1]) / 2, ends[1:]])


def risk_bins(base: float) -> Bins:
    """Bins of a risk, evenly in its log odds about the public base rate."""
    centre = math.log(base) - math.log1p(-base)
    places = (np.arange(BINS - 1) - (BINS - 2) / 2) * STEP + centre
    return Bins(tuple(float(NUMPY.sigmoid(np.float64(place))) for place in places))


def error_bins() -> Bins:
    """Bins of predicted minus true, in half ranges of the column."""
    return Bins(tuple(float(edge) for edge in np.linspace(-1, 1, ERROR_BINS - 1)))


@dataclass(frozen=True)
class Tables:
    """The tables that members are counted in: each outcome's, in all and by group.

    `bins`: one per outcome table (an event has one, a level one for each level). In memory and
    in the vector: for ALL and then every level of every column of `by`, outcome by outcome, bin
    by bin, (not the outcome, the outcome) or, of an amount, one number.
    """

    bins: tuple[Bins, ...]
    answers: int  # 2: whether it was so; 1: only counted
    by: tuple[ColumnRef, ...] = ()

    @property
    def groups(self) -> tuple[tuple[str, str], ...]:
        """(column, level) of every group; all members first."""
        found = ((ref.column.name, cell) for ref in self.by for cell in ref.column.cell_labels)
        return ((ALL, ""), *found)

    @property
    def block(self) -> int:
        """Numbers of one group."""
        return sum(each.count for each in self.bins) * self.answers

    @property
    def length(self) -> int:
        return self.block * len(self.groups)

    @property
    def most_cells(self) -> int:
        """Cells that a member is in at most."""
        return len(self.bins) * (1 + len(self.by))

    def weight(self, delta_grid: int) -> int:
        """Raises BadInput where `delta_grid` carries nothing."""
        weight = math.isqrt(delta_grid**2 // self.most_cells)
        if weight < 1:
            raise BadInput("epsilon is too small for the tables of metrics", where="by")
        return weight

    def cut(self, totals: Doubles) -> Doubles:
        """Shape [groups, block]."""
        return totals.reshape(len(self.groups), self.block)

    def outcome_tables(self, block: Doubles) -> list[Doubles]:
        """One [bins, answers] per outcome table of one group."""
        ends = list(itertools.accumulate(each.count * self.answers for each in self.bins))
        pieces = np.split(block, ends[:-1])
        return [piece.reshape(-1, self.answers) for piece in pieces]


def group_name(column: str, level: str) -> str:
    """`sex = f`, or all."""
    return f"{column} = {level}" if level else column


def tables_of(outcome: Outcome, base: NDArray[np.floating], by: tuple[ColumnRef, ...]) -> Tables:
    """`base`: the noised share of the event, of every level, or anything for an amount."""
    shares = np.clip(np.asarray(base, dtype=np.float64), 1e-3, 1 - 1e-3)
    match outcome:
        case Event():
            return Tables((risk_bins(float(shares[0])),), 2, by)
        case Level():
            return Tables(tuple(risk_bins(float(share)) for share in shares), 2, by)
        case Amount():
            return Tables((error_bins(),), 1, by)
        case _:
            assert_never(outcome)


def scores(network: Architecture, layout: tuple[Parameter, ...], weights: NDArray[np.float32],
           outcome: Outcome, batch: Batch) -> Doubles:  # fmt: skip
    """What the network says of each member: see `outcome.predictions`; NaN where it overflows."""
    with np.errstate(all="ignore"):
        shown = outputs(network, NUMPY, arrays(layout, weights), batch.inputs)
        return predictions(outcome, shown)


def counted(
    tables: Tables, outcome: Outcome, score: Doubles, batch: Batch, groups: list[Integers]
) -> Integers:
    """Shape [tables.length]: members in each cell. `groups`: each member's cell of each `by`
    column, -1 where missing. A score that is not a number counts in the first bin."""
    cells = _cells(tables, outcome, np.nan_to_num(score, nan=-math.inf), batch)
    found = np.zeros(tables.length, dtype=np.int64)
    starts = [np.zeros(batch.members, dtype=np.int64)]
    first = 1
    for ref, codes in zip(tables.by, groups, strict=True):
        starts.append(np.where(codes >= 0, codes + first, -1))
        first += len(ref.column.cell_labels)
    for start in starts:
        use = batch.known & (start >= 0)
        for each in cells:
            np.add.at(found, start[use] * tables.block + each[use], 1)
    return found


def _cells(tables: Tables, outcome: Outcome, score: Doubles, batch: Batch) -> list[Integers]:
    """For each outcome table, each member's place in one group's block."""
    match outcome:
        case Event():
            return [_place(tables.bins[0], score, batch.target > 0)]
        case Level():
            found, start = [], 0
            for level, bins in enumerate(tables.bins):
                found.append(start + _place(bins, score[:, level], batch.target == level))
                start += 2 * bins.count
            return found
        case Amount():
            scaled = (score - outcome.centre) / outcome.half_width - batch.target
            return [np.searchsorted(tables.bins[0].edges, scaled, side="right").astype(np.int64)]
        case _:
            assert_never(outcome)


def _place(bins: Bins, score: Doubles, so: NDArray[np.bool_]) -> Integers:
    return np.asarray(2 * np.searchsorted(bins.edges, score, side="right") + so, dtype=np.int64)


def group_codes(by: tuple[ColumnRef, ...], rows: Rows) -> list[Integers]:
    """Each member's cell of each column of a one-row table; -1 where missing."""
    found = []
    for ref in by:
        table, values = column_rows(rows, ref)
        codes = np.full(rows.members, -1, dtype=np.int64)
        codes[table.member] = cell_codes(ref.column, values)
        found.append(codes)
    return found
