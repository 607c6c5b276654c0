"""Following a log's key while its new lines are read: who signs it now follows from who did before.

A node's ledger holds the changes of its key, signed by both; the coordinator's log names the
statement of each change of its own. A key that appears without such a line is not followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from privacy.contract.coordinator_key import CoordinatorKey, check_chain, followed
from privacy.contract.signing import PublicKey
from privacy.errors import BadInput, VerificationFailed
from privacy.ledger.entry import Entry, Genesis
from privacy.ledger.upkeep_entry import NodeKeyChanged
from privacy.log import LogEntry, Logged

_OTHER = "is signed by another key than the one known"


@dataclass
class NodeKeys:
    """The keys of one node's ledger, oldest first, as far as its lines were read."""

    network: str
    node: str
    keys: list[PublicKey] = field(default_factory=list)

    def read(self, line: bytes, seq: int) -> None:
        """Take up a line; raises VerificationFailed for a change that the old key did not sign."""
        if b'"kind":"node-key"' not in line and self.keys:
            return
        try:
            body = Entry.from_bytes(line).body
        except BadInput as error:
            raise VerificationFailed(f"entry {seq}: {error.what}") from None
        match body:
            case Genesis() if not seq:
                self.keys.append(PublicKey.from_text(body.key))
            case NodeKeyChanged():
                self._change(body, seq)
            case _:
                return

    def _change(self, body: NodeKeyChanged, seq: int) -> None:
        body.check(self.network, self.node)
        if body.until != seq or not self.keys or body.old != self.keys[-1].text:
            raise VerificationFailed(f"entry {seq}: changes another key than the one known")
        self.keys.append(PublicKey.from_text(body.new))

    def check(self, stated: PublicKey, pinned: PublicKey | None) -> None:
        """The stated key is the newest, and the pinned one of them; raises VerificationFailed."""
        if not self.keys or self.keys[-1] != stated or (pinned or stated) not in self.keys:
            raise VerificationFailed(_OTHER)


@dataclass
class LogKeys:
    """The same of the coordinator's log, with the changes that the coordinator shows."""

    network: str
    changes: Sequence[CoordinatorKey]
    keys: list[PublicKey] = field(default_factory=list)
    _lines: dict[int, str] = field(default_factory=dict)

    def read(self, line: bytes, seq: int) -> None:
        """Take up a line."""
        if b'"kind":"key"' in line:
            try:
                entry = LogEntry.from_bytes(line)
            except BadInput as error:
                raise VerificationFailed(f"line {seq}: {error.what}") from None
            if entry.kind is Logged.KEY:
                self._lines[seq] = entry.statement

    def check(self, stated: PublicKey, pinned: PublicKey | None) -> None:
        """The stated key follows from the one known; raises VerificationFailed."""
        known = self.keys[-1] if self.keys else pinned
        if pinned is not None and self.keys and pinned not in self.keys and pinned != stated:
            raise VerificationFailed(_OTHER)
        if known is None or known == stated:
            self.keys = self.keys or [stated]
            return
        check_chain(self.changes, self.network)
        if known.text not in [each.old for each in self.changes]:
            raise VerificationFailed(_OTHER)
        signed = followed(self.changes, known.text)
        if not signed or signed[-1].new != stated.text:
            raise VerificationFailed(f"{_OTHER}, which did not sign it")
        for change in signed:
            if self._lines.get(change.until) != change.digest:
                raise VerificationFailed("does not name the change of its key")
        self.keys = [*(self.keys or [known]), *(change.new_key for change in signed)]
