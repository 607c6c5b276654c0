"""Opening the database: connection rules, transactions and migrations.

SQLite and PostgreSQL behave alike: a reader sees one snapshot, and writers wait for each other,
so what a transaction has read still holds when it writes. On PostgreSQL the lock that SQLite
has by itself is an advisory one, held until the transaction ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import Session

from privacy.errors import BadInput

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 20
_POOL = 16
_ONE_WRITER = 0x6361_6972_6E  # the advisory lock of this store: "cairn"
_FORMS = "sqlite:////srv/cairn/store.sqlite or postgresql+psycopg://user@host/database"


def open_engine(url: str) -> Engine:
    """An engine for `url`; raises BadInput for one that is no address of either database."""
    address = check_address(url)
    if address.get_backend_name() == "sqlite":
        engine = create_engine(address, connect_args={"timeout": _BUSY_SECONDS}, pool_size=_POOL)
        event.listen(engine, "connect", _on_sqlite_connect)
        event.listen(engine, "begin", _on_sqlite_begin)
        return engine
    engine = _postgresql(address)
    event.listen(engine, "begin", _on_postgresql_begin)
    return engine


def check_address(url: str) -> URL:
    """The address in its parts; raises BadInput, never quoting it: it could hold a password."""
    try:
        address = make_url(url)
    except ArgumentError:
        raise BadInput("not an address of a database", where="database", instead=_FORMS) from None
    if address.drivername not in ("sqlite", "postgresql+psycopg"):
        raise BadInput("no such kind of database", where="database", instead=_FORMS)
    if address.password is not None or "password" in address.query:
        raise BadInput(
            "a password stands in the address",
            where="database",
            instead="passfile=… in the address, a file of mode 0600",
        )
    return address


def _postgresql(address: URL) -> Engine:
    try:
        return create_engine(
            address, pool_pre_ping=True, pool_size=_POOL, isolation_level="REPEATABLE READ"
        )
    except ModuleNotFoundError:
        raise BadInput(
            "the driver of PostgreSQL is not installed",
            where="database",
            instead="pip install 'cairn-network[postgresql-store]'",
        ) from None


def _on_postgresql_begin(connection: Connection) -> None:
    """A writer waits for the one before; its statements then see what that one committed."""
    if connection.get_execution_options().get("cairn_write", False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ONE_WRITER})")


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
        postgresql = engine.dialect.name == "postgresql"
        level = {"isolation_level": "READ COMMITTED"} if postgresql else {}
        self._writer = engine.execution_options(cairn_write=True, **level)

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
        """Bring the schema to the newest version; raises BadInput if nobody answers there."""
        try:
            with self._writer.begin() as connection:
                command.upgrade(migration_config(connection), "head")
        except OperationalError as error:
            said = str(error.orig).strip().splitlines()
            raise BadInput(
                f"cannot be opened ({said[0] if said else 'no reason given'})",
                where=self._engine.url.render_as_string(hide_password=True),
            ) from None

    def downgrade(self, revision: str) -> None:
        """Take the schema back to an earlier version; "base" is an empty database."""
        with self._writer.begin() as connection:
            command.downgrade(migration_config(connection), revision)

    def close(self) -> None:
        self._engine.dispose()


def migration_config(connection: Connection) -> Config:
    """Alembic's settings, without an ini file: the scripts beside this module."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    attributes: dict[str, Any] = config.attributes
    attributes["connection"] = connection
    return config
