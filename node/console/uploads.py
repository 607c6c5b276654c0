"""Spreadsheets that were uploaded into the console and are not imported yet.

They are in memory alone; the files of a check or an import lie, while it goes on, in a folder
that only the node's user can read.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from node.member.links import MemberSession
from node.spreadsheet.mapping import TableMapping, propose
from node.spreadsheet.reading import Sheet
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput

MOST = 4  # uploads at a time


@dataclass(frozen=True)
class Upload:
    """Sheets by name, and what they are taken for."""

    file: str
    sheets: dict[str, Sheet]
    mappings: tuple[TableMapping, ...]


@dataclass
class Uploads:
    """One upload of each session, in memory."""

    _kept: dict[str, Upload] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(
        self, session: MemberSession, file: str, sheets: tuple[Sheet, ...], dictionary: Dictionary
    ) -> None:
        """Keep an upload with the mapping that its names suggest."""
        named = {sheet.name: sheet for sheet in sheets}
        made = Upload(file, named, propose(sheets, dictionary))
        with self._lock:
            while len(self._kept) >= MOST:
                del self._kept[next(iter(self._kept))]
            self._kept[session.form_token] = made

    def of(self, session: MemberSession) -> Upload:
        """This session's upload; raises BadInput if there is none."""
        found = self._kept.get(session.form_token)
        if found is None:
            raise BadInput("no spreadsheet is here", instead="choose the file again")
        return found

    def remap(self, session: MemberSession, mappings: tuple[TableMapping, ...]) -> Upload:
        """Take the sheets for something else."""
        changed = replace(self.of(session), mappings=mappings)
        with self._lock:
            self._kept[session.form_token] = changed
        return changed

    def drop(self, session: MemberSession) -> None:
        """Forget this session's upload."""
        with self._lock:
            self._kept.pop(session.form_token, None)


@contextmanager
def staged_folder(home: Path) -> Iterator[Path]:
    """A folder of the node's home for the files of one import; gone when the block ends."""
    path = Path(tempfile.mkdtemp(prefix="import-", dir=home))  # mode 0700
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
