"""Every organisation at a glance: spent of its limit, how far it is vouched for, what is odd."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from coordinator.audit.report import NodeReport, Spent
from coordinator.audit.verify import Verified
from privacy.ledger.state import LedgerState
from privacy.units import Rho

NEARLY = 0.9  # of a limit
_DECIDED = "a steward decided which key is the coordinator's, without the old one's word"


@dataclass(frozen=True)
class NodeOverview:
    """One organisation. `remarks` are what an auditor may want to ask about."""

    node: str
    name: str
    preset: str
    period: str
    spent: Spent
    reserved: Spent
    limit: Spent
    lifetime: Spent
    share: float  # of the limit, in rho
    last_entry: str
    entries: int
    root: str  # of all of them, as verified
    cosigned_size: int
    cosigners: tuple[str, ...]
    remarks: tuple[str, ...]
    stopped: tuple[str, ...]  # what keeps it from answering

    @property
    def spent_share(self) -> float:
        """Of the limit, without what is reserved."""
        return _share(self.spent.rho, self.limit.rho)

    def to_json(self) -> dict[str, Any]:
        losses = {
            name: getattr(self, name).to_json()
            for name in ("spent", "reserved", "limit", "lifetime")
        }
        return asdict(self) | losses


@dataclass(frozen=True)
class Vouched:
    """How far others vouch for a ledger, and how often a history broke in it."""

    size: int
    cosigners: tuple[str, ...]
    breaks: int = 0


def overview(found: Verified) -> tuple[NodeOverview, ...]:
    """Every ledger of a verified bundle."""
    names = {node.id: node.name for node in found.context.network.roster.nodes}
    return tuple(_of_report(found, report, names) for report in found.report.nodes)


def _of_report(found: Verified, report: NodeReport, names: dict[str, str]) -> NodeOverview:
    state = found.ledgers[report.node].replay.state
    vouched = Vouched(report.witnessed_size, report.cosigners, len(report.breaks))
    return node_overview(
        report.node, names.get(report.node, report.node), state, report.root, vouched
    )


def node_overview(
    node: str, name: str, state: LedgerState, root: str, vouched: Vouched
) -> NodeOverview:
    """One ledger that was folded to `state`, under the root of all its entries."""
    period, policy, limit = state.period, state.policy, state.budget
    share = _share(state.spent, limit)
    return NodeOverview(
        node=node,
        name=name,
        preset="" if policy is None else policy.rules.preset.value,
        period="" if period is None else f"{period.starts[:10]} to {period.ends[:10]}",
        spent=Spent(state.period_charged, state.delta),
        reserved=Spent(state.total_held, state.delta),
        limit=Spent(limit, state.delta),
        lifetime=Spent(state.total_charged, state.delta),
        share=share,
        last_entry=state.at,
        entries=state.size,
        root=root,
        cosigned_size=vouched.size,
        cosigners=vouched.cosigners,
        remarks=tuple(_remarks(state, vouched, share)),
        stopped=tuple(_stops(state)),
    )


def _share(spent: Rho, limit: Rho) -> float:
    return float(spent.fraction / limit.fraction) if limit != Rho.ZERO else 0.0


def _remarks(state: LedgerState, vouched: Vouched, share: float) -> list[str]:
    ahead = state.size - vouched.size
    unvouched = f"the last {ahead} entries are vouched for by nobody else"
    checks = (
        (not vouched.cosigners, "nobody else vouches for this ledger"),
        (bool(vouched.cosigners) and ahead > 0, unvouched),
        (bool(vouched.breaks), f"a history broke, {vouched.breaks} times"),
        (bool(state.noticed), f"refused what no coordinator should ask: {_sorts(state)}"),
        (state.decided_coordinators > 0, _DECIDED),
        (state.paused, "paused"),
        (state.policy is None, "no policy was ever set"),
        (state.period is None, "no period was ever opened"),
        (state.period is not None and state.at >= state.period.ends, "the period is over"),
        (share > 1, "the limit was lowered below what had been spent"),
        (NEARLY <= share <= 1, "nearly used up"),
        (bool(state.plans), f"{len(state.plans)} runs are reserved and not ended"),
    )
    return [words for holds, words in checks if holds]


def _sorts(state: LedgerState) -> str:
    return ", ".join(sorted(state.noticed))


def _stops(state: LedgerState) -> Iterator[str]:
    """What keeps an organisation from answering, as its ledger says."""
    if state.paused:
        yield "paused by a steward"
    if state.leaving:
        yield "left the network" if state.leaving == "left" else "is leaving the network"
    for of in sorted(state.faults):
        yield f"the history of {of} broke, and no steward has accepted it"
    if state.forked:
        yield "the coordinator's former key signed two successors, and no steward has decided"
    if state.policy is None:
        yield "no policy is in force"
    if state.period is None:
        yield "no period is open"
