"""What a model reads, from frames that a person has: a column per feature, or whole tables."""

from __future__ import annotations

from collections.abc import Mapping

from models.figures.types import FigureColumn
from models.figures.walk import stored_columns
from models.neural.specification import Compiled
from models.rows import Columns, Rows, from_tables
from privacy.contract.dictionary import ColumnRef, Dictionary, Table
from privacy.contract.dictionary import Rows as Many
from privacy.errors import BadInput

Refs = tuple[ColumnRef, ...]


def rows_of(made: Compiled, dictionary: Dictionary, given: Columns | Mapping[str, Columns]) -> Rows:
    """Rows with what a network reads; see `rows_with`."""
    return rows_with((*made.encoding.static, *made.encoding.visit), dictionary, given)


def rows_with(
    features: Refs, dictionary: Dictionary, given: Columns | Mapping[str, Columns]
) -> Rows:
    """`given` is a frame of the one table that is read, a line per member unless it has the key
    column; or tables by name, each with its key column.

    Raises BadInput for a table or column that is read and not there, and as `from_tables` does.
    """
    read = sources(features)
    tables = {table.name: table for table in _tables(features)}
    if any(name in given for name in tables):
        named = {name: given[name] for name in tables if name in given}
    elif len(tables) == 1:
        (table,) = tables.values()
        named = {table.name: _keyed(table, given, read)}
    else:
        named = {}
    for name in tables:
        if name not in named:
            raise BadInput(f"table {name!r} is not there", instead=_usage(tables))
    for ref in read:
        if ref.column.name not in named[ref.table.name]:
            raise BadInput(f"column {ref.column.name!r} is not there", where=ref.table.name)
    return from_tables(dictionary, named)


def sources(features: Refs) -> list[ColumnRef]:
    """The declared columns that are read, of figures those that they are made of."""
    return list({ref.name: ref for each in features for ref in stored_columns(each)}.values())


def _tables(features: Refs) -> list[Table]:
    rows = [ref.figure.rows.table for ref in features if isinstance(ref, FigureColumn)]
    return [*(ref.table for ref in sources(features)), *rows]


def _keyed(table: Table, given: Columns, read: list[ColumnRef]) -> Columns:
    """The frame itself, with a key for each line where it has none."""
    if table.key in given:
        return given
    names = [ref.column.name for ref in read if ref.column.name in given]
    if table.rows is Many.MANY or not names:
        raise BadInput(f"column {table.key!r} is not there", where=table.name)
    columns = {name: given[name] for name in names}
    return {table.key: range(len(columns[names[0]])), **columns}


def _usage(tables: Mapping[str, Table]) -> str:
    shown = ", ".join(f"{name!r}: …" for name in tables)
    return f"give the tables by name, each with its key column: {{{shown}}}"
