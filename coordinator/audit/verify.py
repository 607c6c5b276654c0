"""Verifying an audit bundle offline: every entry, every signature, every figure again.

The order is the order of trust: the manifest and the list of files; the signed documents; each
ledger entry by entry, against the rules and against the plans; each ledger against every
checkpoint that anybody holds; each release against the ledgers it has receipts of; each
transcript from its masked vectors, and what each round was asked with from those before it.
The first thing that does not hold is named by file and entry, and nothing after it is read.

Guarantee: a bundle that verifies shows ledgers that extend every checkpoint in it, in which
each charge equals the cost of a recorded mechanism and belongs to a signed plan, and releases
whose figures follow from them.
Assumes: the coordinator's key is pinned, or the auditor accepts the one named; each node's
first key in the roster is its own. What nobody witnessed can have been left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.audit.bundle import MANIFEST, Bundle, open_bundle
from coordinator.audit.documents import at, read_network, read_plans, read_releases
from coordinator.audit.ledgers import Context, Ledger, verify_ledger
from coordinator.audit.releases import check_receipts, check_transcripts
from coordinator.audit.report import NodeReport, Report, Spent
from coordinator.audit.suspects import first_bad_entry
from privacy.contract.signing import PublicKey
from privacy.errors import VerificationFailed

Progress = Callable[[str], None]


def _silent(_file: str) -> None:
    return None


@dataclass(frozen=True)
class Pinned:
    """Keys the auditor knows from elsewhere. What is not pinned is taken from the bundle."""

    coordinator: PublicKey | None = None
    nodes: Mapping[str, PublicKey] = field(default_factory=dict)


@dataclass(frozen=True)
class Verified:
    """What a verified bundle holds: its signed documents, its ledgers and the figures of both."""

    context: Context
    ledgers: Mapping[str, Ledger]
    report: Report


def verify_bundle(
    folder: Path, *, pinned: Pinned | None = None, progress: Progress = _silent
) -> Report:
    """Verify everything in `folder`; returns the recomputed figures. See `verified`."""
    return verified(folder, pinned=pinned, progress=progress).report


def verified(
    folder: Path, *, pinned: Pinned | None = None, progress: Progress = _silent
) -> Verified:
    """Verify everything in `folder`; returns what it holds.

    `progress` is told each file as its turn comes. Raises BadInput if there is no bundle,
    VerificationFailed whose `where` names the file, and the first bad entry in it, otherwise.
    """
    pins = pinned or Pinned()
    bundle = _opened(folder, pins.coordinator)
    network = read_network(bundle, dict(pins.nodes))
    plans = read_plans(bundle, network)
    context = Context(bundle, network, plans, read_releases(bundle, plans))
    ledgers = {}
    for node in sorted(bundle.cosigners):
        progress(f"nodes/{node}/entries.jsonl")
        ledgers[node] = verify_ledger(context, node)
    transcripts = 0
    for digest, release in context.releases.items():
        progress(f"releases/{digest}.json")
        with at(f"releases/{digest}.json"):
            check_receipts(context, release, ledgers)
        transcripts += check_transcripts(context, release, ledgers)
    report = Report(
        network=network.name,
        made_at=bundle.made_at,
        coordinator=bundle.coordinator.text,
        pinned=pins.coordinator is not None,
        nodes=tuple(_node_report(ledger) for ledger in ledgers.values()),
        absent=tuple(sorted(set(network.roster.keys) - set(bundle.cosigners))),
        plans=len(plans),
        releases=len(context.releases),
        transcripts=transcripts,
    )
    return Verified(context, ledgers, report)


def _opened(folder: Path, coordinator: PublicKey | None) -> Bundle:
    """The bundle; where its manifest does not hold, an entry that was edited is named first."""
    try:
        return open_bundle(folder, coordinator)
    except VerificationFailed as failed:
        edited = first_bad_entry(folder) if failed.where == MANIFEST else None
        if edited is None:
            raise
        raise VerificationFailed(
            f"{edited.what}; and {MANIFEST}: {failed.what}", where=edited.where
        ) from None


def _node_report(ledger: Ledger) -> NodeReport:
    state = ledger.replay.state
    return NodeReport(
        node=ledger.node,
        entries=state.size,
        root=ledger.replay.tree.root().hex(),
        spent=Spent(state.total_charged, state.delta),
        period_spent=Spent(state.period_charged, state.delta),
        studies={study: Spent(rho, state.delta) for study, rho in sorted(state.charged.items())},
        open_reservations=len(state.plans),
        cosigners=tuple(sorted(ledger.cosigners)),
        holders=tuple(sorted(ledger.holders - ledger.cosigners)),
        witnessed_size=ledger.witnessed_size,
        changes=tuple(ledger.changes),
    )
