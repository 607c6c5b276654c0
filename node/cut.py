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

from node.layout import MEMBERS, Cursor
from node.records import Records
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
        return _cut(cursor)


def joined_since(records: Records, cut: Cut) -> tuple[int, ...]:
    """The numbers (`member_ix`) of members whose consent, for whatever purpose, is newer.

    To be asked once the view of the records that is summed is fixed: whoever can be seen to
    consent there is in the answer. Raises RecordsChangedError after an import.
    """
    with records.snapshot() as cursor:
        now = _cut(cursor)
        if now.imported != cut.imported:
            raise RecordsChangedError("records were imported since the run began")
        if now.consent == cut.consent:
            return ()
        found = cursor.execute(
            f"SELECT member_ix FROM {MEMBERS} WHERE member IN (SELECT member FROM "  # noqa: S608
            "consent_changes WHERE seq > ? AND state = 'given') ORDER BY member_ix",
            [cut.consent],
        ).fetchall()
    return tuple(int(number) for (number,) in found)


def _cut(cursor: Cursor) -> Cut:
    found = cursor.execute(
        "SELECT (SELECT value FROM meta WHERE key = 'imported'), "
        "(SELECT max(seq) FROM consent_changes)"
    ).fetchone()
    return Cut(found[0] or "", found[1] or 0)
