"""Copies of database files that may be in use, each of one moment."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from privacy.errors import BadInput


def copy_database(path: Path, to: Path) -> None:
    """One moment of a SQLite database that may be in use; raises BadInput if it is none."""
    try:
        with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(to)) as copy:
            db.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise BadInput("cannot be copied", where=f"{path} ({type(error).__name__})") from None


def copy_records_file(path: Path, to: Path) -> None:
    """A DuckDB file, and what was written and not yet put into it, while nobody writes."""
    for tail in ("", ".wal"):
        beside = path.with_name(path.name + tail)
        if beside.exists():
            shutil.copyfile(beside, to.with_name(to.name + tail))
