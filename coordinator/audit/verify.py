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

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.audit.breaks import heads_seen
from coordinator.audit.bundle import MANIFEST, Bundle, open_bundle
from coordinator.audit.documents import Network, at, read_network, read_plans, read_releases
from coordinator.audit.ledgers import Context, Ledger, verify_ledger
from coordinator.audit.linkages import read_linkages
from coordinator.audit.log import (
    Decided,
    Log,
    check_decisions,
    check_log,
    check_publications,
    read_log,
)
from coordinator.audit.meter import Progress, silent
from coordinator.audit.releases import check_receipts, check_transcripts
from coordinator.audit.report import KeyReport, LogReport, NodeReport, Report, Spent
from coordinator.audit.suspects import first_bad_entry
from privacy.contract.coordinator_key import CoordinatorKey
from privacy.contract.signing import PublicKey
from privacy.errors import VerificationFailed
from privacy.log import Logged
from privacy.promise import Promise


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
    folder: Path, *, pinned: Pinned | None = None, progress: Progress = silent
) -> Report:
    """Verify everything in `folder`; returns the recomputed figures. See `verified`."""
    return verified(folder, pinned=pinned, progress=progress).report


def verified(
    folder: Path, *, pinned: Pinned | None = None, progress: Progress = silent
) -> Verified:
    """Verify everything in `folder`; returns what it holds.

    `progress` is told each file as its turn comes, and the share of all bytes that was read.
    Raises BadInput if there is no bundle, VerificationFailed whose `where` names the file, and
    the first bad entry in it, otherwise.
    """
    pins = pinned or Pinned()
    bundle = _opened(folder, pins.coordinator, progress)
    network = read_network(bundle, dict(pins.nodes))
    plans = read_plans(bundle, network)
    linkages = read_linkages(bundle, network)
    context = Context(bundle, network, plans, read_releases(bundle, plans), linkages)
    log = read_log(bundle, network, _stored(context))
    ledgers = {}
    for node in bundle.nodes:
        ledgers[node] = verify_ledger(context, node)
    check_log(bundle, log, [a for n, each in ledgers.items() for a in heads_seen(n, each.breaks)])
    check_publications(log, plans, context.releases)
    check_decisions(log.steps, {node: _decided(each) for node, each in ledgers.items()})
    transcripts = 0
    for digest, release in context.releases.items():
        with at(f"releases/{digest}.json"):
            check_receipts(context, release, ledgers)
        transcripts += check_transcripts(context, release, ledgers)
    progress("", 1.0)
    report = Report(
        network=network.name,
        made_at=bundle.made_at,
        coordinator=bundle.coordinator.text,
        pinned=pins.coordinator is not None,
        unpinned=tuple(sorted(_vouching(network, log, ledgers) - set(pins.nodes))),
        keys={n: key.text for n, key in sorted({**network.keys, **network.auditors}.items())},
        log=_log_report(log),
        nodes=tuple(_node_report(ledger) for ledger in ledgers.values()),
        absent=tuple(sorted(set(network.roster.keys) - set(bundle.nodes))),
        plans=len(plans),
        releases=len(context.releases),
        transcripts=transcripts,
        key_changes=tuple(map(_key_report, bundle.changes)),
    )
    return Verified(context, ledgers, report)


def _opened(folder: Path, coordinator: PublicKey | None, progress: Progress) -> Bundle:
    """The bundle; where its manifest does not hold, an entry that was edited is named first."""
    try:
        return open_bundle(folder, coordinator, progress)
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
        cosigners=tuple(sorted(ledger.vouched.cosigners)),
        holders=tuple(sorted(ledger.vouched.holders - ledger.vouched.cosigners)),
        witnessed_size=ledger.vouched.size,
        changes=tuple(ledger.changes),
        breaks=tuple(ledger.breaks),
        refused=tuple(ledger.refused),
        promise=Promise.of(state),
    )


def _decided(ledger: Ledger) -> Decided:
    return Decided(frozenset(ledger.decisions), ledger.replay.state.at)


def _log_report(log: Log) -> LogReport:
    return LogReport(
        lines=log.tree.size,
        root=log.tree.root().hex(),
        cosigners=tuple(sorted(log.vouched.cosigners)),
        witnessed_size=log.vouched.size,
    )


def _key_report(change: CoordinatorKey) -> KeyReport:
    return KeyReport(
        at=change.at,
        until=change.until,
        old=change.old_key.fingerprint,
        new=change.new_key.fingerprint,
        signed=change.signed,
        reason=change.reason,
    )


def _stored(context: Context) -> dict[Logged, Iterable[str]]:
    """The digests of every statement in the bundle but the steps."""
    network = context.network
    return {
        Logged.KEY: [change.digest for change in context.bundle.changes],
        Logged.RESEARCHER_KEY: network.researcher_keys,
        Logged.ROSTER: network.rosters,
        Logged.DICTIONARY: network.dictionaries,
        Logged.REVOCATION: network.revocations,
        Logged.STUDY: network.studies,
        Logged.PLAN: context.plans,
        Logged.RELEASE: context.releases,
        Logged.LINKAGE: context.linkages,
    }


def _vouching(network: Network, log: Log, ledgers: Mapping[str, Ledger]) -> set[str]:
    """Everybody whose key counts: the nodes, and auditors who cosigned something."""
    everybody = [log.vouched, *(ledger.vouched for ledger in ledgers.values())]
    cosigned = {name for each in everybody for name in each.cosigners}
    return set(network.keys) | (cosigned & set(network.auditors))
