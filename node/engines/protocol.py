"""What a question needs of the place where members' records lie.

*What* is asked is an Ibis expression that knows no database (`node.engine`); *where* it is
computed is an `Engine`. All engines hold the tables of `node.layout` and return the same integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from node.cut import Cut

Expr = Any  # an Ibis expression; the library has no types
Column = NDArray[Any]  # int64; or Python's integers, where sums are wider; NULL is 0
Columns = Mapping[str, Column]


class Reading(Protocol):
    """One consistent view of the records, from beginning to end."""

    def columns_of(self, table: str) -> tuple[str, ...]:
        """Names of a table's columns; () if there is no such table."""
        ...

    def cut(self) -> Cut:
        """The newest import and the newest consent recorded at the node, in this view.

        Beside the records lies `consent_changes` (seq, member, purpose, state), from which
        `node.engine_cohort.joined_since` reads whose consent is newer than a run.
        """
        ...

    def run(self, asked: Expr) -> Columns:
        """The rows of an expression whose columns are all integers, by column."""
        ...

    def batches(self, asked: Expr, size: int) -> Iterator[Mapping[str, NDArray[Any]]]:
        """The rows of an expression in their order, about `size` at a time, by column.

        A column of doubles has NaN for NULL; any other is of whole numbers, none of them NULL.
        """
        ...


class Engine(Protocol):
    """Members' records, wherever they lie."""

    def reading(self) -> AbstractContextManager[Reading]:
        """The records as they are now; what changes meanwhile does not show."""
        ...


def integers(values: Sequence[Any]) -> Column:
    """A column of integers of any width, given as numbers or decimal text; NULL is 0."""
    return np.array([int(value or 0) for value in values], dtype=object)
