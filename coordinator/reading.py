"""The mirrored ledgers for readers: entries by kind, study, researcher and day, and proofs.

Every entry is looked at once and remembered by its place alone; its bytes stay in the store. An
entry that cannot be read has its place like any other, and is called unreadable.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from coordinator.store.ledgers import Ledgers
from privacy.merkle import Tree, leaf_hash

UNREADABLE = "unreadable"
BREAKS = frozenset(
    {
        "history-broken",
        "history-accepted",
        "coordinator-forked",
        "coordinator-accepted",
        "recovered",
        "forfeited",
    }
)


@dataclass(frozen=True, slots=True)
class Place:
    """One entry by what readers look for; "" for what it does not name."""

    seq: int
    at: str
    kind: str
    study: str
    researcher: str
    plan: str


@dataclass(frozen=True)
class Sought:
    """What a reader looks for; "" for anything. Days are written 2026-11-22, both included."""

    kind: str = ""
    study: str = ""
    researcher: str = ""
    since: str = ""
    until: str = ""

    def holds(self, place: Place) -> bool:
        return (
            self.kind in ("", place.kind)
            and self.study in ("", place.study)
            and self.researcher in ("", place.researcher)
            and self.since <= place.at[:10]
            and (not self.until or place.at[:10] <= self.until)
        )


@dataclass
class LedgerIndex:
    """One ledger as far as it was mirrored; it grows only, so that what was read stays true."""

    places: list[Place] = field(default_factory=list)
    tree: Tree = field(default_factory=Tree)
    asked: dict[str, tuple[str, str, str]] = field(default_factory=dict)  # study, key, sentence
    refusals: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)  # how many entries there are of each
    studies: Counter[str] = field(default_factory=Counter)
    researchers: Counter[str] = field(default_factory=Counter)  # by key; "" for none

    @property
    def breaks(self) -> int:
        return sum(self.kinds[kind] for kind in BREAKS)

    def find(self, sought: Sought) -> list[Place]:
        """The entries that are looked for, the newest first."""
        if sought == Sought():
            return self.places[::-1]
        return [place for place in reversed(self.places) if sought.holds(place)]

    def add(self, data: bytes) -> None:
        """Take the next entry in."""
        seq, (at, body) = len(self.places), _read(data)
        plan = _text(body, "plan")
        if body.get("kind") == "reserve":
            said = (_text(body, "study"), _text(body, "researcher"), _text(body, "sentence"))
            self.asked[plan] = said
        study, researcher, _ = self.asked.get(plan, (_text(body, "study"), "", ""))
        kind = _text(body, "kind") or UNREADABLE
        self.refusals.update(_refusals(kind, body))
        for counter, what in (
            (self.kinds, kind),
            (self.studies, study),
            (self.researchers, researcher),
        ):
            counter[what] += 1
        self.places.append(Place(seq, at, kind, study, researcher, plan))
        self.tree.append(leaf_hash(data))


def _read(data: bytes) -> tuple[str, dict[str, Any]]:
    try:
        match json.loads(data):
            case {"at": str(at), "body": dict(body)}:
                return at, body
    except ValueError:
        pass
    return "", {}


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def _refusals(kind: str, body: dict[str, Any]) -> Iterator[str]:
    """What an entry refuses, in words."""
    match kind, body:
        case "approval", {"decision": "refused"}:
            yield "studies refused"
        case "approval", {"decision": "withdrawn"}:
            yield "approvals taken back"
        case "question", {"decision": "refused"}:
            yield "questions refused by a steward"
        case "aborted", {"code": str(code)}:
            yield f"runs ended: {code.replace('_', ' ')}"
        case _:
            return


@dataclass
class Reading:
    """Every ledger's index, brought up to date when it is asked for. Thread-safe."""

    ledgers: Ledgers
    _indexes: dict[str, LedgerIndex] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, node: str) -> LedgerIndex:
        """The index of one mirrored ledger; an empty one for a node without entries."""
        with self._lock:
            index = self._indexes.setdefault(node, LedgerIndex())
            for data in self.ledgers.entries(node, len(index.places)):
                index.add(data)
            return index
