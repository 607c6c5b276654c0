"""Every organisation at a glance: spent of its limit, how far it is vouched for, what is odd."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from coordinator.audit.ledgers import Ledger
from coordinator.audit.report import NodeReport, Spent
from coordinator.audit.verify import Verified
from privacy.ledger.state import LedgerState
from privacy.units import Rho

NEARLY = 0.9  # of a limit


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

    def to_json(self) -> dict[str, Any]:
        losses = {
            name: getattr(self, name).to_json()
            for name in ("spent", "reserved", "limit", "lifetime")
        }
        return asdict(self) | losses


def overview(found: Verified) -> tuple[NodeOverview, ...]:
    """Every ledger of a verified bundle."""
    names = {node.id: node.name for node in found.context.network.roster.nodes}
    return tuple(
        _node(found.ledgers[report.node], report, names.get(report.node, report.node))
        for report in found.report.nodes
    )


def _node(ledger: Ledger, report: NodeReport, name: str) -> NodeOverview:
    state = ledger.replay.state
    period, policy = state.period, state.policy
    limit = state.budget
    share = float(state.spent.fraction / limit.fraction) if limit != Rho.ZERO else 0.0
    return NodeOverview(
        node=report.node,
        name=name,
        preset="" if policy is None else policy.rules.preset.value,
        period="" if period is None else f"{period.starts[:10]} to {period.ends[:10]}",
        spent=report.period_spent,
        reserved=Spent(state.total_held, state.delta),
        limit=Spent(limit, state.delta),
        lifetime=report.spent,
        share=share,
        last_entry=state.at,
        entries=report.entries,
        root=report.root,
        cosigned_size=report.witnessed_size,
        cosigners=report.cosigners,
        remarks=tuple(_remarks(state, report, share)),
    )


def _remarks(state: LedgerState, report: NodeReport, share: float) -> list[str]:
    ahead = report.entries - report.witnessed_size
    unvouched = f"the last {ahead} entries are vouched for by nobody else"
    checks = (
        (not report.cosigners, "nobody else vouches for this ledger"),
        (bool(report.cosigners) and ahead > 0, unvouched),
        (bool(report.breaks), f"a history broke, {len(report.breaks)} times"),
        (bool(report.refused), f"refused what no coordinator should ask: {_sorts(report)}"),
        (state.paused, "paused"),
        (state.policy is None, "no policy was ever set"),
        (state.period is None, "no period was ever opened"),
        (state.period is not None and state.at >= state.period.ends, "the period is over"),
        (share > 1, "the limit was lowered below what had been spent"),
        (NEARLY <= share <= 1, "nearly used up"),
        (bool(state.plans), f"{len(state.plans)} runs are reserved and not ended"),
    )
    return [words for holds, words in checks if holds]


def _sorts(report: NodeReport) -> str:
    return ", ".join(sorted({each.what.value for each in report.refused}))
