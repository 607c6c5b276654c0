"""What a steward can see of the evidence at a node, and the ways out when a history broke."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.ledger_index import Departure
from node.sent import Comparison
from node.study_desk import StudyDesk
from node.watch import accept_history, explained
from node.witnessing import read_copy
from privacy.accounting.conversion import epsilon_of_rho
from privacy.checkpoint import LOG
from privacy.contract.canonical import parse_canonical
from privacy.contract.signing import PublicKey
from privacy.errors import BadInput
from privacy.ledger.state import LedgerState
from privacy.ledger.steward_entry import Signed
from privacy.units import Rho


@dataclass(frozen=True)
class EvidenceDesk(StudyDesk):
    """Operations on one node's ledger, running or not."""

    def budget(self) -> dict[str, Any]:
        """The period's budget as rho and as epsilon, rounded so that losses look no smaller."""
        state = self.parts.service.ledger.state
        delta = state.delta
        return {
            "delta": float(delta),
            "limit": amount(state.budget, delta),
            "spent": amount(state.spent, delta),
            "left_rho": state.left.text,
            "ends": state.period.ends if state.period else None,
        }

    def stops(self) -> list[str]:
        """What keeps this node from answering, or from answering with a peer, and the way out."""
        service = self.parts.service
        keys = service.roster().keys if service.ledger.state.roster else {}
        known = {**keys, LOG: service.coordinator}
        stops = [explained(each, known) for each in service.ledger.state.faults.values()]
        if service.ledger.state.forked:
            stops.append(_forked(service.ledger.state))
        lost = service.witnessing.explained()
        return [lost, *stops] if lost else stops

    def coordinator(self, named: str = "") -> dict[str, Any]:
        """Which key the coordinator's word counts with here, which one is offered, what was
        refused since the start; with `named`, the key that a fingerprint or a key names."""
        keys = self.parts.service.coordinators
        state, offered = self.parts.service.ledger.state, keys.offered
        return {
            "key": keys.key.text,
            "fingerprint": keys.key.fingerprint,
            "changes": len(state.former_coordinators),
            "offered": "" if offered is None else offered.fingerprint,
            "refused": list(keys.refused),
            **({"named": keys.named(named).text} if named else {}),
        }

    # ways out

    def accept_history(self, of: str, reason: str) -> None:
        """Go on from what the coordinator's log, or a peer's ledger, shows next."""
        if of != LOG and of not in self.parts.service.roster().keys:
            raise BadInput(f"no history of {of!r}", instead=f"write {LOG} or a node's id")
        accept_history(self.parts.service.ledger, of, self.by, reason)

    def accept_coordinator(self, key: str, reason: str, signed: Signed | None = None) -> None:
        """Go by another key of the coordinator, whose fingerprint a steward compared."""
        keys = self.parts.service.coordinators
        keys.accept(keys.named(key), self.by, reason, signed)

    def recover(self, reason: str, copy: Path | None = None) -> dict[str, Any]:
        """Take the entries that a restored ledger has lost from a copy of it.

        The coordinator offers its copy while the node runs; `copy` is a file of the whole
        ledger, a line each, with its `checkpoint.txt` beside it, as in an audit bundle.
        """
        service = self.parts.service
        if copy is not None:
            service.witnessing.copy = read_copy(copy, service.ledger.size)
        return {"recovered": service.witnessing.recover(self.by, reason)}

    def assume_spent(self, reason: str) -> dict[str, Any]:
        """Go on without the lost entries; all budget counts as spent for a year at least."""
        service = self.parts.service
        service.witnessing.forfeit(service.clock(), self.by, reason)
        return self.budget()

    # evidence

    def ledger(self, start: int, stop: int) -> dict[str, Any]:
        """Entries start..stop-1 with the newest signed checkpoint."""
        store = self.parts.service.ledger
        return {
            "entries": [parse_canonical(line) for line in store.entries(start, stop)],
            "size": store.size,
            "checkpoint": store.checkpoint(),
        }

    def departed(self) -> int:
        """How many byte strings left."""
        return self.parts.service.ledger.index.departed()

    def left_the_building(
        self, compare: bool = False, start: int = 0, stop: int | None = None
    ) -> list[dict[str, Any]]:
        """The byte strings that left, from the first on: sentence, plan, size, hash and cost.

        With `compare`, each with what the coordinator has stored of it; raises BadInput where
        it does not answer. Of numbers start..stop-1; of all without them.
        """
        service = self.parts.service
        delta = service.ledger.state.delta
        asks = Comparison(self.parts.settings, service.key, service.clock)
        return [
            _departure(left, delta) | (asks.compare(left) if compare else {})
            for left in service.ledger.index.departures(start, stop)
        ]

    def verify(self) -> dict[str, Any]:
        """Read the whole ledger again from disk; raises VerificationFailed naming the entry."""
        self.parts.service.ledger.verify()
        return {"entries": self.parts.service.ledger.size, "holds": True}


def _forked(state: LedgerState) -> str:
    here, there = (PublicKey.from_text(k).fingerprint for k in (state.coordinator, state.forked))
    return (
        f"the coordinator's former key signed two successors: {here}, which is in force, and "
        f"{there}. Somebody else holds that key. Ask the operator by telephone which of them is "
        "right; then `cairn-node accept-coordinator --key FINGERPRINT --reason …`"
    )


def _departure(left: Departure, delta: Any) -> dict[str, Any]:
    commit = left.commit
    return {
        "seq": left.entry.seq,
        "at": left.entry.at,
        "sentence": left.reserve.sentence,
        "study": left.reserve.study,
        "plan": commit.plan,
        "round": commit.round + 1,
        "rounds": len(left.reserve.rounds),
        "attempt": commit.attempt + 1,
        "bytes": commit.bytes,
        "sha256": commit.masked_sha256,
        **amount(Rho.parse(commit.rho), delta),
    }


def amount(rho: Rho, delta: Any) -> dict[str, Any]:
    """A loss as rho, and as epsilon rounded up."""
    return {"rho": rho.text, "epsilon": epsilon_of_rho(rho, delta) if delta else 0.0}
