"""Collecting an audit bundle from the store and packing it."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from coordinator.audit.bundle import write_bundle
from coordinator.audit.bundle_facts import (
    BundleFacts,
    Held,
    LedgerFacts,
    LinkageEvidence,
    LogFacts,
    ReleaseFacts,
)
from coordinator.log import CoordinatorLog
from coordinator.store.facts import CheckpointFacts
from coordinator.store.store import Store
from privacy.checkpoint import AUDITOR, LOG, Checkpoint, note_text
from privacy.contract.canonical import parse_canonical
from privacy.contract.signing import Envelope, SigningKey
from privacy.log import LogEntry

NAME = "cairn-audit"


class Holder(Protocol):
    """Who holds a store and its log, and the key to sign a bundle of it with."""

    @property
    def store(self) -> Store: ...
    @property
    def log(self) -> CoordinatorLog: ...
    @property
    def key(self) -> SigningKey: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...


@dataclass(frozen=True)
class Settled:
    """What was stored before the ledgers were fetched: releases, and lines of the log."""

    releases: Collection[str]
    lines: int


def settled(services: Holder) -> Settled:
    lines = services.log.size()
    return Settled(services.store.releases.digests(), lines)


def pack_bundle(services: Holder, folder: Path, settled: Settled) -> Path:
    """Write the bundle under `folder` and pack it; returns the archive's path."""
    written = folder / NAME
    write_from_store(services, written, settled)
    archive = folder / f"{NAME}.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for path in sorted(written.rglob("*")):
            tar.add(path, arcname=str(path.relative_to(folder)), recursive=False)
    return archive


def write_from_store(services: Holder, folder: Path, settled: Settled) -> None:
    """Everything the store holds that an auditor needs, as a signed bundle."""
    store = services.store
    ledgers = tuple(_ledgers(store))
    covered = {ledger.node: _covered(ledger) for ledger in ledgers}
    log = _log(services, settled)
    logged = _logged(log)
    facts = BundleFacts(
        network=store.network.id,
        rosters=_only(store.network.rosters(), logged),
        dictionaries=tuple(each for each in store.network.dictionaries if each.digest in logged),
        studies=_only((each.envelope for each in store.studies.every_version()), logged),
        steps=_only(store.steps.all(), logged),
        revocations=_only(store.network.revocations(), logged),
        auditors={f"{AUDITOR}{name}": key for name, key in store.people.auditors()},
        delta=store.network.delta,
        log=log,
        ledgers=ledgers,
        plans=(plan for plan in store.releases.plans() if plan.digest in logged),
        releases=_releases(store, settled.releases, covered, logged),
        key_changes=tuple(each for each in store.network.key_changes() if each.digest in logged),
        researcher_keys=tuple(e for e in store.people.key_changes() if e.digest in logged),
        linkages=tuple(
            LinkageEvidence(each.envelope, each.transcript, each.learnt)
            for each in store.linkages.all()
            if each.digest in logged
        ),
    )
    write_bundle(folder, facts, services.key, services.clock())


def _log(services: Holder, settled: Settled) -> LogFacts:
    """The log as it is now, after the ledgers: whatever they name stands in it."""
    held = tuple(_held(each) for each in services.store.ledgers.witnesses(LOG))
    text, size = services.log.checkpoint(), settled.lines
    return LogFacts(tuple(services.store.log.lines(0, size_of(text))), text, held, size)


def _logged(log: LogFacts) -> frozenset[str]:
    """The digests of every statement that the log names."""
    return frozenset(LogEntry.from_bytes(line).statement for line in log.lines)


def _only(envelopes: Iterable[Envelope], logged: frozenset[str]) -> tuple[Envelope, ...]:
    """Those that were logged before the bundle's head of the log; newer ones wait for the next."""
    return tuple(each for each in envelopes if each.digest in logged)


def _held(facts: CheckpointFacts) -> Held:
    return Held(facts.by, facts.text, facts.cosignature)


def _ledgers(store: Store) -> Iterator[LedgerFacts]:
    """Every ledger that has a checkpoint: what others hold of it is read before its lines."""
    for node in store.nodes.all():
        held = tuple(map(_held, store.ledgers.witnesses(node.id)))
        newest = store.ledgers.newest_checkpoint(node.id)
        if newest is not None:
            yield LedgerFacts(node.id, store.ledgers.stream(node.id), newest.text, held)


def _covered(ledger: LedgerFacts) -> int:
    return size_of(ledger.checkpoint)


def size_of(note: str) -> int:
    return Checkpoint.parse(note_text(note)).size


def _releases(
    store: Store, settled: Collection[str], covered: Mapping[str, int], logged: Collection[str]
) -> Iterator[ReleaseFacts]:
    """Settled releases, and newer ones whose every receipt the fetched ledgers already hold.

    A release made while the bundle is being packed belongs to the next bundle.
    """
    for digest in store.releases.digests():
        if digest not in logged:
            continue
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
