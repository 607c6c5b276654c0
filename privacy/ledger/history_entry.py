"""What a node's ledger says of histories that broke: another's, or its own after a restored backup.

Bodies of ledger entries, like those in `privacy.ledger.entry`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from privacy.checkpoint import MAX_NOTE_CHARS
from privacy.contract.facts import Sorted
from privacy.ledger.fields import Count, Instant, Name, RhoText, Words

NoteText = Annotated[str, StringConstraints(max_length=MAX_NOTE_CHARS)]


class Fault(StrEnum):
    """What an append-only log with an honest keeper never shows a witness."""

    REWOUND = "rewound"  # fewer entries than it had: lines were cut off, or a backup restored
    FORKED = "forked"  # another history of what was seen
    CLOCK = "clock"  # its keeper's clock went back


class HistoryBroken(Sorted):
    """Somebody's log is not the one this node has seen: nothing is answered, or not with them.

    `of` is whose: the coordinator's log, which stops this node, or another node's ledger, which
    takes that node out of the confirmed ones. `held` is the newest signed head that this node
    had checked, `shown` the signed head that does not follow from it: both are evidence.
    """

    kind: Literal["history-broken"] = "history-broken"
    of: Name
    fault: Fault
    held: NoteText
    shown: NoteText


class HistoryAccepted(Sorted):
    """A steward looked at a broken history and goes on from what is shown next."""

    kind: Literal["history-accepted"] = "history-accepted"
    of: Name
    by: Name
    reason: Words


class LedgerRecovered(Sorted):
    """This ledger was restored from a backup, and what it lacked came back from a copy of it.

    It had `kept` entries; those up to this one are the lost ones, as their signed head shows.
    """

    kind: Literal["recovered"] = "recovered"
    kept: Count
    by: Name
    reason: Words


class BudgetForfeited(Sorted):
    """This ledger was restored and its lost entries are nowhere: all is assumed to be spent.

    `held` are the checkpoints of the lost ledger that peers showed. Whatever budget was left is
    charged, and a period begins in which nothing is left of `rho`, the policy's.
    """

    kind: Literal["forfeited"] = "forfeited"
    held: Annotated[tuple[NoteText, ...], Field(min_length=1, max_length=64)]
    rho: RhoText
    ends: Instant
    by: Name
    reason: Words


Told = HistoryBroken | HistoryAccepted | LedgerRecovered | BudgetForfeited
