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


def check_import(now: Cut, beginning: Beginning) -> None:
    """Raise RecordsChangedError if the records are of a later import."""
    if now.imported != beginning.cut.imported:
        raise RecordsChangedError("records were imported since the run began")
