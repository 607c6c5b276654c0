"""A contribution that is computed by a function of members' rows instead of by SQL.

Regressions and networks need each member's gradient, clipped member by member: the node reads the
columns that are named, in batches of whole members, and `fold` adds the members up as integers.

Guarantee (of every subclass): `fold` of one member has squared L2 norm at most `norm_squared`,
whatever the rows and the state hold; the fold of some members is the sum of their folds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.rows import Rows
from privacy.contract.dictionary import ColumnRef

Integers = NDArray[np.int64]


class Streamed(ABC):
    """One vector of integers per member, from the named columns."""

    @property
    @abstractmethod
    def length(self) -> int:
        """Numbers in a vector."""

    @property
    @abstractmethod
    def norm_squared(self) -> int:
        """The squared L2 norm of one member's vector is not above it."""

    @property
    def sites(self) -> tuple[str, ...]:
        """The organisations that are told apart, in the plan's order; none in most analyses."""
        return ()

    @property
    @abstractmethod
    def columns(self) -> frozenset[ColumnRef]:
        """What is read, from one-row tables and at most one many-row table."""

    def members_in(self, totals: Sequence[int]) -> float | None:  # noqa: ARG002
        """How many members an opened total of these vectors speaks of; None if it does not say."""
        return None

    @abstractmethod
    def fold(self, rows: Rows, asked: NDArray[np.bool_], site: str = "") -> Integers:
        """[length]: the sum over the members of `rows` who are asked, all rows of each given.

        `site` is the organisation's id. Raises BadInput where `sites` are told apart and it is
        none of them.
        """
