"""What a question needs of the place where members' records lie.

*What* is asked is an Ibis expression that knows no database (`node.engine`); *where* it is
computed is an `Engine`. All engines hold the tables of `node.layout` and return the same integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from privacy.contract.diseases import Diseases
from privacy.contract.duo import Use
from privacy.errors import CairnError

Expr = Any  # an Ibis expression; the library has no types
Column = NDArray[Any]  # int64; or Python's integers, where sums are wider; NULL is 0
Columns = Mapping[str, Column]


class TotalTooLargeError(CairnError):
    """A total beyond 2^62: the declared number of members was too small. Never a wrong number."""


class NotLinkedError(CairnError):
    """The records are not of the linkage that a question counts by."""


class EngineError(CairnError):
    """The engine did not do what it was asked. What it said is left out: it may quote a value."""


class Reading(Protocol):
    """One consistent view of the records, from beginning to end."""

    def columns_of(self, table: str) -> tuple[str, ...]:
        """Names of a table's columns; () if there is no such table."""
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

    def classes(
        self, today: date, since: date, use: Use | None, diseases: Diseases
    ) -> tuple[int, ...]:
        """The classes of consent that count (see `node.consent_classes`). To be asked once a
        reading is fixed: whatever class stands there is known."""
        ...


class Account(Protocol):
    """Whose budget one opening is charged to, member by member (see `node.balances`)."""

    @property
    def sitting_out(self) -> Expr | None:
        """Numbers of the members who must not be asked, as a column; None for nobody."""
        ...

    def reading(self) -> AbstractContextManager[Reading]:
        """The records as they are now, and the step that charges; all or nothing."""
        ...

    def charge(self, reading: Reading, norms: Expr) -> None:
        """Charge what `norms` (member_ix, squared; see `node.engine_norms`) says."""
        ...


class RemoteReading(Reading, Protocol):
    """A reading of a copy of the records."""

    @property
    def mark(self) -> str | None:
        """The mark of the change (see `node.records`) up to which the copy goes."""
        ...


class Remote(Protocol):
    """A database beside the node that holds a copy of the records. Errors are EngineError."""

    def reading(self) -> AbstractContextManager[RemoteReading]: ...

    def published(self) -> str | None:
        """The mark of the copy; None if there is none."""
        ...

    def publish(self, records: Any, mark: str) -> None:
        """Copy all tables from a DuckDB cursor, all or nothing. Raises BadInput for what the
        database cannot hold."""
        ...

    def publish_member(self, records: Any, member: str, before: str, mark: str) -> bool:
        """Bring a copy that goes up to `before` to `mark`, between which one member's consent
        changed. False if the copy is another, and nothing was done."""
        ...

    def close(self) -> None:
        """Let go of what was opened."""
        ...


def doubles(values: Sequence[Any]) -> Column:
    """A column of doubles; NULL is NaN."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def integers(values: Sequence[Any]) -> Column:
    """A column of integers of any width, given as numbers or decimal text; NULL is 0."""
    return np.array([int(value or 0) for value in values], dtype=object)
