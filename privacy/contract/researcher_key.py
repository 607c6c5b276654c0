"""A researcher takes a new key, which the old one signs: what names the old one goes on with it.

A study names its investigators' keys and stays as it was approved. A change says that another key
is the same person's; the person's part of a study's quota, and what was spent of it, go along.

Guarantee: whoever counts by `standing` counts a key only where the study names it, or where each
key from a named one on signed the next; a key that has a successor counts no more.
Assumes: the old key was its owner's alone. One that was lost or stolen is revoked instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

from privacy.contract.canonical import Json, b64, canonical_bytes, unb64
from privacy.contract.facts import Sorted
from privacy.contract.signing import PublicKey, SigningKey
from privacy.contract.study import KeyText
from privacy.errors import BadInput, VerificationFailed
from privacy.ledger.fields import Instant, SignatureText

CHANGE = "researcher-key"
MOST_CHANGES = 4096
MOST_OF_ONE = 64  # of one person: so nobody fills what every node is told, or its ledger
Successors = Mapping[str, str]  # the key that took each one's place


class ResearcherKey(Sorted):
    """Both keys say, for one network, that `new` takes the place of `old`."""

    network: str
    old: KeyText
    new: KeyText
    at: Instant
    by_old: SignatureText
    by_new: SignatureText

    @classmethod
    def of(cls, old: SigningKey, new: SigningKey, network: str, at: str) -> Self:
        """Sign a change with both keys."""
        said = _said(network, old.public.text, new.public.text, at)
        return cls(
            network=network,
            old=old.public.text,
            new=new.public.text,
            at=at,
            by_old=b64(old.sign(CHANGE, said)),
            by_new=b64(new.sign(CHANGE, said)),
        )

    def check(self, network: str) -> None:
        """Raises VerificationFailed unless both keys signed it for this network."""
        if self.network != network or self.old == self.new:
            raise VerificationFailed("a change of a researcher's key is of another network")
        said = _said(self.network, self.old, self.new, self.at)
        for key, signature in ((self.old, self.by_old), (self.new, self.by_new)):
            PublicKey.from_text(key).verify(CHANGE, said, unb64(signature))


def _said(network: str, old: str, new: str, at: str) -> bytes:
    said: Json = {"network": network, "old": old, "new": new, "at": at}
    return canonical_bytes(said)


def keys_from(key: str, successors: Successors) -> tuple[str, ...]:
    """A key and those that followed it, the newest last."""
    found = [key]
    while found[-1] in successors:
        found.append(successors[found[-1]])
    return tuple(found)


def standing(named: Iterable[str], successors: Successors) -> frozenset[str]:
    """The keys that count now for those that a study names."""
    return frozenset(keys_from(key, successors)[-1] for key in named)


def ever(named: Iterable[str], successors: Successors) -> frozenset[str]:
    """The keys that count or counted for those that a study names."""
    return frozenset(each for key in named for each in keys_from(key, successors))


def first_key(key: str, successors: Successors) -> str:
    """The key that `key` followed in the end: by it a researcher's part is counted."""
    before = {new: old for old, new in successors.items()}
    while key in before:
        key = before[key]
    return key


def parse_changes(value: object) -> tuple[ResearcherKey, ...]:
    """Read a list of changes; raises BadInput for anything else."""
    if not isinstance(value, list) or len(value) > MOST_CHANGES:
        raise BadInput("changes of researchers' keys are a list")
    return tuple(ResearcherKey.from_json(each) for each in value)
