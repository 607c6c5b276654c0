"""Spark as the engine: a folder of Parquet files that holds a copy of the records.

    published.json               which files are the copy, and of which change
    members-NUMBER.parquet …     one file per table and copy

A copy is written beside the former; replacing `published.json` makes it the one that counts. Files
of former copies go once no question reads them. Only the node's own process writes here.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from node.engines.copied import CopiedTable, copied_tables
from node.engines.protocol import (
    Column,
    Columns,
    EngineError,
    Expr,
    TotalTooLargeError,
    doubles,
    integers,
)
from node.layout import MEMBERS, literal
from privacy.errors import BadInput

_SETTINGS = {
    "spark.ui.enabled": "false",  # a page that shows every question
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "OFF",  # an error's text can quote a value
    "spark.sql.ansi.enabled": "true",  # a sum that overflows is an error, never a number
    "spark.sql.caseSensitive": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
}
_LOCAL = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
_DIVISION = (
    "CREATE OR REPLACE TEMPORARY FUNCTION divide(top BIGINT, bottom BIGINT) RETURNS BIGINT "
    "RETURN top DIV bottom"
)


@dataclass(frozen=True)
class _Copy:
    """What `published.json` says: the change, and of every table its file and columns."""

    mark: str | None = None
    files: Mapping[str, str] | None = None
    columns: Mapping[str, tuple[str, ...]] | None = None


class Spark:
    """A Spark by its master (`local[4]`, `spark://host:7077`), and the folder it reads."""

    def __init__(self, master: str, folder: Path) -> None:
        _check_installed()
        self._master = master
        self._folder = folder
        self._lock = threading.Lock()
        self._read: list[_Copy] = []  # copies that questions are reading
        self._sessions: dict[str, Any] = {}  # by mark, of the newest copy alone

    def __repr__(self) -> str:
        return "<Spark>"

    @contextmanager
    def reading(self) -> Iterator[SparkReading]:
        """The newest copy; its files stay while they are read."""
        with self._lock:
            copy = self._copy()
            self._read.append(copy)
        try:
            yield SparkReading(self, copy)
        finally:
            with self._lock:
                self._read.remove(copy)

    def published(self) -> str | None:
        return self._copy().mark

    def _copy(self) -> _Copy:
        try:
            said = json.loads((self._folder / "published.json").read_bytes())
        except FileNotFoundError:
            return _Copy()
        except (OSError, ValueError):
            raise EngineError("the folder of the copy cannot be read") from None
        columns = {name: tuple(each["columns"]) for name, each in said["tables"].items()}
        files = {name: str(each["file"]) for name, each in said["tables"].items()}
        return _Copy(str(said["mark"]), files, columns)

    # publishing

    def publish(self, records: Any, mark: str) -> None:
        self._publish(records, mark, {})

    def publish_member(
        self,
        records: Any,
        member: str,  # noqa: ARG002 - all of them are written
        before: str,
        mark: str,
    ) -> bool:
        copy = self._copy()
        if copy.mark != before or copy.files is None:
            return False
        kept = {name: file for name, file in copy.files.items() if name != MEMBERS}
        self._publish(records, mark, kept)
        return True

    def _publish(self, records: Any, mark: str, kept: Mapping[str, str]) -> None:
        """Write the tables that are not `kept` from the former copy, and make the copy count."""
        try:
            self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            tables = copied_tables(records)
            files = {each.name: kept.get(each.name) or _file(each, mark) for each in tables}
            for table in tables:
                if table.name not in kept:
                    _write(records, table, self._folder / files[table.name])
            said = {
                each.name: {"file": files[each.name], "columns": list(each.columns)}
                for each in tables
            }
            _replace(self._folder / "published.json", {"mark": mark, "tables": said})
            self._remove_former(set(files.values()))
        except OSError:
            raise EngineError("the folder of the copy cannot be written") from None

    def _remove_former(self, newest: set[str]) -> None:
        with self._lock:
            read = {file for copy in self._read for file in (copy.files or {}).values()}
            for path in self._folder.glob("*.parquet"):
                if path.name not in newest | read:
                    path.unlink()

    # asking

    def session(self, copy: _Copy) -> Any:
        """A session that sees the tables of one copy."""
        with self._lock:
            found = self._sessions.get(str(copy.mark))
            if found is None:
                found = self._new_session(copy)
                self._sessions = {str(copy.mark): found}
        return found

    def _new_session(self, copy: _Copy) -> Any:
        builder = import_module("pyspark.sql").SparkSession.builder.appName("cairn")
        settings = _SETTINGS | (_LOCAL if self._master.startswith("local") else {})
        for name, value in settings.items():
            builder = builder.config(name, value)
        logging.getLogger("SQLQueryContextLogger").disabled = True  # it writes whole errors
        session = builder.master(self._master).getOrCreate().newSession()
        for name, value in settings.items():
            if name.startswith("spark.sql."):
                session.conf.set(name, value)
        session.sql(_DIVISION)
        for name, file in (copy.files or {}).items():
            path = literal(str((self._folder / file).resolve()))
            session.sql(f"CREATE TEMPORARY VIEW `{name}` USING parquet OPTIONS (path {path})")
        return session

    def close(self) -> None:
        with self._lock:
            sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.stop()


class SparkReading:
    """One copy."""

    def __init__(self, spark: Spark, copy: _Copy) -> None:
        self._spark = spark
        self._copy = copy

    @property
    def mark(self) -> str | None:
        return self._copy.mark

    def columns_of(self, table: str) -> tuple[str, ...]:
        return (self._copy.columns or {}).get(table, ())

    def run(self, asked: Expr) -> Columns:
        with _errors():
            rows = self._spark.session(self._copy).sql(compiled(asked)).collect()
        return {name: integers([row[at] for row in rows]) for at, name in enumerate(asked.columns)}

    def batches(self, asked: Expr, size: int) -> Iterator[Columns]:
        with _errors():
            found = self._spark.session(self._copy).sql(compiled(asked))
            columns = {
                field.name: doubles if field.dataType.typeName() == "double" else _whole
                for field in found.schema.fields
            }
            rows = found.toLocalIterator(prefetchPartitions=True)
            while part := list(islice(rows, size)):
                yield {
                    name: read([row[at] for row in part])
                    for at, (name, read) in enumerate(columns.items())
                }


def _whole(values: Sequence[Any]) -> Column:
    return np.array(values, dtype=np.int64)


@contextmanager
def _errors() -> Iterator[None]:
    """Errors of Spark without their words."""
    errors = import_module("pyspark.errors")
    try:
        yield
    except errors.ArithmeticException:
        raise TotalTooLargeError("a total exceeds the database's numbers") from None
    except errors.PySparkException:
        raise EngineError("Spark did not answer") from None


def compiled(asked: Expr) -> str:
    """SQL for Spark. Ibis reads options that exist once its backend is loaded."""
    import ibis

    ibis.load_backend("pyspark")
    return str(ibis.to_sql(asked, dialect="pyspark"))


def _file(table: CopiedTable, mark: str) -> str:
    """A new name for each table and copy; table names may not fit a file's."""
    return f"{sha256(f'{table.name} {mark}'.encode()).hexdigest()[:32]}.parquet"


def _write(records: Any, table: CopiedTable, path: Path) -> None:
    records.execute(f"COPY ({table.sql()}) TO {literal(str(path))} (FORMAT parquet)")
    path.chmod(0o640)
    _sync(path)


def _replace(path: Path, said: Mapping[str, Any]) -> None:
    """The moment at which the new copy counts: all its files are on the disk."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(said, indent=2) + "\n", "utf-8")
    _sync(new)
    new.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_installed() -> None:
    try:
        import_module("pyspark.sql")
    except ImportError:
        raise BadInput(
            "the engine spark is not installed", instead="pip install 'cairn-network[spark]'"
        ) from None
