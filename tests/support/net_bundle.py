"""The audit bundle of a network in one process."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from coordinator.api.bundles import write_from_store
from coordinator.api.services import Services
from tests.support.network import Network


def bundle(network: Network, folder: Path) -> Path:
    services = SimpleNamespace(store=network.store, key=network.key, clock=network.clock)
    write_from_store(cast(Services, services), folder, network.store.releases.digests())
    return folder
