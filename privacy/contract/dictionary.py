"""The dictionary: what every column means, declared in public before any data is read.

Levels, bounds, bins and rows per member come from here and never from data, so that every
shape, scale and sensitivity is a public fact. A plan names the dictionary by its digest.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cached_property
from typing import Self

from pydantic import field_validator, model_validator

from privacy.contract.facts import Fact
from privacy.errors import BadInput

_SHOWN = 20  # columns named in a refusal


class ColumnType(StrEnum):
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    DATE = "date"
    TEXT = "text"


class Rows(StrEnum):
    ONE = "one"
    MANY = "many"


class Column(Fact):
    """One declared variable. Numbers are decimal text, so that the digest is exact."""

    name: str
    type: ColumnType
    levels: tuple[str, ...] = ()
    lower: str | None = None
    upper: str | None = None
    bins: tuple[str, ...] = ()  # edges, ascending; the last bin holds its upper edge
    unit: str = ""
    missing: tuple[str, ...] = ("", "NA", "?")
    identifier: bool = False
    label: str = ""

    @field_validator("lower", "upper")
    @classmethod
    def _finite(cls, value: str | None) -> str | None:
        try:
            finite = value is None or math.isfinite(float(Decimal(value)))
        except (InvalidOperation, ValueError):
            finite = False
        if not finite:
            raise ValueError("bounds are finite numbers")
        return value

    @cached_property
    def bounds(self) -> tuple[float, float] | None:
        """(lower, upper) in the column's unit, or None where none are declared."""
        if self.lower is None or self.upper is None:
            return None
        return float(self.lower), float(self.upper)

    @cached_property
    def edges(self) -> tuple[float, ...]:
        return tuple(float(edge) for edge in self.bins)

    @cached_property
    def cell_labels(self) -> tuple[str, ...]:
        """Names of the cells a member can fall in: levels, or bins as intervals; () if neither."""
        if self.levels:
            return self.levels
        last = len(self.bins) - 2
        return tuple(
            f"[{self.bins[i]}, {self.bins[i + 1]}{']' if i == last else ')'}"
            for i in range(last + 1)
        )

    def bin_of(self, value: float) -> int:
        """Index of the bin that holds `value`, after clamping to the outer edges."""
        inner = self.edges[1:-1]
        return bisect_right(inner, value)


class Table(Fact):
    """One file per organisation: the member column, rows per member, and the variables."""

    name: str
    key: str
    rows: Rows
    max_rows_per_member: int = 1
    time: str | None = None
    columns: tuple[Column, ...]

    @model_validator(mode="after")
    def _rows(self) -> Self:
        if self.rows is Rows.ONE and self.max_rows_per_member != 1:
            raise ValueError('rows = "one" means max_rows_per_member = 1')
        if self.max_rows_per_member < 1:
            raise ValueError("max_rows_per_member is at least 1")
        return self


@dataclass(frozen=True)
class ColumnRef:
    """A column found in the dictionary, with the table it belongs to."""

    table: Table
    column: Column

    @property
    def name(self) -> str:
        """The unambiguous name, `table.column`."""
        return f"{self.table.name}.{self.column.name}"

    @property
    def many(self) -> bool:
        return self.table.rows is Rows.MANY


class Dictionary(Fact):
    """All tables of a network."""

    tables: tuple[Table, ...]

    @cached_property
    def refs(self) -> dict[str, ColumnRef]:
        """Every column by its full name `table.column`."""
        found = (ColumnRef(table, column) for table in self.tables for column in table.columns)
        return {ref.name: ref for ref in found}

    def resolve(self, name: str) -> ColumnRef:
        """Find `column` or `table.column`.

        Raises BadInput for an unknown name (with the nearest declared one), an ambiguous one,
        and an identifier, which no analysis may touch.
        """
        matches = [ref for full, ref in self.refs.items() if name in (full, ref.column.name)]
        if not matches:
            raise BadInput(f"no column {name!r} is declared", instead=self._nearest(name))
        if len(matches) > 1:
            raise BadInput(
                f"{name!r} stands in several tables",
                instead="write " + " or ".join(ref.name for ref in matches),
            )
        if matches[0].column.identifier:
            raise BadInput(f"{name!r} is an identifier", instead="use a column that is none")
        return matches[0]

    def _nearest(self, name: str) -> str:
        from difflib import get_close_matches

        short = Counter(ref.column.name for ref in self.refs.values())
        close = get_close_matches(name, sorted(short.keys() | self.refs.keys()), n=1)
        if close:
            return f"did you mean {close[0]!r}?"
        shown = [
            ref.column.name if short[ref.column.name] == 1 else full
            for full, ref in self.refs.items()
            if not ref.column.identifier
        ]
        more = ", …" if len(shown) > _SHOWN else ""
        return "declared: " + ", ".join(shown[:_SHOWN]) + more
