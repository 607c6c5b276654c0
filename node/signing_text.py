"""A steward's word as text, to be signed where the steward's key is and to be pasted back.

The key never comes near the node: the node writes what is to be signed, `cairn-node sign` signs
it on any machine, and its one line of output goes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from privacy.contract.canonical import b64, canonical_bytes, parse_canonical, unb64
from privacy.contract.shown import printable
from privacy.contract.signing import SigningKey
from privacy.contract.time import instant_text
from privacy.errors import BadInput
from privacy.ledger.steward_entry import Signed, StewardJoined

_WORD, _SIGNED, _JOINED = "cairn-word:", "cairn-signed:", "cairn-joined:"
_INSTEAD = "copy the whole line"


@dataclass(frozen=True)
class ToSign:
    """A word that is said at one organisation of one network."""

    node: str
    network: str
    word: dict[str, Any]

    @property
    def text(self) -> str:
        """One line without spaces."""
        said: dict[str, Any] = {"node": self.node, "network": self.network, "word": self.word}
        return _WORD + b64(canonical_bytes(said))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `text`; raises BadInput."""
        said = _open(text, _WORD, "word")
        word, node, network = (said.get(name) for name in ("word", "node", "network"))
        if len(said) != 3 or not isinstance(word, dict):
            raise BadInput("is no word to sign", where="word", instead=_INSTEAD)
        return cls(str(node), str(network), word)

    @property
    def lines(self) -> list[str]:
        """What is signed, for the steward to read before it is.

        Guarantee: every line is one line, and nothing in it moves the cursor or turns the text;
        what is done, and where, stands last, next to the question, however long the rest is.
        """
        said = [*self.word.items(), ("network", self.network), ("organisation", self.node)]
        said.sort(key=lambda each: each[0] in ("do", "network", "organisation"))
        return [printable(f"{name}: {value}") for name, value in said if value != ""]

    def signed(self, key: SigningKey, now: datetime) -> str:
        """The line that goes back to the node."""
        made = Signed.of(key, self.node, self.network, instant_text(now), self.word)
        return _SIGNED + b64(canonical_bytes(made.to_json()))


def parse_signed(text: str) -> Signed:
    """Read what `cairn-node sign` printed; raises BadInput, which never quotes it."""
    return Signed.from_json(_open(text, _SIGNED, "signature"))


def joined_text(body: StewardJoined) -> str:
    """What `cairn-node steward join --away` prints."""
    return _JOINED + b64(canonical_bytes(body.to_json()))


def parse_joined(text: str) -> StewardJoined:
    """Read what `cairn-node steward join --away` printed; raises BadInput."""
    return StewardJoined.from_json(_open(text, _JOINED, "joined"))


def _open(text: str, mark: str, where: str) -> dict[str, Any]:
    line = "".join(text.split())
    if not line.startswith(mark):
        raise BadInput(f"does not begin with {mark}", where=where, instead=_INSTEAD)
    try:
        said = parse_canonical(unb64(line.removeprefix(mark)))
    except BadInput:
        raise BadInput("is cut off or changed", where=where, instead=_INSTEAD) from None
    if not isinstance(said, dict):
        raise BadInput("is cut off or changed", where=where, instead=_INSTEAD)
    return said
