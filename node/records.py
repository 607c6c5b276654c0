"""Members' records at a node: one DuckDB file, opened by one process.

Readers see a snapshot; a writer changes everything in one transaction or nothing. What is in
here never prints and never leaves: the engine's sums are all that the node reads out of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import RLock
from typing import Any, Self

import duckdb

from node import balance_book
from node.consent_classes import classes_that_count
from node.engines.embedded import DuckDBReading, columns_of
from node.file_copies import copy_records_file
from node.layout import MEMBERS, Cursor
from privacy.contract.diseases import Diseases
from privacy.contract.duo import Use
from privacy.errors import BadInput

LAYOUT = "2"
_DIGEST = "dictionary"
_IMPORTED = "imported"
_NAME_LAYOUT = "INSERT INTO meta VALUES ('layout', ?) ON CONFLICT DO NOTHING"
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);
CREATE SEQUENCE IF NOT EXISTS consent_order;
CREATE TABLE IF NOT EXISTS consent_changes (
    seq BIGINT DEFAULT nextval('consent_order'),
    member VARCHAR NOT NULL,
    purpose VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    valid_from DATE,
    valid_until DATE,
    terms INTEGER,
    text VARCHAR NOT NULL DEFAULT '',
    language VARCHAR NOT NULL DEFAULT '',
    evidence VARCHAR NOT NULL DEFAULT '',
    recorder VARCHAR NOT NULL DEFAULT '',
    recorded_at VARCHAR NOT NULL DEFAULT '',
    source VARCHAR NOT NULL
);
CREATE TABLE IF NOT EXISTS consent_terms (number INTEGER PRIMARY KEY, terms VARCHAR UNIQUE);
CREATE TABLE IF NOT EXISTS consent_classes (
    number INTEGER PRIMARY KEY, valid_from DATE, valid_until DATE, terms INTEGER);
CREATE TABLE IF NOT EXISTS consent_leaves (
    place BIGINT, seq BIGINT, salt BLOB, note VARCHAR, leaf BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS consent_roots (
    epoch VARCHAR PRIMARY KEY, size BIGINT, root VARCHAR);
CREATE TABLE IF NOT EXISTS consent_growth (
    id INTEGER PRIMARY KEY, word BIGINT, erasure BIGINT, frontier BLOB);
CREATE TABLE IF NOT EXISTS erasures (
    seq BIGINT DEFAULT nextval('consent_order'),
    erased_at VARCHAR, steward VARCHAR, reference VARCHAR);
CREATE TABLE IF NOT EXISTS new_people (
    seq BIGINT DEFAULT nextval('consent_order'),
    declared_at VARCHAR, steward VARCHAR, reference VARCHAR);
CREATE TABLE IF NOT EXISTS erased (hash VARCHAR PRIMARY KEY);
CREATE TABLE IF NOT EXISTS linkages (
    session VARCHAR PRIMARY KEY, fields VARCHAR, transcript VARCHAR, applied BOOLEAN);
CREATE TABLE IF NOT EXISTS linked (
    session VARCHAR, member VARCHAR, identity VARCHAR, counted BOOLEAN);
CREATE SEQUENCE IF NOT EXISTS mark_order;
CREATE TABLE IF NOT EXISTS marks (
    seq BIGINT DEFAULT nextval('mark_order'), mark VARCHAR NOT NULL);
"""


@dataclass(frozen=True)
class RecordsSettings:
    """What DuckDB may use. Above the memory limit it spills to disk beside the file."""

    memory_limit_bytes: int = 1_500_000_000
    threads: int | None = None


class Records:
    """An open database of members' records. Safe to use from several threads."""

    def __init__(self, connection: Cursor) -> None:
        self._connection = connection
        self._opening = RLock()  # a DuckDB connection is not itself safe across threads
        self._writing = RLock()

    def __repr__(self) -> str:
        return "<Records>"

    @classmethod
    def open(cls, path: Path | str, settings: RecordsSettings | None = None) -> Self:
        """Open the file, creating it where there is none; ":memory:" lives as long as the object.

        Raises BadInput if another process holds it or it is no database of this layout.
        """
        try:
            connection = duckdb.connect(str(path), config=_config(path, settings))
            _check_layout(connection, str(path))
            connection.execute(_TABLES + balance_book.TABLES)
            connection.execute(_NAME_LAYOUT, [LAYOUT])
        except duckdb.Error:
            raise BadInput(
                "the records cannot be opened",
                where=str(path),
                instead="stop the other process that uses them, or restore the file",
            ) from None
        if str(path) != ":memory:":
            Path(path).chmod(0o600)
        return cls(connection)

    def close(self) -> None:
        """Write everything to the file and let it go."""
        with self._writing, self._opening:
            self._connection.execute("CHECKPOINT")
            self._connection.close()

    def copy_to(self, path: Path) -> None:
        """The file as it is now, into a new file; nobody writes meanwhile, readers go on."""
        where = "SELECT path FROM duckdb_databases() WHERE NOT internal"
        with self._writing, self.snapshot() as cursor:
            copy_records_file(Path(cursor.execute(where).fetchone()[0]), path)

    @contextmanager
    def snapshot(self) -> Iterator[Cursor]:
        """A cursor on the records as they are now; writers do not disturb it."""
        cursor = self._cursor()
        try:
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            yield cursor
        finally:
            cursor.close()

    @contextmanager
    def reading(self) -> Iterator[DuckDBReading]:
        """The snapshot as an engine (see `node.engines.protocol`): DuckDB computes here."""
        with self.snapshot() as cursor:
            yield DuckDBReading(cursor)

    def classes(
        self, today: date, since: date, use: Use | None, diseases: Diseases
    ) -> tuple[int, ...]:
        """The classes of consent that count (see `node.engines.protocol`)."""
        with self.snapshot() as cursor:
            return classes_that_count(cursor, today, since, use, diseases)

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """A cursor whose changes all become true at the end, or none if anything is raised."""
        with self._writing, self.charging() as cursor:
            yield cursor

    @contextmanager
    def charging(self) -> Iterator[Cursor]:
        """A transaction that reads members' records and writes what they are charged.

        It lasts as long as the reading and keeps no other writer waiting: what it writes
        (`node.balance_book.write_charges`) nobody else does.
        """
        cursor = self._cursor()
        try:
            cursor.execute("BEGIN TRANSACTION")
            yield cursor
            cursor.execute("COMMIT")
        finally:
            cursor.close()

    def _cursor(self) -> Cursor:
        with self._opening:
            return self._connection.cursor()

    @property
    def dictionary_digest(self) -> str | None:
        """Digest of the dictionary the data were imported under; None before the first import."""
        with self.snapshot() as cursor:
            return _meta(cursor, _DIGEST)

    def newest_mark(self) -> str | None:
        """The mark of the newest change; None before the first."""
        with self.snapshot() as cursor:
            row = cursor.execute("SELECT mark FROM marks ORDER BY seq DESC LIMIT 1").fetchone()
        return None if row is None else str(row[0])

    def has_mark(self, mark: str) -> bool:
        """Whether the change that left this mark is in these records' past."""
        with self.snapshot() as cursor:
            found = cursor.execute("SELECT count(*) FROM marks WHERE mark = ?", [mark])
            return bool(found.fetchone()[0])

    @property
    def members(self) -> int:
        """How many members there are. Stays in the building."""
        with self.snapshot() as cursor:
            if not columns_of(cursor, MEMBERS):
                return 0
            return int(cursor.execute("SELECT count(*) FROM members").fetchone()[0])


def note_import(cursor: Cursor, dictionary: str) -> None:
    """Record, in the importing transaction, which dictionary the data follow; mark the change."""
    leave_mark(cursor)
    mark = cursor.execute("SELECT arg_max(mark, seq) FROM marks").fetchone()[0]
    for key, value in ((_DIGEST, dictionary), (_IMPORTED, mark)):
        cursor.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [key, value])


def leave_mark(cursor: Cursor) -> None:
    """Mark a change, in the changing transaction (see `node.records_guard`)."""
    cursor.execute("INSERT INTO marks (mark) VALUES (uuid()::VARCHAR)")


def _meta(cursor: Cursor, key: str) -> str | None:
    row = cursor.execute("SELECT value FROM meta WHERE key = ?", [key]).fetchone()
    return None if row is None else str(row[0])


def _check_layout(connection: Cursor, where: str) -> None:
    """Raises BadInput for a database of another layout, which is left as it is."""
    if not columns_of(connection, "meta"):
        return
    found = _meta(connection, "layout")
    if found not in (None, LAYOUT):
        connection.close()
        raise BadInput(
            f"records of layout {found}",
            where=where,
            instead="run `cairn-node upgrade`; of a newer one, install the newer program",
        )


def _config(path: Path | str, settings: RecordsSettings | None) -> dict[str, Any]:
    chosen = settings or RecordsSettings()
    threads = chosen.threads or len(os.sched_getaffinity(0))
    spill = "" if str(path) == ":memory:" else f"{path}.spill"
    return {
        "memory_limit": f"{chosen.memory_limit_bytes}B",
        "threads": threads,
        "temp_directory": spill,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
