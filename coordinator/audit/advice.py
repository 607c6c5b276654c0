"""What to do about what a verification found: where it is, and the next steps in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from privacy.errors import VerificationFailed

_NODE = re.compile(r"nodes/([^/:]+)/")
_ENTRY = re.compile(r"\bentry ([0-9]+)\b")


@dataclass(frozen=True)
class Found:
    """The first thing that does not hold: its file, and the entry of whose ledger, if it is one."""

    where: str
    what: str
    node: str = ""
    entry: int | None = None

    @classmethod
    def of(cls, failed: VerificationFailed) -> Found:
        """What a verification raised."""
        where = failed.where or ""
        node, entry = _NODE.search(where), _ENTRY.search(where)
        name = node[1] if node else ""
        return cls(where, failed.what, name, int(entry[1]) if name and entry else None)

    @property
    def sentence(self) -> str:
        """The finding with its place."""
        if self.entry is not None:
            return f"Entry {self.entry} of the ledger of {self.node} does not hold: {self.what}."
        return f"{self.where or 'The bundle'} does not hold: {self.what}."

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do, in this order."""
        if not self.node:
            return (_ALONE, _OPERATOR, _NO_RELIANCE)
        of = f"entry {self.entry}" if self.entry is not None else "the end of their ledger"
        return (
            _ALONE,
            f"Ask a steward of {self.node} by telephone what their own ledger says at {of}:"
            " cairn-node ledger --verify. If it is another, the coordinator's copy was changed;"
            " if it is the same, the organisation's own ledger was.",
            "Compare with what others hold: their checkpoints stand in the bundle, in"
            f" nodes/{self.node}/witnesses.jsonl.",
            _OPERATOR,
            _NO_RELIANCE,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "where": self.where,
            "what": self.what,
            "node": self.node,
            "entry": self.entry,
            "sentence": self.sentence,
            "advice": list(self.advice),
        }


_ALONE = (
    "Keep the evidence: pull a bundle and verify it on your own machine,"
    " cairn audit pull --out DIR && cairn audit verify DIR."
)
_OPERATOR = "Tell the network's administrator and the other organisations, with this sentence."
_NO_RELIANCE = "Until it is cleared up, do not rely on what was released after it."
