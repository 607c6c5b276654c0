"""Is a coordinator's store whole? For after a restore, and before an upgrade.

Every ledger's copy is replayed and held against the newest checkpoint that its node signed; the
log is read and held against what it says; keys and certificates have to be there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from coordinator.fleet_tls import authority_files
from coordinator.home import Home
from coordinator.own_key import key_in_force
from coordinator.store.store import Store
from coordinator.tls_rotation import fault_of
from privacy.checkpoint import open_checkpoint
from privacy.contract.signing import Envelope, PublicKey
from privacy.errors import BadInput, Refused, VerificationFailed
from privacy.ledger.chain import verify_entries
from privacy.log import Logged


@dataclass(frozen=True)
class Checked:
    """One part of the store, and what was found: "" where it holds."""

    what: str
    size: int
    fault: str = ""


def check_store(home: Home, store: Store, now: datetime) -> list[Checked]:
    """Everything that can be checked here, part by part."""
    return [*_keys(home, store, now), _log(store), *_ledgers(store)]


def _keys(home: Home, store: Store, now: datetime) -> Iterator[Checked]:
    known = key_in_force(store)
    yield Checked("the coordinator's key", 1, _own(home, known))
    yield Checked("the coordinator's key signed the roster", 1, _signed(store, known))
    there = authority_files(home.tls).certificate.is_file()
    yield Checked("the network's authority", 1, "" if there else "tls/ is missing")
    yield Checked("the server's certificate", 1, fault_of(home, now))


def _own(home: Home, known: PublicKey) -> str:
    try:
        key = home.identity()
    except BadInput as wrong:
        return str(wrong)
    return "" if key.public == known else "keys/identity.key is not the key in force"


def _signed(store: Store, key: PublicKey) -> str:
    envelope: Envelope = store.network.roster_envelope
    try:
        envelope.open_kept("roster", key)
    except VerificationFailed as failed:
        return str(failed)
    return ""


def _log(store: Store) -> Checked:
    """Rosters, changes of the own key and releases that are stored, each of which has its line."""
    made = [(Logged.ROSTER, envelope.digest) for envelope in store.network.rosters()]
    made += [(Logged.KEY, each.digest) for each in store.network.key_changes()]
    made += [(Logged.RELEASE, digest) for digest in store.releases.digests()]
    missing = 0
    for kind, digest in made:
        try:
            store.log.find(kind, digest)
        except Refused:
            missing += 1
    fault = f"{missing} statements have no line" if missing else ""
    size, lines = store.log.size(), sum(1 for _ in store.log.lines(0))
    if lines != size:
        fault = f"{size - lines} lines are missing"
    return Checked("the coordinator's log", size, fault)


def _ledgers(store: Store) -> Iterator[Checked]:
    keys = store.network.roster.keys
    for node in store.nodes.all():
        newest = store.ledgers.newest_checkpoint(node.id)
        if newest is None:
            yield Checked(f"the ledger of {node.id}", 0)
            continue
        key = keys.get(node.id) or PublicKey.from_text(node.key)
        fault = ""
        try:
            head = open_checkpoint(newest.text, key)
            lines = store.ledgers.entries(node.id, 0, head.size)
            verify_entries(lines, head)
        except (VerificationFailed, BadInput) as failed:
            fault = str(failed)
        yield Checked(f"the ledger of {node.id}", newest.size, fault)
