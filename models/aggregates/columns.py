"""Which declared columns fit which analysis, and what to write where one does not."""

from __future__ import annotations

from privacy.contract.dictionary import Column, ColumnRef, ColumnType, Dictionary
from privacy.errors import BadInput

NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER)
CELLED = (ColumnType.CATEGORICAL, ColumnType.BOOLEAN, *NUMERIC)


def cell_column(dictionary: Dictionary, name: str) -> ColumnRef:
    """A column with declared cells: levels, or bins. Raises BadInput for any other."""
    ref = dictionary.resolve(name)
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


def value_column(dictionary: Dictionary, name: str) -> ColumnRef:
    """A numeric column with declared bounds. Raises BadInput for any other."""
    ref = dictionary.resolve(name)
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
