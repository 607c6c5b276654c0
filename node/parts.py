"""The parts of one node, opened together and closed together."""

from __future__ import annotations

from dataclasses import dataclass

from node.balances import Balances
from node.desk import Desk
from node.home import Home, Settings
from node.records import Records
from node.records_guard import RecordsGuard
from node.service import NodeService


@dataclass(frozen=True)
class Parts:
    """A node's folder, settings, records and service."""

    home: Home
    settings: Settings
    records: Records
    service: NodeService
    guard: RecordsGuard
    desk: Desk
    balances: Balances

    def close(self) -> None:
        """Write everything to disk and let the files go."""
        if self.guard.copy is not None:
            self.guard.copy.close()
        self.records.close()
        self.desk.close()
        self.service.ledger.close()
