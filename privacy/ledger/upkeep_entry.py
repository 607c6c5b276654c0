"""What a ledger says of its own upkeep: backups, restores, and that its organisation leaves.

Bodies of ledger entries, like those in `privacy.ledger.entry`.
"""

from __future__ import annotations

from typing import Literal

from privacy.contract.facts import Fact
from privacy.ledger.fields import Count, Digest, Instant, Name, Words


class BackedUp(Fact):
    """A backup of the node's folder was begun. `backup` is random and names it."""

    kind: Literal["backup"] = "backup"
    backup: Digest
    by: Name


class Restored(Fact):
    """The folder was restored from a backup that held `size` entries of this ledger.

    What the ledger had said since was given back by those who kept it, before this entry; peers
    confirm after it that nothing is missing. `backup` is "" for a copy that was no backup.
    """

    kind: Literal["restored"] = "restored"
    backup: Literal[""] | Digest
    made_at: Literal[""] | Instant
    size: Count
    by: Name


class Leaving(Fact):
    """The organisation leaves the network: nothing new is reserved, and no period begins.

    What runs goes on to its end. Promises to members stay: what was charged stays charged.
    """

    kind: Literal["leaving"] = "leaving"
    by: Name
    reason: Words


class Left(Fact):
    """The last entry of a ledger: nothing runs any more, and nothing follows."""

    kind: Literal["left"] = "left"
