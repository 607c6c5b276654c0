"""The coordinator of a network in one process takes a new key, as its operator has it done."""

from __future__ import annotations

from pathlib import Path

from coordinator.home import Home
from coordinator.own_key import check_own_key, rotate_key
from privacy.contract.signing import SigningKey
from tests.support.network import COORDINATOR, NOW, Network, rekeyed
from tests.support.seeded import seeded_entropy


def coordinator_home(folder: Path) -> Home:
    """A folder with the coordinator's first key."""
    made = Home(folder / "coordinator")
    if not made.identity_file.exists():
        made.write_identity(COORDINATOR)
    return made


def rotate(network: Network, folder: Path, *, lost: bool = False) -> SigningKey:
    """With the coordinator stopped; then it is started again."""
    where, number = coordinator_home(folder), len(network.store.network.key_changes())
    entropy = seeded_entropy(f"rotation {number}")
    rotate_key(where, network.store, lost=lost, reason="yearly", entropy=entropy, now=NOW)
    rekeyed(network, check_own_key(where, network.store))
    return network.key
