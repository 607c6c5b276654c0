"""Records that are computed on elsewhere: a copy beside the node, asked only while it is whole.

The node's own file stays the place of imports and consent. After every change the copy is brought
up to the same mark (see `node.records`), in one step of the other database. A question compares
the mark of the copy it reads with the newest of the file, and is not answered if they differ: so
a withdrawal counts from the next question on, and a crash in between cannot undo it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from typing import Self

from node.engines.protocol import EngineError, Remote, RemoteReading
from node.records import Records
from privacy.contract.diseases import Diseases
from privacy.contract.duo import Use
from privacy.errors import BadInput


class StaleCopyError(EngineError):
    """The copy is not of the records as they are now."""


class PublishedRecords:
    """The node's records and their copy. As an engine, it computes on the copy."""

    def __init__(self, records: Records, remote: Remote) -> None:
        self._records = records
        self._remote = remote
        self._known: str | None = None  # the copy's mark, as far as this process knows
        self._publishing = threading.Lock()

    @classmethod
    def open(cls, records: Records, remote: Remote) -> Self:
        """Compare the two, once, and make up for a publication that did not happen.

        A database that does not answer keeps no node from starting; the node answers no
        question until the records are published.
        """
        opened = cls(records, remote)
        with suppress(EngineError):
            opened._known = remote.published()
        if not opened.current:
            with suppress(BadInput):
                opened.publish()
        return opened

    @property
    def current(self) -> bool:
        """Is the copy, as far as this process knows, of the records as they are now?"""
        return self._known == self._records.newest_mark()

    @contextmanager
    def reading(self) -> Iterator[RemoteReading]:
        """The copy as it is now. Raises StaleCopyError if it is not of the newest records."""
        with self._remote.reading() as reading:
            if reading.mark != self._records.newest_mark():
                raise StaleCopyError("the copy of the records is of another time")
            yield reading

    def classes(
        self, today: date, since: date, use: Use | None, diseases: Diseases
    ) -> tuple[int, ...]:
        """Those of the records: a class keeps its number, in the copy too."""
        return self._records.classes(today, since, use, diseases)

    def publish(self, member: str | None = None) -> None:
        """Bring the copy up to the newest change: the consent of `member`, or anything.

        Raises BadInput if that failed; the former copy is then never asked again.
        """
        with self._publishing, self._records.snapshot() as cursor:
            found = cursor.execute("SELECT mark FROM marks ORDER BY seq DESC LIMIT 2").fetchall()
            marks = [str(mark) for (mark,) in found]
            if not marks:
                return
            try:
                one = member is not None and len(marks) == 2
                if not (
                    one and self._remote.publish_member(cursor, str(member), marks[1], marks[0])
                ):
                    self._remote.publish(cursor, marks[0])
            except EngineError:
                raise BadInput(
                    "recorded here, but the database beside the node did not take it; "
                    "no question is answered until it does",
                    where="engine_address in node.toml",
                    instead="see that it runs, then `cairn-node publish`",
                ) from None
            self._known = marks[0]

    def close(self) -> None:
        self._remote.close()
