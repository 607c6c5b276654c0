"""The coordinator's log as rows, added in the transaction that stores what they name."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.store.database import Database
from coordinator.store.tables import LogRow
from privacy.errors import Code, Refused
from privacy.log import LogEntry, Logged

_BATCH = 5_000


def log_statement(session: Session, kind: Logged, digest: str, subject: str) -> int:
    """Add one line; its number. The writer holds the store's one lock, so two lines never get
    one number."""
    session.flush()
    last = session.scalars(select(func.max(LogRow.seq))).first()
    entry = LogEntry(
        seq=0 if last is None else last + 1, kind=kind, statement=digest, subject=subject
    )
    session.add(LogRow(seq=entry.seq, kind=kind.value, digest=digest, data=entry.data))
    return entry.seq


class Log:
    """Reads what was logged. Nothing here adds or changes a line."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lines(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Canonical lines start..stop-1, a batch in memory at a time."""
        low = start
        while stop is None or low < stop:
            high = low + _BATCH if stop is None else min(low + _BATCH, stop)
            wanted = select(LogRow.data).where(LogRow.seq >= low, LogRow.seq < high)
            with self._database.read() as session:
                found = session.scalars(wanted.order_by(LogRow.seq)).all()
            yield from found
            if len(found) < high - low:
                return
            low = high

    def size(self) -> int:
        """How many lines there are."""
        with self._database.read() as session:
            last = session.scalars(select(func.max(LogRow.seq))).first()
        return 0 if last is None else last + 1

    def find(self, kind: Logged, digest: str) -> LogEntry:
        """The first line of this statement; raises Refused(NOT_FOUND)."""
        wanted = select(LogRow.data).where(LogRow.digest == digest, LogRow.kind == kind.value)
        with self._database.read() as session:
            data = session.scalars(wanted.order_by(LogRow.seq).limit(1)).first()
        if data is None:
            raise Refused(Code.NOT_FOUND)
        return LogEntry.from_bytes(data)
