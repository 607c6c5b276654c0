"""PostgreSQL as the engine: a schema that holds a copy of the records, read through Arrow.

A copy is loaded into new tables and takes the place of the former within one transaction. A
question locks the table `published` before it takes its snapshot, and a copy takes that lock
exclusively before it replaces tables: who reads sees either all old tables or all new ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pyarrow as pa

from node.engines.copied import CopiedTable, consent_row, copied_tables
from node.engines.protocol import Columns, EngineError, Expr, TotalTooLargeError, integers
from node.layout import MEMBERS, literal, quote, select
from privacy.errors import BadInput

LONGEST_NAME = 63  # bytes; PostgreSQL cuts what is longer
_NEW = "new:"
_STAMP = "published"
_OUT_OF_RANGE = "22003"
_NO_SUCH_TABLE = ("42P01", "3F000")
_BATCH = 100_000
_CONNECT_SECONDS = 10
_TYPES = {"DOUBLE": "DOUBLE PRECISION"}
_READ_ONLY = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
_DIVISION = """
CREATE OR REPLACE FUNCTION {schema}.divide("top" {kind}, bottom BIGINT) RETURNS BIGINT
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT {quotient} $$
"""
_QUOTIENTS = {"BIGINT": "$1 / $2", "NUMERIC": "CAST(div($1, CAST($2 AS NUMERIC)) AS BIGINT)"}


@dataclass(frozen=True)
class _Copy:
    """What the table `published` says: up to which change the copy goes, and its columns."""

    mark: str
    columns: Mapping[str, Sequence[str]]


class PostgreSQL:
    """A database by its address, without a password: that stands in a password file."""

    def __init__(self, address: str, schema: str) -> None:
        self._driver = _driver()
        self._address = _with_timeout(address)
        self._schema = quote(schema)
        self._name = schema

    def __repr__(self) -> str:
        return "<PostgreSQL>"

    @contextmanager
    def reading(self) -> Iterator[PostgreSQLReading]:
        """The newest copy, as one transaction sees it."""
        with self._session() as (connection, cursor):
            cursor.execute(_READ_ONLY)
            cursor.execute(f"SET search_path TO {self._schema}, pg_catalog")
            connection.commit()
            yield PostgreSQLReading(cursor, self._locked(connection, cursor, "ACCESS SHARE"))

    def _locked(self, connection: Any, cursor: Any, mode: str) -> _Copy | None:
        """What the copy is, which stays as long as the transaction; None if there is none."""
        try:
            cursor.execute(f"LOCK TABLE {self._schema}.{_STAMP} IN {mode} MODE")
        except self._driver.Error as error:
            if error.sqlstate not in _NO_SUCH_TABLE:
                raise
            connection.rollback()
            return None
        return _copy(cursor, self._schema)

    def published(self) -> str | None:
        with self.reading() as reading:
            return reading.mark

    def publish(self, records: Any, mark: str) -> None:
        tables = copied_tables(records)
        with self._session() as (connection, cursor):
            self._prepare(cursor)
            for table in tables:
                self._load(cursor, table, records)
            cursor.execute(f"LOCK TABLE {self._schema}.{_STAMP} IN ACCESS EXCLUSIVE MODE")
            self._replace(cursor, tables)
            self._stamp(cursor, mark, {each.name: tuple(each.columns) for each in tables})
            connection.commit()

    def _prepare(self, cursor: Any) -> None:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {self._schema}")
        stamp = f"{self._schema}.{_STAMP} (mark TEXT NOT NULL, columns TEXT NOT NULL)"
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {stamp}")
        for kind, quotient in _QUOTIENTS.items():
            made = _DIVISION.format(schema=self._schema, kind=kind, quotient=quotient)
            cursor.execute(made)

    def _load(self, cursor: Any, table: CopiedTable, records: Any) -> None:
        columns = ", ".join(
            f"{_quoted(name)} {_TYPES.get(kind, kind)}" for name, kind in table.columns.items()
        )
        name = _kept(f"{_NEW}{table.name}")
        full = f"{self._schema}.{quote(name)}"
        cursor.execute(f"CREATE TABLE {full} ({columns})")
        rows = records.sql(table.sql(_kept)).to_arrow_reader(_BATCH)
        cursor.adbc_ingest(name, rows, mode="append", db_schema_name=self._name)
        if table.name == MEMBERS:
            cursor.execute(f"CREATE UNIQUE INDEX ON {full} (member_ix)")
        cursor.execute(f"ANALYZE {full}")

    def _replace(self, cursor: Any, tables: tuple[CopiedTable, ...]) -> None:
        copy = _copy(cursor, self._schema)
        for name in {} if copy is None else copy.columns:
            cursor.execute(f"DROP TABLE {self._schema}.{_quoted(name)}")
        for table in tables:
            new = f"{self._schema}.{_quoted(_NEW + table.name)}"
            cursor.execute(f"ALTER TABLE {new} RENAME TO {_quoted(table.name)}")

    def publish_member(self, records: Any, member: str, before: str, mark: str) -> bool:
        row = consent_row(records, member)
        with self._session() as (connection, cursor):
            copy = self._locked(connection, cursor, "ROW EXCLUSIVE")
            if copy is None or copy.mark != before or not row.keys() <= {*copy.columns[MEMBERS]}:
                return False
            place = row.pop("member_ix")
            changes = ", ".join(f"{_quoted(name)} = {_value(each)}" for name, each in row.items())
            condition = f"WHERE member_ix = {_value(place)}"
            cursor.execute(f"UPDATE {self._schema}.{MEMBERS} SET {changes} {condition}")  # noqa: S608
            self._stamp(cursor, mark, copy.columns)
            connection.commit()
        return True

    def _stamp(self, cursor: Any, mark: str, columns: Mapping[str, Sequence[str]]) -> None:
        cursor.execute(f"DELETE FROM {self._schema}.{_STAMP}")  # noqa: S608
        said = f"{literal(mark)}, {literal(json.dumps(columns))}"
        cursor.execute(f"INSERT INTO {self._schema}.{_STAMP} VALUES ({said})")  # noqa: S608

    @contextmanager
    def _session(self) -> Iterator[tuple[Any, Any]]:
        """A connection with a cursor; what was not committed is undone."""
        try:
            with self._driver.connect(self._address) as connection, connection.cursor() as cursor:
                yield connection, cursor
        except self._driver.Error as error:
            if error.sqlstate == _OUT_OF_RANGE:
                raise TotalTooLargeError("a total exceeds the database's numbers") from None
            raise EngineError("PostgreSQL did not answer") from None

    def close(self) -> None:
        """Every question has a connection of its own; nothing is left open."""


class PostgreSQLReading:
    """One read-only transaction."""

    def __init__(self, cursor: Any, copy: _Copy | None) -> None:
        self._cursor = cursor
        self._copy = copy

    @property
    def mark(self) -> str | None:
        return None if self._copy is None else self._copy.mark

    def columns_of(self, table: str) -> tuple[str, ...]:
        return () if self._copy is None else tuple(self._copy.columns.get(table, ()))

    def run(self, asked: Expr) -> Columns:
        self._cursor.execute(compiled(asked))
        found = self._cursor.fetch_arrow_table()
        return {name: _column(found.column(at)) for at, name in enumerate(asked.columns)}

    def batches(self, asked: Expr, size: int) -> Iterator[Columns]:
        self._cursor.execute(compiled(asked))
        for found in self._cursor.fetch_record_batch():
            for start in range(0, found.num_rows, size):
                part = found.slice(start, size)
                yield {
                    name: part.column(at).to_numpy(zero_copy_only=False)
                    for at, name in enumerate(asked.columns)
                }


def compiled(asked: Expr) -> str:
    """SQL for PostgreSQL. Ibis' own backend would want a second driver."""
    from ibis.backends.sql.compilers.postgres import PostgresCompiler
    from sqlglot.expressions import Identifier

    compiler = PostgresCompiler()
    statement = compiler.to_sqlglot(asked)
    for each in statement.find_all(Identifier):
        each.set("this", _kept(each.name))
    return str(statement.sql(dialect=compiler.dialect))


def _column(found: Any) -> Any:
    """Numbers wider than 64 bits arrive as decimal text."""
    if pa.types.is_integer(found.type):
        return found.fill_null(0).to_numpy().astype(np.int64)
    return integers(found.to_pylist())


def _copy(cursor: Any, schema: str) -> _Copy | None:
    cursor.execute(select({"mark": "mark", "columns": "columns"}, f"{schema}.{_STAMP}"))
    row = cursor.fetchone()
    return None if row is None else _Copy(str(row[0]), json.loads(row[1]))


def _kept(name: str) -> str:
    """A name that PostgreSQL does not cut: a long one by its hash."""
    if len(name.encode()) <= LONGEST_NAME:
        return name
    return f"hash:{sha256(name.encode()).hexdigest()[:48]}"


def _quoted(name: str) -> str:
    return quote(_kept(name))


def _value(value: int | None) -> str:
    return "NULL" if value is None else str(int(value))


def _driver() -> Any:
    try:
        return import_module("adbc_driver_postgresql.dbapi")
    except ImportError:
        raise BadInput(
            "the engine postgresql is not installed",
            instead="pip install 'cairn-network[postgresql]'",
        ) from None


def _with_timeout(address: str) -> str:
    """The address with a limit to how long a connection may take to be made.

    Raises BadInput for one that holds a password: settings are read by more eyes than keys.
    """
    parts = urlsplit(address)
    query = dict(parse_qsl(parts.query))
    if parts.scheme not in ("postgresql", "postgres"):
        raise BadInput(
            "engine_address is no address of PostgreSQL",
            where="node.toml",
            instead="write postgresql://user@host/database",
        )
    if parts.password is not None or "password" in query:
        raise BadInput(
            "engine_address holds a password",
            where="node.toml",
            instead="leave it out and add ?passfile=/path/of/a/password/file",
        )
    if "connect_timeout" in query:
        return address
    return f"{address}{'&' if parts.query else '?'}connect_timeout={_CONNECT_SECONDS}"
