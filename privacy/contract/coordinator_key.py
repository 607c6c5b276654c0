"""The coordinator's key and those before it: a chain in which each key signs the next.

A change says up to which line of the coordinator's log the old key signed. It stands in that log
as the next line, and in the ledger of every node that followed it.

Guarantee: `followed` goes from a key that somebody knows to another only along changes that both
keys signed, in one order, without a gap. A key that is lost or stolen signs no such change: then
people decide, each organisation for itself, and an auditor by the new key's fingerprint.
Assumes: the old key was its owner's alone until the change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from privacy.contract.canonical import Json, b64, canonical_bytes, unb64
from privacy.contract.facts import Sorted
from privacy.contract.signing import FormerKey, PublicKey, SigningKey
from privacy.contract.study import KeyText
from privacy.errors import BadInput, VerificationFailed
from privacy.ledger.fields import Instant, Positive, SignatureText, Words

CHANGE = "coordinator-key"
MOST_CHANGES = 256


class CoordinatorKey(Sorted):
    """The coordinator of `network` takes the key `new`; `number` counts its changes from 1.

    The old key signed heads of the first `until` lines of the log. `by_old` is None where the
    old key was lost or stolen: such a change binds nobody, and tells which key is meant.
    """

    network: str
    number: Positive
    old: KeyText
    new: KeyText
    until: Positive
    at: Instant
    reason: Words
    by_old: SignatureText | None
    by_new: SignatureText

    @classmethod
    def of(
        cls,
        old: SigningKey | PublicKey,
        new: SigningKey,
        place: tuple[str, int, int],
        *,
        at: str,
        reason: str,
    ) -> Self:
        """Change to `new` at a `place`: network, number, and lines of the log.

        Signed by the old key too, where its secret is at hand.
        """
        network, number, until = place
        known = old if isinstance(old, PublicKey) else old.public
        said = _said(network, number, known.text, new.public.text, until, at, reason)
        return cls(
            network=network,
            number=number,
            old=known.text,
            new=new.public.text,
            until=until,
            at=at,
            reason=reason,
            by_old=None if isinstance(old, PublicKey) else b64(old.sign(CHANGE, said)),
            by_new=b64(new.sign(CHANGE, said)),
        )

    @property
    def signed(self) -> bool:
        """Whether the old key says so too."""
        return self.by_old is not None

    @property
    def old_key(self) -> PublicKey:
        return PublicKey.from_text(self.old)

    @property
    def new_key(self) -> PublicKey:
        return PublicKey.from_text(self.new)

    def check(self, network: str) -> None:
        """Raises VerificationFailed unless it is this network's and every signature holds."""
        if self.network != network:
            raise VerificationFailed("a change of the coordinator's key of another network")
        said = _said(
            self.network, self.number, self.old, self.new, self.until, self.at, self.reason
        )
        self.new_key.verify(CHANGE, said, unb64(self.by_new))
        if self.by_old is not None:
            self.old_key.verify(CHANGE, said, unb64(self.by_old))


def _said(network: str, number: int, old: str, new: str, until: int, at: str, reason: str) -> bytes:
    said: Json = {
        "network": network,
        "number": number,
        "old": old,
        "new": new,
        "until": until,
        "at": at,
        "reason": reason,
    }
    return canonical_bytes(said)


def check_chain(changes: Sequence[CoordinatorKey], network: str) -> None:
    """Raises VerificationFailed unless these are all changes, in order, each from the key before.

    Whether a change is signed by the old key is another question: see `followed`.
    """
    used: set[str] = set()
    for number, change in enumerate(changes, 1):
        change.check(network)
        before = changes[number - 2] if number > 1 else None
        if change.number != number or number > MOST_CHANGES:
            raise VerificationFailed("a change of the coordinator's key is missing")
        if before is not None and (change.old != before.new or change.until <= before.until):
            raise VerificationFailed("a change of the coordinator's key does not follow the last")
        used.add(change.old)
        if change.new in used:
            raise VerificationFailed("the coordinator's key was used before")


def key_after(changes: Sequence[CoordinatorKey], first: PublicKey) -> PublicKey:
    """The key after a chain of changes, with those before it; `first` where there is none."""
    if not changes:
        return PublicKey(first.raw)
    former = tuple(FormerKey(each.old_key, each.until) for each in changes)
    return PublicKey(changes[-1].new_key.raw, former)


def followed(changes: Sequence[CoordinatorKey], known: str) -> tuple[CoordinatorKey, ...]:
    """The changes after the key `known`, as far as each was signed by the key before.

    The chain was checked. Raises VerificationFailed for a key that is none of it.
    """
    if changes and known == changes[-1].new:
        return ()
    places = [place for place, each in enumerate(changes) if each.old == known]
    if not places:
        raise VerificationFailed("the coordinator's key does not follow from the one known here")
    found: list[CoordinatorKey] = []
    for change in changes[places[0] :]:
        if not change.signed:
            break
        found.append(change)
    return tuple(found)


def parse_changes(value: object) -> tuple[CoordinatorKey, ...]:
    """Read a list of changes; raises BadInput for anything else."""
    if not isinstance(value, list) or len(value) > MOST_CHANGES:
        raise BadInput("changes of the coordinator's key are a list")
    return tuple(CoordinatorKey.from_json(each) for each in value)
