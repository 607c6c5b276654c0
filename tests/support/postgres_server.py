"""A real PostgreSQL server for the tests, in a folder of its own, started by pytest-postgresql.

It refuses to run as root: in a test run as root its programs are started as another user of the
machine. They come from the system (Debian: `postgresql`); without them the tests fail.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_postgresql.executors import PostgreSQLExecutor
from pytest_postgresql.janitor import DatabaseJanitor

_BINARIES = "usr/lib/postgresql/*/bin"
_USERS = ("postgres", "nobody")
USER = "cairn"
POSTGRESQL = [pytest.mark.processes, pytest.mark.xdist_group("postgresql")]
HOST = "127.0.0.1"


@dataclass(frozen=True)
class PostgresServer:
    """A server that runs. Everybody on this machine is let in; it is gone with the tests."""

    folder: Path
    port: int

    @property
    def socket_address(self) -> str:
        """libpq's address of the database `postgres`, by the socket in the server's folder."""
        return f"postgresql:///postgres?host={self.folder}&port={self.port}&user={USER}"

    def url(self, database: str) -> str:
        """SQLAlchemy's address of a database."""
        return f"postgresql+psycopg://{USER}@{HOST}:{self.port}/{database}"

    @contextmanager
    def database(self, name: str, template: str | None = None) -> Iterator[str]:
        """The address of a new database, which is dropped afterwards."""
        with DatabaseJanitor(
            user=USER, host=HOST, port=self.port, dbname=name, template_dbname=template
        ):
            yield self.url(name)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A new server, for as long as the block runs."""
    user = _user()
    with tempfile.TemporaryDirectory(prefix="cairn-pg-") as name:
        folder = Path(name)
        executor = PostgreSQLExecutor(
            executable=str(_program(folder, user)),
            host=HOST,
            port=_free_port(),
            datadir=str(folder / "data"),
            unixsocketdir=name,
            logfile=str(folder / "log"),
            startparams="-w",
            dbname="postgres",
            user=USER,
        )
        if user is not None:
            shutil.chown(folder, user)
        with executor:
            yield PostgresServer(folder, int(executor.port))


def _user() -> str | None:
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _USERS if name in known)


def _program(folder: Path, user: str | None) -> Path:
    """pg_ctl; as another user, where this one is root."""
    found = sorted(Path("/").glob(f"{_BINARIES}/pg_ctl"))
    path = next((str(each) for each in reversed(found)), shutil.which("pg_ctl"))
    if path is None:
        raise RuntimeError("pg_ctl is missing: apt-get install postgresql")
    if user is None:
        return Path(path)
    script = folder / "pg_ctl"
    become = f"setpriv --reuid={user} --regid={pwd.getpwnam(user).pw_gid} --clear-groups"
    script.write_text(f'#!/bin/sh\ncd /\nexec {become} {shlex.quote(path)} "$@"\n', "ascii")
    script.chmod(0o755)
    return script


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
