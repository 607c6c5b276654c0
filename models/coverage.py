"""How many members there are to ask about, as bands read off totals that were released.

Guarantee: a function of released, noised totals and of public declarations alone; it costs
nothing, and no node counts anything for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.aggregates.counts import Count, Histogram
from models.aggregates.requests import Analysis
from models.aggregates.tables import ALL, Table
from models.result import Estimate, Result, normal_estimate
from privacy.contract.dictionary import ColumnRef, Dictionary

EDGES = (0, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000)
MOST_LEVELS = 40  # of a column that a catalogue is laid out by
TELLING = ("count", "histogram", "table")  # kinds of analyses that tell a band
_FIRST = "condition"


@dataclass(frozen=True)
class Band:
    """Members, between two public edges; `below` is None above the last of them."""

    at_least: int
    below: int | None

    def __str__(self) -> str:
        if self.below is None:
            return f"{self.at_least:,} or more"
        if self.at_least == 0:
            return f"fewer than {self.below:,}"
        return f"{self.at_least:,} to {self.below:,}"


@dataclass(frozen=True)
class Covered:
    """Members of a level who have a value of `column`; "" stands for all members of the level."""

    level: str
    column: str
    told: Estimate

    @property
    def band(self) -> Band:
        return band_of(self.told.low, self.told.high)


def band_of(low: float, high: float) -> Band:
    """The narrowest band between public edges that holds a whole interval."""
    at_least = max((edge for edge in EDGES if edge <= low), default=0)
    below = min((edge for edge in EDGES[1:] if edge > high), default=None)
    return Band(at_least, below)


def layouts(dictionary: Dictionary) -> tuple[str, ...]:
    """Columns by which a catalogue can be laid out, `condition` first: each member has one level
    of each."""
    found = [
        ref.name
        for ref in dictionary.refs.values()
        if not ref.column.identifier and not ref.many and 0 < len(ref.column.levels) <= MOST_LEVELS
    ]
    return tuple(sorted(found, key=lambda name: name.rpartition(".")[2] != _FIRST))


def covered(
    analysis: Analysis, dictionary: Dictionary, result: Result, layout: str
) -> tuple[Covered, ...]:
    """What an answer about everybody says of each level of the column `layout`."""
    match analysis:
        case Count(by=by) if 1 <= len(by) <= 2:
            cells = result.rows
        case Histogram(column=column):
            by, cells = (column,), result.rows
        case Table(by=by) if len(by) <= 2:
            cells = tuple(_members(result.rows))
        case _:
            return ()
    refs = [dictionary.resolve(name) for name in by]
    if layout not in by or any(ref.many for ref in refs):
        return ()
    return tuple(_added(refs, cells, by.index(layout)))


def _members(rows: Sequence[Estimate]) -> Iterator[Estimate]:
    """The cells of a table without its margins and shares."""
    for row in rows:
        figure, *labels = row.cell
        if figure == "members" and ALL not in labels:
            yield normal_estimate(tuple(labels), row.estimate, row.se_noise)


def _added(refs: Sequence[ColumnRef], cells: Sequence[Estimate], at: int) -> Iterator[Covered]:
    """Cells of one level added up; their noises are independent."""
    others = [ref.name for ref in refs if ref is not refs[at]]
    for level in refs[at].column.cell_labels:
        own = [cell for cell in cells if cell.cell[at] == level]
        noise = math.hypot(*(cell.se_noise for cell in own))
        told = normal_estimate((level,), sum(cell.estimate for cell in own), noise)
        for column in others or ("", refs[at].name):
            yield Covered(level, column, told)
