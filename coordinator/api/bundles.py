"""Collecting an audit bundle from the store and packing it."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

from coordinator.audit.bundle import (
    BundleFacts,
    Held,
    LedgerFacts,
    LinkageEvidence,
    ReleaseFacts,
    write_bundle,
)
from coordinator.store.store import Store
from privacy.checkpoint import Checkpoint, note_text
from privacy.contract.canonical import parse_canonical
from privacy.contract.signing import SigningKey

NAME = "cairn-audit"


class Holder(Protocol):
    """Who holds a store and the key to sign a bundle of it with."""

    @property
    def store(self) -> Store: ...
    @property
    def key(self) -> SigningKey: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...


def pack_bundle(services: Holder, folder: Path, settled: Collection[str]) -> Path:
    """Write the bundle under `folder` and pack it; returns the archive's path.

    `settled` are the releases that were stored before the ledgers were fetched.
    """
    written = folder / NAME
    write_from_store(services, written, settled)
    archive = folder / f"{NAME}.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for path in sorted(written.rglob("*")):
            tar.add(path, arcname=str(path.relative_to(folder)), recursive=False)
    return archive


def write_from_store(services: Holder, folder: Path, settled: Collection[str]) -> None:
    """Everything the store holds that an auditor needs, as a signed bundle."""
    store = services.store
    ledgers = tuple(_ledgers(store))
    covered = {ledger.node: _covered(ledger) for ledger in ledgers}
    facts = BundleFacts(
        network=store.network.id,
        rosters=store.network.rosters(),
        dictionaries=store.network.dictionaries,
        studies=tuple(study.envelope for study in store.studies.every_version()),
        revocations=store.network.revocations(),
        delta=store.network.delta,
        ledgers=ledgers,
        plans=store.releases.plans(),
        releases=_releases(store, settled, covered, store.releases.digests()),
        linkages=tuple(
            LinkageEvidence(each.envelope, each.transcript, each.learnt)
            for each in store.linkages.all()
        ),
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


def _covered(ledger: LedgerFacts) -> int:
    return Checkpoint.parse(note_text(ledger.checkpoint)).size


def _releases(
    store: Store, settled: Collection[str], covered: Mapping[str, int], digests: Collection[str]
) -> Iterator[ReleaseFacts]:
    """Settled releases, and newer ones whose every receipt the fetched ledgers already hold.

    A release made while the bundle is being packed belongs to the next bundle.
    """
    for digest in digests:
        envelope = store.releases.get(digest).envelope
        body = parse_canonical(envelope.body)
        receipts = [pair for each in body["rounds"] for pair in each["receipts"].items()]
        held = all(said["seq"] < covered.get(node, 0) for node, said in receipts)
        if digest in settled or held:
            every = range(len(body["rounds"]))
            yield ReleaseFacts(
                envelope,
                _kept(store.openings.transcript, body["plan"], every),
                _kept(store.openings.state, body["plan"], every),
            )


def _kept(
    read: Callable[[str, int], bytes | None], plan: str, rounds: Iterable[int]
) -> Iterator[bytes]:
    """What is stored of every round, one in memory at a time."""
    for number in rounds:
        data = read(plan, number)
        if data:
            yield data
