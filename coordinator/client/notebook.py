"""An auditor's notebook: the newest head of every log that this auditor has seen grow.

The auditor reads every line that is new, puts it onto the tree of those read before, and signs
the head only if it is that tree's. So what was shown once cannot be told otherwise later: a log
that shrinks, forks or is signed by another key is named, and nothing of it is signed. A key that
the one before it signed over is followed (`coordinator.client.followed_keys`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coordinator.client.followed_keys import LogKeys, NodeKeys
from coordinator.client.transport import Transport
from privacy.checkpoint import (
    LOG,
    Checkpoint,
    cosign,
    open_checkpoint,
    origin_of,
    witness_name,
)
from privacy.contract.canonical import b64, unb64
from privacy.contract.coordinator_key import parse_changes
from privacy.contract.signing import PublicKey, SigningKey
from privacy.errors import BadInput, VerificationFailed
from privacy.merkle import Frontier, leaf_hash

_PAGE = 5_000
_SECONDS = 120.0
_FORMAT = "cairn-notebook/1"


@dataclass(frozen=True)
class Noted:
    """One log as far as it was read, and whose keys signed it, oldest first."""

    keys: tuple[PublicKey, ...]
    frontier: Frontier

    def to_json(self) -> dict[str, Any]:
        keys = [each.text for each in self.keys]
        return {"keys": keys, "frontier": b64(self.frontier.to_bytes())}


@dataclass
class Notebook:
    """What an auditor keeps between two visits, in one file that others should not change."""

    path: Path
    network: str = ""
    logs: dict[str, Noted] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> Notebook:
        """The notebook in a file, or an empty one; raises BadInput for another file."""
        if not path.exists():
            return cls(path)
        try:
            value = json.loads(path.read_text("utf-8"))
            if value["format"] != _FORMAT:
                raise BadInput("not an auditor's notebook", where=str(path))
            logs = {of: _noted(each) for of, each in value["logs"].items()}
            return cls(path, str(value["network"]), logs)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise BadInput("not an auditor's notebook", where=str(path)) from None

    def save(self) -> None:
        """Write it whole, or leave the old one."""
        logs = {of: noted.to_json() for of, noted in sorted(self.logs.items())}
        value = {"format": _FORMAT, "network": self.network, "logs": logs}
        new = self.path.with_name(self.path.name + ".new")
        with new.open("w", encoding="utf-8") as file:
            file.write(json.dumps(value, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)


def _noted(value: Any) -> Noted:
    keys = tuple(PublicKey.from_text(text) for text in value["keys"])
    return Noted(keys, Frontier.from_bytes(unb64(value["frontier"])))


@dataclass(frozen=True)
class Visited:
    """One log at a visit: how many entries were known before and are now."""

    of: str
    before: int
    size: int
    first: bool


@dataclass(frozen=True)
class Visit:
    """One visit to a coordinator. `key` is the auditor's, `name` the one it is known by there."""

    transport: Transport
    notebook: Notebook
    key: SigningKey
    name: str
    pinned: Mapping[str, PublicKey]
    now: Callable[[], float]

    def run(self) -> list[Visited]:
        """Read what is new of every log, sign the heads and hand the cosignatures in.

        Raises VerificationFailed naming the log that is not the one noted; the notebook then
        keeps what it had of that log.
        """
        said = self.transport.get("/v1/audit/heads")
        network = str(said["network"])
        if self.notebook.network not in ("", network):
            raise BadInput("the notebook is of another network", where=str(self.notebook.path))
        self.notebook.network = network
        return [self._visit(str(each["of"]), each) for each in said["heads"]]

    def _visit(self, of: str, said: Mapping[str, Any]) -> Visited:
        known = self.notebook.logs.get(of)
        key, keys = PublicKey.from_text(str(said["key"])), self._keys(of, known)
        note = str(said["checkpoint"])
        try:
            head = open_checkpoint(note, key, origin_of(self.notebook.network, of))
            before = Frontier() if known is None else known.frontier
            after = self._read(of, before, head, keys)
            keys.check(key, self.pinned.get("coordinator" if of == LOG else of))
        except VerificationFailed as error:
            raise VerificationFailed(error.what, where=of) from None
        # noted before the signature leaves: a witness never signs two histories
        self.notebook.logs[of] = Noted(tuple(keys.keys), after)
        self.notebook.save()
        self._hand_in(of, note, head)
        return Visited(of, before.size, after.size, known is None)

    def _keys(self, of: str, known: Noted | None) -> NodeKeys | LogKeys:
        """The keys of a log as they were known, to be followed by its new lines."""
        keys = [] if known is None else list(known.keys)
        if of != LOG:
            return NodeKeys(self.notebook.network, of, keys)
        changes = parse_changes(self.transport.get("/v1/network")["key_changes"])
        return LogKeys(self.notebook.network, changes, keys)

    def _read(
        self, of: str, frontier: Frontier, head: Checkpoint, keys: NodeKeys | LogKeys
    ) -> Frontier:
        """The tree grown up to `head`; raises VerificationFailed unless it is the head's."""
        if head.size < frontier.size:
            raise VerificationFailed(f"had {frontier.size} entries and shows {head.size}")
        for line in self._lines(of, frontier.size, head.size):
            keys.read(line, frontier.size)
            frontier = frontier.append(leaf_hash(line))
        if frontier.size != head.size:
            raise VerificationFailed(f"shows a head of {head.size} entries and not all of them")
        if frontier.root != head.root:
            raise VerificationFailed(f"is another history of {head.size} entries than was seen")
        return frontier

    def _lines(self, of: str, start: int, stop: int) -> Iterator[bytes]:
        place = "/v1/audit/log/lines" if of == LOG else f"/v1/audit/ledgers/{of}/lines"
        while start < stop:
            count = min(_PAGE, stop - start)
            with self.transport.download(f"{place}?start={start}&count={count}", _SECONDS) as got:
                lines = b"".join(got.pieces).split(b"\n")[:-1]
            if not lines:
                return
            yield from lines
            start += len(lines)

    def _hand_in(self, of: str, note: str, head: Checkpoint) -> None:
        name = witness_name(self.notebook.network, self.name)
        line = cosign(head, name, self.key, int(self.now()))
        body = {"of": of, "checkpoint": note, "cosignature": line}
        self.transport.post("/v1/audit/cosignatures", body)
