"""Opening the database: connection rules, transactions and migrations."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 20


def open_engine(url: str) -> Engine:
    """An engine for `url`, for instance sqlite:////var/lib/cairn/coordinator.db."""
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, pool_size=16)
    event.listen(engine, "connect", _on_sqlite_connect)
    event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _on_sqlite_connect(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by _on_sqlite_begin alone
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _on_sqlite_begin(connection: Connection) -> None:
    """A writer takes the lock at once: a transaction never fails half-way for want of it."""
    write = connection.get_execution_options().get("cairn_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


class Database:
    """Two ways in: a snapshot to read, a transaction to write."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(cairn_write=True)

    @contextmanager
    def read(self) -> Iterator[Session]:
        with Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Everything inside happens, durably, or nothing does."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def upgrade(self) -> None:
        """Bring the schema to the newest version."""
        with self._writer.begin() as connection:
            command.upgrade(migration_config(connection), "head")

    def close(self) -> None:
        self._engine.dispose()


def migration_config(connection: Connection) -> Config:
    """Alembic's settings, without an ini file: the scripts beside this module."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    attributes: dict[str, Any] = config.attributes
    attributes["connection"] = connection
    return config
