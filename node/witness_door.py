"""What the coordinator may ask of a node as a witness, and carry between it and its peers."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from node.ledger_store import LedgerStore
from node.runner import Runner
from node.watch import Watch, sizes
from node.witnessing import Copy, Witnessing, answers_needed, witness_statement
from privacy.contract.roster import Roster
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.errors import Code, Refused
from privacy.ledger.entry import PolicySet
from privacy.witness import Growth


class InForce(Protocol):
    """What is in force at the node when it is asked."""

    @property
    def policy(self) -> PolicySet: ...
    @property
    def coordinator(self) -> PublicKey: ...
    def roster(self) -> Roster: ...
    def peers(self) -> Mapping[str, PublicKey]: ...


@dataclass
class WitnessDoor:
    """One node's answers."""

    key: SigningKey
    runner: Runner
    witnessing: Witnessing
    watch: Watch
    now: InForce
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def node(self) -> str:
        return self.runner.node

    @property
    def ledger(self) -> LedgerStore:
        return self.runner.ledger

    def greet(self, payload: dict[str, Any], said: str) -> dict[str, Any]:
        """Look at the coordinator's log, which every greeting shows.

        A ledger that may be a restored one does nothing of its own before its peers confirm it.
        """
        line = ""
        if self.witnessing.done:
            self.runner.sweep()
            line = self.watch.log(Growth.from_json(payload["log"]), self.now.coordinator, said)
        return {
            "nonce": "" if self.witnessing.done else self.witnessing.nonce,
            "log": self.watch.size,
            "cosigned": line,
            "broken": sorted(self.ledger.state.faults),
        }

    def statement(self, payload: dict[str, Any]) -> dict[str, Any]:
        """What this node holds of a peer that has started."""
        of, nonce = str(payload["of"]), str(payload["nonce"])
        if of not in self.now.roster().keys:
            raise Refused(Code.ROSTER_MISMATCH)
        self.runner.peer_restarted(of, nonce)
        statement = witness_statement(self.ledger, self.key, self.node, of, nonce)
        return {"statement": statement.to_json()}

    def answers(self, payload: dict[str, Any], blob: bytes) -> dict[str, Any]:
        """What peers hold of this ledger; with entries that a restored backup has lost."""
        statements = {
            node: Envelope.from_json(value) for node, value in payload["statements"].items()
        }
        needed = answers_needed(len(self.now.roster().nodes), self.now.policy.min_collude)
        with self._lock:
            if blob:
                lines = tuple(blob.split(b"\n")[:-1])
                self.witnessing.copy = Copy(lines, str(payload["checkpoint"]))
            return {"done": self.witnessing.accept(statements, self.now.peers(), needed)}

    def growth(self, payload: dict[str, Any]) -> dict[str, Any]:
        """This ledger's newest checkpoint, and what shows it to others who hold older ones."""
        size = self.ledger.size
        proofs = {
            str(since): [each.hex() for each in self.ledger.consistency_proof(since, size)]
            for since in payload["since"]
            if 0 <= since <= size
        }
        return {"size": size, "checkpoint": self.ledger.checkpoint_at(size), "proofs": proofs}

    def cosign(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Look at peers' ledgers; what this node vouches for, and how far it has seen each."""
        shown = {node: Growth.from_json(value) for node, value in payload["ledgers"].items()}
        keys = {node: key for node, key in self.now.peers().items() if node != self.node}
        lines = self.watch.peers(shown, keys) if self.witnessing.done else {}
        return {"cosigned": lines, "sizes": sizes(self.ledger, keys)}
