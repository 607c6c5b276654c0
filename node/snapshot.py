"""What is copied of a node's folder, and how: each file as it was at one moment.

Databases are copied by their own means while they are in use. Left out is what must not come back:
members' one-time links (a used one would open again), bytes that wait to leave, and the socket.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from node.file_copies import copy_database, copy_records_file
from node.home import Home
from node.records import Records

PLAIN = ("node.toml", "ca.pem", "diseases.csv")
FOLDERS = ("keys", "documents")
DATABASES = ("ledger.sqlite", "desk.sqlite")
RECORDS = "records.duckdb"
KEPT = (*PLAIN, *FOLDERS, *DATABASES, RECORDS)
LEFT_OUT = ("links.sqlite",)


def take_snapshot(home: Home, to: Path, records: Records | None) -> None:
    """Copy everything that a backup holds into the folder `to`, which is there and empty.

    `records` are those that this process has open; None if no process has. Records are copied
    before the ledger: of the two, the ledger may know more.
    """
    if records is not None:
        records.copy_to(to / RECORDS)
    else:
        copy_records_file(home.records_file, to / RECORDS)
    for name in DATABASES:
        if (home.root / name).exists():
            copy_database(home.root / name, to / name)
    _drop_outbox(to / "ledger.sqlite")
    for name in PLAIN:
        if (home.root / name).exists():
            shutil.copyfile(home.root / name, to / name)
    for name in FOLDERS:
        if (home.root / name).exists():
            shutil.copytree(home.root / name, to / name)


def _drop_outbox(ledger: Path) -> None:
    """Stored bytes go out again only under the keys in memory, which no backup holds."""
    if not ledger.exists():
        return
    with closing(sqlite3.connect(ledger, isolation_level=None)) as db:
        db.execute("PRAGMA secure_delete = ON")
        found = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'outbox'").fetchone()
        if found[0]:
            db.execute("DELETE FROM outbox")
            db.execute("VACUUM")
