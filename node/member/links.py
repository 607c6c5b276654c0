"""One-time links by which members reach their page, and the short sessions that these open.

A link is 256 random bits. Only its hash is kept, with the member and a last moment; opening it
takes it away. Whether a link never was, was used or is over looks the same from outside.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from pages.links import new_secret, secret_hash
from privacy.contract.time import instant_text
from privacy.randomness import Entropy

SESSION = timedelta(minutes=20)
MAX_SESSIONS = 10_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS links (
    hash TEXT PRIMARY KEY, member TEXT NOT NULL, expires TEXT NOT NULL);
"""


@dataclass(frozen=True)
class MemberLinks:
    """The links that are open, in a file of their own that only the node's user can read."""

    path: Path
    entropy: Entropy
    clock: Callable[[], datetime]

    def make(self, member: str, valid: timedelta) -> str:
        """A new secret for this member's link; those that are over are dropped."""
        secret, now = new_secret(self.entropy), self.clock()
        with closing(self._open()) as db, db:
            db.execute("DELETE FROM links WHERE expires <= ?", (instant_text(now),))
            db.execute(
                "INSERT INTO links VALUES (?, ?, ?)",
                (secret_hash(secret), member, instant_text(now + valid)),
            )
        return secret

    def take(self, secret: str) -> str | None:
        """The member of an open link, which is gone then; None if there is no such link."""
        with closing(self._open()) as db, db:
            row = db.execute(
                "DELETE FROM links WHERE hash = ? RETURNING member, expires", (secret_hash(secret),)
            ).fetchone()
        if row is None or row[1] <= instant_text(self.clock()):
            return None
        return str(row[0])

    def forget(self, member: str) -> None:
        """Close every link of a member."""
        with closing(self._open()) as db, db:
            db.execute("DELETE FROM links WHERE member = ?", (member,))

    def _open(self) -> sqlite3.Connection:
        fresh = not self.path.exists()
        db = sqlite3.connect(self.path, timeout=5.0)
        if fresh:
            self.path.chmod(0o600)
        db.executescript(_SCHEMA)
        return db


@dataclass(frozen=True)
class MemberSession:
    """Somebody who opened a link; `form_token` stands in every form that changes something."""

    member: str
    form_token: str
    ends: datetime


@dataclass
class Sessions:
    """The sessions that are open, in memory: a restart ends them."""

    entropy: Entropy
    clock: Callable[[], datetime]
    _open: dict[str, MemberSession] = field(default_factory=dict)
    _done: set[tuple[str, str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, member: str) -> tuple[str, MemberSession]:
        """A new session and its secret, for the cookie."""
        secret, now = new_secret(self.entropy), self.clock()
        session = MemberSession(member, new_secret(self.entropy), now + SESSION)
        with self._lock:
            self._open = {h: each for h, each in self._open.items() if each.ends > now}
            while len(self._open) >= MAX_SESSIONS:
                del self._open[next(iter(self._open))]
            self._open[secret_hash(secret)] = session
        return secret, session

    def find(self, secret: str) -> MemberSession | None:
        """The session of a cookie, if it is not over."""
        session = self._open.get(secret_hash(secret))
        return session if session is not None and session.ends > self.clock() else None

    def once(self, secret: str, what: str) -> bool:
        """Is it the first time in this session?"""
        key = (secret_hash(secret), what)
        with self._lock:
            first = key not in self._done
            self._done = {each for each in self._done if each[0] in self._open} | {key}
        return first

    def end(self, secret: str) -> None:
        with self._lock:
            self._open.pop(secret_hash(secret), None)


@dataclass
class RateLimit:
    """At most `most` requests of one caller in every span of `seconds`, and ten times as many of
    all callers together."""

    clock: Callable[[], datetime]
    most: int = 60
    seconds: int = 60
    _span: int = 0
    _seen: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admits(self, caller: str) -> bool:
        """Count one request; may it be answered?"""
        span = int(self.clock().timestamp()) // self.seconds
        with self._lock:
            if span != self._span:
                self._span, self._seen = span, {}
            for key, most in (("", 10 * self.most), (caller, self.most)):
                self._seen[key] = self._seen.get(key, 0) + 1
                if self._seen[key] > most:
                    return False
        return True
