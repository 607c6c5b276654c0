"""A column's rows; of a figure, as a node handed them over or computed here."""

from __future__ import annotations

from models.figures.reference import values_of
from models.figures.types import FigureColumn
from models.rows import Rows, TableRows, Values
from privacy.contract.dictionary import ColumnRef


def column_rows(rows: Rows, ref: ColumnRef) -> tuple[TableRows, Values]:
    """The rows of the column's table, within the declared number per member, and its values."""
    if isinstance(ref, FigureColumn) and ref.name in rows.tables:
        table = rows.tables[ref.name]
        return table, table.values[ref.name]
    return values_of(rows, ref)
