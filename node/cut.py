"""What the records were when a run began, so that members may leave it and never join.

A cut is taken when a plan is reserved and kept beside the reservation. From then on, for every
round of the run,

    an import                 ends this node's part: who is in the new files was not asked
    consent recorded since    lets nobody in, as the member's word came after the beginning
    consent that begins on a later day than the run does lets nobody in either

and whoever withdraws, or whose consent runs out, is out of every later round.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Self

from node.records import Cursor, Records, last_import
from privacy.errors import BadInput, CairnError


class RecordsChangedError(CairnError):
    """Records were imported since the run began."""


@dataclass(frozen=True)
class Cut:
    """The newest import, and the number of the newest consent change. Stays in the building."""

    imported: str
    consent: int

    @property
    def text(self) -> str:
        return f"{self.consent} {self.imported}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `text` wrote; raises BadInput."""
        number, space, imported = text.partition(" ")
        if not number.isdecimal() or not space:
            raise BadInput("not a cut")
        return cls(imported, int(number))


@dataclass(frozen=True)
class Beginning:
    """When a run began: the day of its reservation, and the records then."""

    day: date
    cut: Cut


def cut_now(records: Records) -> Cut:
    """The cut that a run beginning now is held to."""
    with records.snapshot() as cursor:
        newest = cursor.execute("SELECT coalesce(max(seq), 0) FROM consent_changes").fetchone()[0]
        return Cut(last_import(cursor), int(newest))


def check_import(cursor: Cursor, beginning: Beginning) -> None:
    """Raise RecordsChangedError if this snapshot is of a later import."""
    if last_import(cursor) != beginning.cut.imported:
        raise RecordsChangedError("records were imported since the run began")


def has_joined(cursor: Cursor, beginning: Beginning) -> bool:
    """Whether anybody's consent was recorded since the run began."""
    wanted = "SELECT count(*) FROM consent_changes WHERE seq > ? AND state = 'given'"
    return bool(cursor.execute(wanted, [beginning.cut.consent]).fetchone()[0])
