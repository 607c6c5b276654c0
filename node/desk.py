"""What comes to the organisation's desk and stays there: requests, and what members say of studies.

A small SQLite file beside the ledger. Nothing in it decides anything and nothing of it is sent
anywhere: requests are for a steward to look at and for trying a policy on, members' questions
and priorities for the organisation to take up.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

from privacy.contract.time import instant_text
from privacy.errors import BadInput

VERSION = 1
MOST_REQUESTS = 100_000
MOST_CHARACTERS = 2_000
OTHER_VERSION = "run `cairn-node upgrade`; of a newer one, install the newer program"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY, plan TEXT NOT NULL UNIQUE, at TEXT NOT NULL, mark TEXT NOT NULL,
    study TEXT NOT NULL, study_digest TEXT NOT NULL, kind TEXT NOT NULL,
    sentence TEXT NOT NULL, rho TEXT NOT NULL, researcher TEXT NOT NULL, code TEXT NOT NULL,
    rule TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS shown (study_digest TEXT PRIMARY KEY, at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS voices (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, study_digest TEXT NOT NULL, kind TEXT NOT NULL,
    words TEXT NOT NULL, priority INTEGER NOT NULL);
"""
_REQUEST = "plan, at, mark, study, study_digest, kind, sentence, rho, researcher, code, rule"


class Voice(StrEnum):
    """What a member says about a study."""

    QUESTION = "question"
    PRIORITY = "priority"


@dataclass(frozen=True)
class Asked:
    """One question as it came in a plan: what it would compute and cost (`rho`, all attempts).

    What became of it is a `code` and the policy's `rule`, "" where it was permitted.
    """

    plan: str
    at: str
    mark: str
    study: str
    study_digest: str
    kind: str
    sentence: str
    rho: str
    researcher: str
    code: str = ""
    rule: str = ""


class Desk:
    """Thread-safe. Times come from the clock that is given."""

    def __init__(self, db: sqlite3.Connection, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._clock = clock
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, clock: Callable[[], datetime]) -> Self:
        """Raises BadInput for a file of another version."""
        fresh = not path.exists()
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
        path.chmod(0o600)
        if fresh:
            db.execute(f"PRAGMA user_version = {VERSION}")
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found != VERSION:
            db.close()
            raise BadInput(f"is of version {found}", where=str(path), instead=OTHER_VERSION)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.executescript(_SCHEMA)
        return cls(db, clock)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # requests

    def note(self, asked: Asked) -> None:
        """Keep a request, once per plan; the oldest go when there are too many."""
        values = tuple(vars(asked).values())
        marks = ", ".join("?" * len(values))
        with self._lock:
            insert = f"INSERT OR REPLACE INTO requests ({_REQUEST}) VALUES ({marks})"  # noqa: S608
            cursor = self._db.execute(insert, values)
            oldest = (cursor.lastrowid or 0) - MOST_REQUESTS
            self._db.execute("DELETE FROM requests WHERE id <= ?", (oldest,))

    def requests(self, since: str, until: str = "9999") -> list[Asked]:
        """Every request from instant `since` to before `until`, oldest first."""
        query = f"SELECT {_REQUEST} FROM requests WHERE at >= ? AND at < ? ORDER BY id"  # noqa: S608
        with self._lock:
            return [Asked(*row) for row in self._db.execute(query, (since, until))]

    # members and studies

    def show(self, study_digest: str) -> None:
        """Publish a study to the organisation's members."""
        with self._lock:
            self._db.execute(
                "INSERT OR IGNORE INTO shown VALUES (?, ?)", (study_digest, self._now())
            )

    def hide(self, study_digest: str) -> None:
        with self._lock:
            self._db.execute("DELETE FROM shown WHERE study_digest = ?", (study_digest,))

    def shown(self) -> dict[str, str]:
        """Digests of the studies that members are shown, with since when."""
        with self._lock:
            return dict(self._db.execute("SELECT study_digest, at FROM shown ORDER BY at"))

    def say(self, study_digest: str, kind: Voice, words: str, priority: int) -> None:
        """Keep what a member says; who said it is not kept. Raises BadInput."""
        text = words.strip()
        if not text and kind is Voice.QUESTION:
            raise BadInput("the question is empty", instead="write what you want to know")
        if len(text) > MOST_CHARACTERS:
            raise BadInput(f"more than {MOST_CHARACTERS} characters", instead="write it shorter")
        if not (0 if kind is Voice.QUESTION else 1) <= priority <= 5:
            raise BadInput("a priority is 1 (little) to 5 (much)")
        with self._lock:
            self._db.execute(
                "INSERT INTO voices (at, study_digest, kind, words, priority)"
                " VALUES (?, ?, ?, ?, ?)",
                (self._now()[:10], study_digest, kind.value, text, priority),
            )

    def voices(self, study_digest: str) -> list[dict[str, str | int]]:
        """What members said about a study, by day, in no order within one."""
        query = (
            "SELECT at, kind, words, priority FROM voices WHERE study_digest = ?"
            " ORDER BY at, words, priority"
        )
        names = ("day", "kind", "words", "priority")
        with self._lock:
            rows = self._db.execute(query, (study_digest,)).fetchall()
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _now(self) -> str:
        return instant_text(self._clock())
