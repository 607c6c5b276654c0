"""When the consent table's root is dated: once a month, at a whole hour, whatever it holds.

The root is taken when the month's first hours find the node running, and written when the next
whole hour has begun: how long it took, which depends on how many words there are, does not show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from node.consent_table import take_root
from node.ledger_store import LedgerStore
from node.records import Records
from node.records_guard import RecordsGuard
from privacy.contract.time import epoch_of
from privacy.ledger.entry import ConsentRoot
from privacy.randomness import Entropy


@dataclass
class ConsentCalendar:
    """Asked every minute; does something once a month."""

    records: Records
    ledger: LedgerStore
    guard: RecordsGuard
    entropy: Entropy
    clock: Callable[[], datetime]
    taken: datetime | None = None  # when this month's root was taken

    def tick(self) -> None:
        """Take what is due, or write what was taken. Raises Refused where the ledger does."""
        now = self.clock().astimezone(UTC)
        epoch = epoch_of(now.date())
        genesis = self.ledger.state.genesis
        if genesis is None or self.ledger.state.consent_epoch >= epoch or self.guard.set_back:
            return
        if self.taken is None or epoch_of(self.taken.date()) != epoch:
            take_root(self.records, genesis.node, genesis.network, epoch, self.entropy)
            self.taken = now
        elif now.replace(minute=0, second=0, microsecond=0) > self.taken:
            root = take_root(self.records, genesis.node, genesis.network, epoch, self.entropy)
            self.ledger.append(ConsentRoot(epoch=epoch, root=root))
            self.taken = None
