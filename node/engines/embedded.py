"""DuckDB inside the node: the engine of a node that needs no other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.engines.protocol import Column, Columns, Expr, integers

_WIDE = ("HUGEINT", "DECIMAL")  # numpy would take them for doubles


class DuckDBReading:
    """A snapshot of the records in the node's own file."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def columns_of(self, table: str) -> tuple[str, ...]:
        return columns_of(self._cursor, table)

    def run(self, asked: Expr) -> Columns:
        import ibis

        self._cursor.execute(str(ibis.to_sql(asked, dialect="duckdb")))
        names = [each[0] for each in self._cursor.description]
        if any(str(each[1]).startswith(_WIDE) for each in self._cursor.description):
            rows = self._cursor.fetchall()
            return {name: integers([row[at] for row in rows]) for at, name in enumerate(names)}
        found = self._cursor.fetchnumpy()
        return {name: _filled(found[name]) for name in names}

    def batches(self, asked: Expr, size: int) -> Iterator[Mapping[str, NDArray[Any]]]:
        import ibis

        found = self._cursor.sql(str(ibis.to_sql(asked, dialect="duckdb")))
        read = getattr(found, "to_arrow_reader", None) or found.fetch_record_batch  # before 1.4
        for batch in read(size):
            yield {
                name: batch.column(name).to_numpy(zero_copy_only=False)
                for name in batch.schema.names
            }


def columns_of(cursor: Any, table: str) -> tuple[str, ...]:
    """Names of a table's columns in order; () if there is no such table."""
    rows = cursor.execute(
        "SELECT column_name FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index",
        [table],
    ).fetchall()
    return tuple(name for (name,) in rows)


def _filled(column: Any) -> Column:
    """NULL as 0, all in 64 bits."""
    return np.ma.filled(column, 0).astype(np.int64)
