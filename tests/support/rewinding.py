"""A coordinator's store that is set back, as by a restored backup, or tells another story."""

from __future__ import annotations

from coordinator.log import CoordinatorLog
from coordinator.store.log import log_statement
from privacy.contract.canonical import sha256_hex
from privacy.log import Logged
from tests.support.network import Network


def forget_memory(network: Network) -> None:
    """As after a restart of the coordinator: what it holds in memory is gone."""
    old = network.contact.witnesses
    old.log = CoordinatorLog(network.store.log, network.key, network.store.network.id)
    old._seen.clear()
    old._kept.clear()


def cut_log(network: Network, keep: int) -> None:
    """The log loses all but its first lines."""
    with network.store.database.write() as session:
        session.connection().exec_driver_sql("DELETE FROM log WHERE seq >= ?", (keep,))
    forget_memory(network)


def say(network: Network, *names: str) -> None:
    """Log statements that nobody will ask for."""
    for name in names:
        with network.store.database.write() as session:
            log_statement(session, Logged.PLAN, sha256_hex(name.encode()), name)
