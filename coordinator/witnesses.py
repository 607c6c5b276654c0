"""Carrying heads and cosignatures: nodes witness the coordinator's log and one another's ledgers.

The coordinator only carries. What a node vouches for it checks itself, against keys that its
steward compared; what comes back is checked here before it is kept beside the head it is on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from coordinator.log import CoordinatorLog
from coordinator.node_link import Answer, Body, NodeLink
from coordinator.store.store import Store
from privacy.checkpoint import LOG, check_cosignature, open_checkpoint, origin_of, witness_name
from privacy.contract.messages import Ask
from privacy.contract.roster import Roster
from privacy.contract.signing import PublicKey
from privacy.errors import BadInput, VerificationFailed
from privacy.witness import Growth

TIMEOUT_SECONDS = 5.0

_log = structlog.get_logger("cairn.bridge")


@dataclass
class Witnesses:
    """How far every node has seen every log, as each last said."""

    store: Store
    link: NodeLink
    log: CoordinatorLog
    roster: Callable[[], Roster]
    _seen: dict[tuple[str, str], int] = field(default_factory=dict)  # (witness, of): entries
    _kept: dict[tuple[str, str], int] = field(default_factory=dict)  # the newest cosigned

    # the coordinator's log

    def shown_log(self, node: str) -> Growth:
        """The log's head for one node, with the proof from what it said that it holds."""
        since, size = self._seen.get((node, LOG), 0), self.log.size()
        if since > size:  # this log was set back: the node will say so
            return Growth(checkpoint=self.log.checkpoint())
        text, hashes = self.log.consistency(since, size)
        return Growth(checkpoint=text, since=since, hashes=hashes)

    def note_log(self, node: str, shown: Growth, said: Mapping[str, Any]) -> bool:
        """Keep a cosignature that came back; True if the node needs another proof at once."""
        size = int(said["log"])
        known = self._seen.get((node, LOG), 0)
        self._seen[node, LOG] = size
        if said["cosigned"]:
            self._keep(node, LOG, shown, str(said["cosigned"]), self.log.key.public)
            return False
        return size != known and not said["broken"] and not said["nonce"]

    # nodes' ledgers

    def carry(self, sizes: Mapping[str, int], awake: Iterable[str]) -> None:
        """Show the nodes that are `awake` what grew at the others; `sizes` are the ledgers'."""
        witnesses = tuple(sorted(awake))
        behind = {
            (w, of): self._seen.get((w, of), 0)
            for w in witnesses
            for of, size in sizes.items()
            if w != of and self._seen.get((w, of), -1) < size
        }
        if not behind:
            return
        grown = self._grown(behind)
        bodies, shown = {}, dict[str, dict[str, Growth]]()
        for w in witnesses:
            mine = {
                of: grown[of, since]
                for (to, of), since in behind.items()
                if to == w and (of, since) in grown
            }
            if mine:
                shown[w] = mine
                ledgers = {of: growth.to_json() for of, growth in mine.items()}
                bodies[w] = Body({"ledgers": ledgers})
        answers = self.link.ask(Ask.COSIGN, bodies, TIMEOUT_SECONDS)
        for w, answer in answers.items():
            self._note(w, shown[w], answer)

    def _grown(self, behind: Mapping[tuple[str, str], int]) -> dict[tuple[str, int], Growth]:
        """Every ledger's newest head with the proof from each size that a witness holds."""
        wanted = {
            of: sorted({since for (_, o), since in behind.items() if o == of})
            for of in {of for _, of in behind}
        }
        bodies = {of: Body({"since": sizes}) for of, sizes in wanted.items()}
        found = {}
        for of, answer in self.link.ask(Ask.GROWTH, bodies, TIMEOUT_SECONDS).items():
            if isinstance(answer, Body):
                found.update(_growths(of, answer.payload))
        return found

    def _note(self, witness: str, shown: Mapping[str, Growth], answer: Answer) -> None:
        if not isinstance(answer, Body):
            return
        keys = self.roster().keys
        for of, growth in shown.items():
            size = answer.payload.get("sizes", {}).get(of)
            line = answer.payload.get("cosigned", {}).get(of)
            if isinstance(size, int):
                self._seen[witness, of] = size
            if line:
                self._keep(witness, of, growth, str(line), keys[of])

    def _keep(self, by: str, of: str, growth: Growth, line: str, key: PublicKey) -> None:
        """Check a cosignature and keep it; the newest of each witness is enough."""
        network = self.roster().network
        try:
            head = open_checkpoint(growth.checkpoint, key, origin_of(network, of))
            if self._kept.get((by, of)) == head.size:
                return
            name = witness_name(network, by)
            check_cosignature(head, line, name, self.roster().keys[by])
        except (VerificationFailed, BadInput) as error:
            _log.error("cosignature does not hold", node=by, error=type(error).__name__)
            return
        self._seen[by, of] = self._kept[by, of] = head.size
        self.store.ledgers.add_checkpoint(of, by, head.size, growth.checkpoint, line)


def _growths(of: str, said: Mapping[str, Any]) -> dict[tuple[str, int], Growth]:
    found = {}
    try:
        for since, hashes in said["proofs"].items():
            shown = {"checkpoint": said["checkpoint"], "since": int(since), "hashes": hashes}
            found[of, int(since)] = Growth.from_json(shown)
    except (BadInput, KeyError, TypeError, ValueError, AttributeError):
        _log.error("a node shows its ledger in another form", node=of)
        return {}
    return found
