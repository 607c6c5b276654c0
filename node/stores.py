"""The versions of a node's stores, and the way from an older one to this program's.

Every store bears the version of its form. A program opens its own version only. An older store is
brought up by its steps, one version each, on a copy that takes its place when all are done; a
newer one is refused.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb

from node.desk import VERSION as DESK
from node.file_copies import copy_database, copy_records_file
from node.home import Home
from node.ledger_file import FORMAT as LEDGER
from node.records import LAYOUT
from privacy.errors import BadInput

Step = Callable[[Path], None]
Steps = Mapping[tuple[str, int], Step]

FILES = {"ledger": "ledger.sqlite", "desk": "desk.sqlite", "records": "records.duckdb"}
CURRENT = {"ledger": LEDGER, "desk": DESK, "records": int(LAYOUT)}


@dataclass(frozen=True)
class StoreVersion:
    """A store that is there: its version, and the one that this program reads."""

    store: str
    found: int
    current: int


def store_versions(home: Home, current: Mapping[str, int] = CURRENT) -> tuple[StoreVersion, ...]:
    """Of every store in the folder. Raises BadInput for a file that is no such store."""
    there = [name for name, file in FILES.items() if (home.root / file).exists()]
    return tuple(
        StoreVersion(name, _version(name, home.root / FILES[name]), current[name]) for name in there
    )


def upgrade_stores(
    home: Home, steps: Steps, current: Mapping[str, int] = CURRENT
) -> tuple[StoreVersion, ...]:
    """Bring every store up to `current`; returns what was older. Nobody else uses the folder.

    Raises BadInput, with every store as it was, for a newer one and where a step is missing.
    """
    found = store_versions(home, current)
    for each in found:
        if each.found > each.current:
            raise _newer(each)
        for version in range(each.found, each.current):
            if (each.store, version) not in steps:
                raise BadInput(
                    f"there is no way from version {version} of the {each.store}",
                    where=str(home.root),
                    instead="upgrade by the program that came before this one first",
                )
    older = tuple(each for each in found if each.found < each.current)
    for each in older:
        _bring_up(home.root / FILES[each.store], each, steps)
    return older


def _bring_up(path: Path, found: StoreVersion, steps: Steps) -> None:
    copy = path.with_name(path.name + ".upgrading")
    for tail in ("", ".wal", "-wal", "-shm"):
        copy.with_name(copy.name + tail).unlink(missing_ok=True)
    if found.store == "records":
        copy_records_file(path, copy)
        with closing(duckdb.connect(str(copy))) as db:
            db.execute("CHECKPOINT")
    else:
        copy_database(path, copy)
    for version in range(found.found, found.current):
        steps[found.store, version](copy)
    copy.chmod(0o600)
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    for tail in (".wal", "-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)
    copy.replace(path)


def _version(store: str, path: Path) -> int:
    if store == "records":
        return _records_version(path)
    try:
        with closing(sqlite3.connect(path)) as db:
            return int(db.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error:
        raise BadInput(f"is no {store}", where=str(path)) from None


def _records_version(path: Path) -> int:
    try:
        with closing(duckdb.connect(str(path))) as db:
            row = db.execute("SELECT value FROM meta WHERE key = 'layout'").fetchone()
            return int(row[0]) if row else 0
    except (duckdb.Error, ValueError):
        raise BadInput(
            "the records cannot be opened",
            where=str(path),
            instead="stop the other process that uses them, or restore the file",
        ) from None


def _newer(each: StoreVersion) -> BadInput:
    return BadInput(
        f"the {each.store} is of version {each.found}, and this program knows {each.current}",
        where=FILES[each.store],
        instead="install the newer program again; nothing here was changed",
    )


def name_desk_version(path: Path) -> None:
    """The desk's first form bore no version."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA user_version = 1")


STEPS: Steps = {("desk", 0): name_desk_version}
