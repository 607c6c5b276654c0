"""A column's rows; of a figure, as a node handed them over or computed here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.figures.reference import values_of
from models.figures.types import FigureColumn
from models.regression.slopes import DAYS_PER_YEAR
from models.rows import Rows, TableRows, Values
from privacy.contract.dictionary import ColumnRef, ColumnType


def column_rows(rows: Rows, ref: ColumnRef) -> tuple[TableRows, Values]:
    """The rows of the column's table, within the declared number per member, and its values."""
    if isinstance(ref, FigureColumn) and ref.name in rows.tables:
        table = rows.tables[ref.name]
        return table, table.values[ref.name]
    return values_of(rows, ref)


def plain_numbers(ref: ColumnRef, values: Values) -> NDArray[np.float64]:
    """In the unit of the column's bounds, NaN where missing: dates in days, whether they came as
    dates or, as a node's database hands them over, in years."""
    if values.dtype.kind == "M":
        days = values.astype("datetime64[D]").astype(np.float64)
        return np.where(np.isnat(values), np.nan, days)
    numbers = np.asarray(values, dtype=np.float64)
    return np.rint(numbers * DAYS_PER_YEAR) if ref.column.type is ColumnType.DATE else numbers
