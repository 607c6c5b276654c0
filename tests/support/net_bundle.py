"""The audit bundle of a network in one process."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from coordinator.api.bundles import settled, write_from_store
from coordinator.api.services import Services
from coordinator.log import CoordinatorLog
from tests.support.network import Network


def bundle(network: Network, folder: Path) -> Path:
    log = CoordinatorLog(network.store.log, network.key, network.store.network.id)
    made = SimpleNamespace(store=network.store, key=network.key, clock=network.clock, log=log)
    services = cast(Services, made)
    write_from_store(services, folder, settled(services))
    return folder
