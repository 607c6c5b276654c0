"""Whether the records are the newest that this node ever had.

A records file taken from a backup does not know who withdrew since. Every change of the records
leaves a mark in their own file, in the changing transaction, and the ledger's file remembers
the newest mark. Records without that mark were set back (or are gone): nothing is asked of
them until a steward has imported again. The marks are random and stay in the building.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

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

    @classmethod
    def begin(cls, records: Records, ledger: LedgerStore) -> Self:
        """Compare the two files, once, when the node opens them."""
        newest = ledger.records_mark()
        set_back = newest is not None and not records.has_mark(newest)
        guard = cls(records, ledger, set_back, records.dictionary_digest)
        guard.changed()
        return guard

    def fault(self, dictionary: str) -> Code | None:
        """Why the records must not be asked under the dictionary in force; None if they may."""
        if self.set_back:
            return Code.LEDGER_STOPPED
        if self.dictionary not in (None, dictionary):
            return Code.DICTIONARY_MISMATCH
        return None

    def changed(self) -> None:
        """Call after every change: the ledger's file remembers the newest mark."""
        newest = self.records.newest_mark()
        if newest is not None and not self.set_back:
            self.ledger.note_records_mark(newest)

    def imported(self) -> bool:
        """Call after an import, which ends a set-back; was there one?"""
        was, self.set_back = self.set_back, False
        self.dictionary = self.records.dictionary_digest
        self.changed()
        return was
