"""Which declared columns fit which analysis, and what to write where one does not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from models.changed import changed
from privacy.contract.dictionary import Column, ColumnRef, ColumnType, Dictionary
from privacy.errors import BadInput, Code, Refused

NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER)
CELLED = (ColumnType.CATEGORICAL, ColumnType.BOOLEAN, *NUMERIC)
MAX_CELLS = 100_000
MAX_EDGES = 1001


def cell_column(dictionary: Dictionary, name: str) -> ColumnRef:
    """A column with declared cells: levels, or bins. Raises BadInput for any other."""
    return celled(dictionary.resolve(name))


def celled(ref: ColumnRef) -> ColumnRef:
    """`ref` itself, which has declared cells. Raises BadInput for any other."""
    column = ref.column
    if column.type not in CELLED:
        raise BadInput(
            f"{ref.name!r} is a {column.type.value} column, which has no cells",
            instead="use a categorical, boolean or binned column",
        )
    if not column.cell_labels:
        what = "bins" if column.type in NUMERIC else "levels"
        raise BadInput(
            f"{ref.name!r} has no {what}", instead=f"declare {what} for it in the dictionary"
        )
    return ref


def cell_columns(dictionary: Dictionary, names: Iterable[str]) -> tuple[ColumnRef, ...]:
    """Different columns with declared cells, together at most MAX_CELLS of them.

    Raises BadInput, and Refused(TOO_MANY_CELLS).
    """
    return checked_cells(tuple(cell_column(dictionary, name) for name in names))


def checked_cells(refs: tuple[ColumnRef, ...], most: int = MAX_CELLS) -> tuple[ColumnRef, ...]:
    """`refs` itself; raises BadInput for one that stands twice, Refused(TOO_MANY_CELLS)."""
    full = [ref.name for ref in refs]
    for name in full:
        if full.count(name) > 1:
            raise BadInput(f"{name!r} stands twice", where="by", instead="name a column once")
    cells = math.prod(len(ref.column.cell_labels) for ref in refs)
    if cells > most:
        raise Refused(Code.TOO_MANY_CELLS, cells=cells, most=most)
    return refs


def gridded(ref: ColumnRef, edges: Sequence[str]) -> ColumnRef:
    """A bounded numeric column with `edges` (decimal text) for its bins.

    Edges lie within the declared bounds, so that they are public facts of the question alone;
    as with declared bins, values beyond the outer edges count in the outer bins. Raises
    BadInput.
    """
    where = f"edges of {ref.name!r}"
    if ref.column.type not in NUMERIC:
        raise BadInput(f"{ref.name!r} is no number and has no edges")
    numbers = [_edge(edge, where) for edge in edges]
    if not 2 <= len(numbers) <= MAX_EDGES:
        raise BadInput(f"edges are 2 to {MAX_EDGES:,} numbers", where=where)
    if any(low >= high for low, high in pairwise(numbers)):
        raise BadInput("edges do not ascend", where=where)
    lower, upper = bounds_of(_bounded(ref).column)
    if numbers[0] < lower or numbers[-1] > upper:
        raise BadInput(
            "edges lie outside the declared bounds",
            where=where,
            instead=f"stay within {ref.column.lower} to {ref.column.upper}",
        )
    return replace(ref, column=changed(ref.column, bins=tuple(edges)))


def _edge(text: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise BadInput("an edge is no number", where=where) from None
    if not math.isfinite(number):
        raise BadInput("an edge is not finite", where=where)
    return number


def narrowed(ref: ColumnRef, limits: Sequence[str]) -> ColumnRef:
    """A bounded numeric column to be clamped to two limits (decimal text) within its bounds.

    Raises BadInput. Without limits `ref` itself.
    """
    where = f"range of {ref.name!r}"
    lower, upper = bounds_of(numeric(ref).column)
    if not limits:
        return ref
    numbers = [_edge(limit, where) for limit in limits]
    if len(numbers) != 2 or not numbers[0] < numbers[1]:
        raise BadInput("a range is its lower and its upper limit", where=where)
    if numbers[0] < lower or numbers[1] > upper:
        raise BadInput(
            "the range lies outside the bounds",
            where=where,
            instead=f"stay within {lower:g} to {upper:g}",
        )
    return replace(ref, column=changed(ref.column, lower=limits[0], upper=limits[1]))


def capped(ref: ColumnRef, rows: int) -> ColumnRef:
    """The same column of a table of which each member brings no more than `rows` rows.

    They are the first by the table's order. Never more than the dictionary declares.
    """
    most = min(rows, ref.table.max_rows_per_member)
    return replace(ref, table=changed(ref.table, max_rows_per_member=most))


def value_column(dictionary: Dictionary, name: str) -> ColumnRef:
    """A numeric column with declared bounds. Raises BadInput for any other."""
    return numeric(dictionary.resolve(name))


def numeric(ref: ColumnRef) -> ColumnRef:
    """`ref` itself, a number with declared bounds. Raises BadInput for any other."""
    column = ref.column
    if column.type in (ColumnType.CATEGORICAL, ColumnType.BOOLEAN):
        raise BadInput(
            f"{ref.name!r} is a {column.type.value} column and has no mean or sum",
            instead=f"count(by={column.name!r}) gives its members per level",
        )
    if column.type not in NUMERIC:
        raise BadInput(
            f"{ref.name!r} is a {column.type.value} column and has no mean or sum",
            instead="use an integer or number column",
        )
    return _bounded(ref)


def _bounded(ref: ColumnRef) -> ColumnRef:
    bounds = ref.column.bounds
    if bounds is None:
        raise BadInput(
            f"{ref.name!r} has no bounds", instead="declare lower and upper in the dictionary"
        )
    if not bounds[0] < bounds[1]:
        raise BadInput(f"the lower bound of {ref.name!r} is not below its upper bound")
    return ref


def bounds_of(column: Column) -> tuple[float, float]:
    """(lower, upper) of a column that `value_column` took; BadInput otherwise."""
    if column.bounds is None:
        raise BadInput(f"{column.name!r} has no bounds")
    return column.bounds


def short_name(dictionary: Dictionary, ref: ColumnRef) -> str:
    """`column` where only one table declares it, else `table.column`: how a result names it."""
    same = [full for full, other in dictionary.refs.items() if other.column.name == ref.column.name]
    return ref.column.name if len(same) == 1 else ref.name
