"""Made-up nodes: what a round of them opens, and what they would write into their ledgers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from coordinator.store.store import Store
from models.aggregates.requests import parse_analysis
from models.cohort.parse import parse_cohort
from models.mock import mock_rows, mock_total, shares
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.reference import cohort_mask
from privacy.checkpoint import Checkpoint, node_origin, sign_checkpoint
from privacy.contract.plan import Plan
from privacy.contract.signing import SigningKey
from privacy.ledger.entry import Commit, Entry, Mechanism
from privacy.ledger.fold import apply
from privacy.ledger.state import LedgerState
from privacy.mechanism import GaussianSum
from privacy.merkle import Frontier
from tests.support.ledger_factory import reservation


@dataclass(frozen=True)
class FakeNodes:
    """Answers from mock members, with one real noise share per node."""

    store: Store
    entropy: Callable[[int], bytes]

    def opening(self, plan: Plan, number: int, opened: Sequence[Opening]) -> Opening:
        dictionary = self.store.network.dictionary
        analysis = parse_analysis(plan.analysis)
        mechanism = GaussianSum.from_json(plan.rounds[number].mechanism)
        state = analysis.state(dictionary, opened)
        shape = analysis.contribution_at(dictionary, mechanism.delta_grid, number, state)
        rows = mock_rows(dictionary, 600, seed=7)
        exact = mock_total(shape, rows, cohort_mask(parse_cohort(plan.cohort, dictionary), rows))
        noisy = exact + shares(mechanism, shape.length, self.entropy)
        law = NoiseLaw(mechanism, survivors=mechanism.nodes)
        return Opening(tuple(int(each) for each in noisy), law, state)

    def reserve(self, digest: str, plan: Plan, at: str) -> None:
        """Set the run's cost aside in every mirrored ledger."""
        body = reservation(digest, plan, "Counts members")
        for node in plan.participants:
            append_entries(self.store, node, at, body)

    def commit(self, node: str, digest: str, plan: Plan, number: int, at: str) -> dict[str, Any]:
        """Charge one round in the mirrored ledger of `node`; its receipt."""
        planned = plan.rounds[number]
        body = Commit(
            plan=digest,
            round=number,
            attempt=0,
            mechanism=Mechanism(**planned.mechanism),
            rho=planned.rho,
            masked_sha256="a" * 64,
            length=planned.length,
            bytes=8 * planned.length,
        )
        last, checkpoint = append_entries(self.store, node, at, body)
        return {"seq": last.seq, "leaf": last.leaf.hex(), "checkpoint": checkpoint}


def node_key(node: str) -> SigningKey:
    """The identity key of a made-up node."""
    return SigningKey(node.ljust(32, "k")[:32].encode())


def append_entries(store: Store, node: str, at: str, *bodies: Any) -> tuple[Entry, str]:
    """Chain legal entries to the mirrored ledger of `node`: the last one, and its checkpoint."""
    state, frontier = LedgerState(), Frontier()
    for data in store.ledgers.entries(node):
        state = apply(state, Entry.from_bytes(data))
        frontier = frontier.append(Entry.from_bytes(data).leaf)
    first, lines = state.size, []
    for body in bodies:
        entry = Entry(seq=state.size, prev=state.head, at=at, body=body)
        state, frontier = apply(state, entry), frontier.append(entry.leaf)
        lines.append(entry.data)
    store.ledgers.append(node, first, lines)
    head = Checkpoint(node_origin("test-network", node), frontier.size, frontier.root)
    text = sign_checkpoint(head, node_key(node))
    store.ledgers.add_checkpoint(node, node, head.size, text)
    return entry, text
