"""Figures: one number, level, date or yes/no of a member, from their many rows of one table.

A figure looks at the rows `RowsOf` names: those that meet a condition, all of it in the same
row, and lie in every window. What it makes of them, with "unknown" as in
`models.cohort.expression`:

    Ever       yes if there is such a row, else no
    Count      how many there are
    Pick       the known value of the first or the last of them in time
    Summary    mean, least, greatest or sum of the known values; unknown if there is none
    Share      of the rows where `test` is known, the part where it holds; unknown if none
    Slope      the least-squares line through (time, value), per month of 30.4375 days

- A row counts if its condition is true, neither false nor unknown.
- A window is measured in whole days from an index of the member: a row without a time is in no
  window, and for a member without an index EVERY figure is unknown, `Ever` and `Count` too.
- Of rows at the same time the one of the lower rank is the earlier.
- Rows beyond `max_rows_per_member` do not exist.

`FigureColumn` is a figure in the place of a one-row column: conditions, cells, bins, means and
products take it like any other, and a member adds to a sum once. How its number is
computed, to the bit, is in `models.figures.grid`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from models.cohort.expression import Between, Compare, Expression, OneOf
from privacy.contract.dictionary import ColumnRef, Table


@dataclass(frozen=True)
class RowColumn(ColumnRef):
    """A column of the one row a condition looks at, written without its table."""

    @property
    def many(self) -> bool:
        return False


@dataclass(frozen=True)
class Window:
    """Rows from `start` to `end` days after the index, both included; None is without limit.

    `index` is a date (or time) of a one-row table, or a figure that gives one. Negative days
    lie before it.
    """

    index: ColumnRef
    start: int | None
    end: int | None


@dataclass(frozen=True)
class RowsOf:
    """Rows of one many-row table. `where` is on `RowColumn`s; `clock` says when a row was.

    Without a clock there are no windows, and rows are in the order of their rank.
    """

    table: Table
    clock: ColumnRef | None
    where: Expression
    windows: tuple[Window, ...]


class Which(StrEnum):
    FIRST = "first"
    LAST = "last"


class How(StrEnum):
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    SUM = "sum"


@dataclass(frozen=True)
class Ever:
    """`any(rows)`."""

    rows: RowsOf


@dataclass(frozen=True)
class Count:
    """`count(rows)`."""

    rows: RowsOf


@dataclass(frozen=True)
class Pick:
    """`first(column: …)`, `last(column: …)`: a row without a value or a time is passed over."""

    which: Which
    column: ColumnRef
    rows: RowsOf


@dataclass(frozen=True)
class Summary:
    """`mean(column: …)` and its like, of a numeric column. `least_rows` is 1 but for a mean:
    with fewer known values it is unknown."""

    how: How
    column: ColumnRef
    rows: RowsOf
    least_rows: int = 1


@dataclass(frozen=True)
class Share:
    """`share(test: …)`: `test` is one condition on one column of the table, seen row by row."""

    test: Compare | Between | OneOf
    rows: RowsOf
    least_rows: int = 1


@dataclass(frozen=True)
class Slope:
    """`slope(column: …)`: unknown with fewer than `least_rows` rows of known value and time,
    or less than `least_days` days from the first to the last of them."""

    column: ColumnRef
    rows: RowsOf
    least_rows: int = 2
    least_days: int = 30


Figure = Ever | Count | Pick | Summary | Share | Slope


@dataclass(frozen=True)
class FigureColumn(ColumnRef):
    """A figure as a column of a one-row table of its own; `name` is its canonical text.

    Made by `models.figures.column.figure_column`.
    """

    figure: Figure
    text: str

    @property
    def name(self) -> str:
        return self.text
