"""Collecting an audit bundle from the store and packing it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

from coordinator.api.services import Services
from coordinator.audit.bundle import BundleFacts, Held, LedgerFacts, ReleaseFacts, write_bundle
from coordinator.store.store import Store

NAME = "cairn-audit"


def pack_bundle(services: Services, folder: Path) -> Path:
    """Write the bundle under `folder` and pack it; returns the archive's path."""
    written = folder / NAME
    write_from_store(services, written)
    archive = folder / f"{NAME}.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for path in sorted(written.rglob("*")):
            tar.add(path, arcname=str(path.relative_to(folder)), recursive=False)
    return archive


def write_from_store(services: Services, folder: Path) -> None:
    """Everything the store holds that an auditor needs, as a signed bundle."""
    store = services.store
    facts = BundleFacts(
        network=store.network.id,
        rosters=store.network.rosters(),
        dictionary=store.network.dictionary,
        studies=tuple(study.envelope for study in store.studies.every_version()),
        delta=store.network.delta,
        ledgers=_ledgers(store),
        plans=store.releases.plans(),
        releases=_releases(store),
    )
    write_bundle(folder, facts, services.key, services.clock())


def _ledgers(store: Store) -> Iterator[LedgerFacts]:
    """Every ledger that has a checkpoint: what others hold of it is read before its lines."""
    for node in store.nodes.all():
        held = tuple(
            Held(each.by, each.text, each.cosignature) for each in store.ledgers.witnesses(node.id)
        )
        newest = store.ledgers.newest_checkpoint(node.id)
        if newest is not None:
            yield LedgerFacts(node.id, store.ledgers.stream(node.id), newest.text, held)


def _releases(store: Store) -> Iterator[ReleaseFacts]:
    for digest in store.releases.digests():
        yield ReleaseFacts(store.releases.get(digest).envelope, store.releases.transcript(digest))
