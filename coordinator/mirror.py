"""The coordinator's copy of every ledger, and its signature as a witness.

A copy is checked against the node's own signed checkpoint before it is kept; only then does
the coordinator cosign. Storing a checkpoint is not witnessing it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from coordinator.node_link import Body, NodeLink
from coordinator.store.facts import CheckpointFacts, Decision
from coordinator.store.store import Store
from privacy.checkpoint import coordinator_name, cosign, open_checkpoint
from privacy.contract.facts import Fact
from privacy.contract.messages import Ask
from privacy.contract.roster import Roster
from privacy.contract.signing import SigningKey
from privacy.errors import BadInput, Refused, VerificationFailed
from privacy.ledger.entry import Approval, Entry
from privacy.merkle import Frontier

WITNESS = "coordinator"
TIMEOUT_SECONDS = 10.0

_log = structlog.get_logger("cairn.bridge")


class Page(Fact):
    """What a node says beside the entries it sends."""

    count: int
    size: int
    checkpoint: str
    witnessed: dict[str, str]


@dataclass
class Mirror:
    """Fetches new entries of nodes; remembers each tree's frontier so a check stays cheap."""

    store: Store
    link: NodeLink
    key: SigningKey
    roster: Callable[[], Roster]
    clock: Callable[[], datetime]
    _frontiers: dict[str, Frontier] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sync(self, nodes: tuple[str, ...], timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Fetch what is new at each node. A node that does not answer is left as it was."""
        with self._lock:
            waiting = set(nodes)
            while waiting:
                wishes = {node: Body({"from": self.store.ledgers.size(node)}) for node in waiting}
                answers = self.link.ask(Ask.LEDGER, wishes, timeout_seconds)
                bodies = {n: a for n, a in answers.items() if isinstance(a, Body)}
                waiting = {node for node, body in bodies.items() if self._keep(node, body)}

    def _keep(self, node: str, body: Body) -> bool:
        """Store one answer; True if the node has more to send."""
        first = self.store.ledgers.size(node)
        lines = body.blob.split(b"\n")[:-1]
        try:
            page = Page.from_json(body.payload)
            entries = [Entry.from_bytes(line) for line in lines]
            frontier = self._extended(node, entries)
            complete = frontier.size == page.size
            seen = self._witness(node, page, frontier) if complete else []
            self.store.ledgers.keep(node, first, lines, seen)
        except (VerificationFailed, BadInput, Refused) as error:
            _log.error("ledger of a node does not hold", node=node, error=type(error).__name__)
            return False
        self._frontiers[node] = frontier
        self._note_approvals(node, entries)
        return bool(lines) and not complete

    def _extended(self, node: str, entries: list[Entry]) -> Frontier:
        frontier = self._frontiers.get(node)
        if frontier is None:
            frontier = Frontier()
            for data in self.store.ledgers.entries(node):
                frontier = frontier.append(Entry.from_bytes(data).leaf)
        for entry in entries:
            frontier = frontier.append(entry.leaf)
        return frontier

    def _witness(self, node: str, page: Page, frontier: Frontier) -> list[CheckpointFacts]:
        """The node's checkpoint, the cosignature on it, and what it holds of its peers."""
        text = page.checkpoint
        key = self.roster().keys[node]
        head = open_checkpoint(text, key)
        if (head.size, head.root) != (frontier.size, frontier.root):
            raise VerificationFailed("entries and checkpoint do not agree", where=node)
        name = coordinator_name(self.roster().network)
        cosignature = cosign(head, name, self.key, int(self.clock().timestamp()))
        return [
            CheckpointFacts(node, node, head.size, text, None),
            CheckpointFacts(node, WITNESS, head.size, text, cosignature),
            *self._of_peers(node, page.witnessed),
        ]

    def _of_peers(self, by: str, witnessed: dict[str, str]) -> Iterator[CheckpointFacts]:
        keys = self.roster().keys
        for node, text in witnessed.items():
            if text and node != by and node in keys:
                size = open_checkpoint(text, keys[node]).size
                yield CheckpointFacts(node, by, size, text, None)

    def _note_approvals(self, node: str, entries: list[Entry]) -> None:
        for entry in entries:
            if isinstance(entry.body, Approval):
                body = entry.body
                decision = Decision(body.decision)
                self.store.studies.decide(node, body.study_digest, decision, entry.at)
