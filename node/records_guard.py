"""Whether the records are the newest that this node ever had.

A records file taken from a backup does not know who withdrew since. Every change of the records
leaves a mark in their own file, in the changing transaction, and the ledger's file remembers
the newest mark. Records without that mark were set back (or are gone): nothing is asked of
them until a steward has imported again. The marks are random and stay in the building.

Where questions are computed on a copy of the records (`node.engines.published`), the copy has to
bear the newest mark too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from node.engines.published import PublishedRecords
from node.ledger_store import LedgerStore
from node.records import Records
from privacy.errors import Code


@dataclass
class RecordsGuard:
    """Ties the records to the ledger's file beside them."""

    records: Records
    ledger: LedgerStore
    set_back: bool
    dictionary: str | None  # under which the records were imported
    copy: PublishedRecords | None = None

    @classmethod
    def begin(
        cls, records: Records, ledger: LedgerStore, copy: PublishedRecords | None = None
    ) -> Self:
        """Compare the two files, once, when the node opens them."""
        newest = ledger.records_mark()
        set_back = newest is not None and not records.has_mark(newest)
        guard = cls(records, ledger, set_back, records.dictionary_digest, copy)
        guard._note()
        return guard

    def fault(self, dictionary: str) -> Code | None:
        """Why the records must not be asked under the dictionary in force; None if they may."""
        if self.set_back or self.unpublished:
            return Code.LEDGER_STOPPED
        if self.dictionary not in (None, dictionary):
            return Code.DICTIONARY_MISMATCH
        return None

    @property
    def unpublished(self) -> bool:
        """Is there a copy that is not of the newest records?"""
        return self.copy is not None and not self.copy.current

    def changed(self, member: str | None = None) -> None:
        """Call after every change (of one `member`'s consent, or any): the ledger's file
        remembers the newest mark, and the copy is brought up to it. Raises BadInput if the copy
        was not; nothing is asked of it then."""
        self._note()
        if self.copy is not None:
            self.copy.publish(member)

    def _note(self) -> None:
        newest = self.records.newest_mark()
        if newest is not None and not self.set_back:
            self.ledger.note_records_mark(newest)

    def imported(self) -> bool:
        """Call after an import, which ends a set-back; was there one?"""
        was, self.set_back = self.set_back, False
        self.dictionary = self.records.dictionary_digest
        self.changed()
        return was
