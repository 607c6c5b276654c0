"""What a ledger says of its own upkeep: backups, restores, keys, and that its organisation leaves.

Bodies of ledger entries, like those in `privacy.ledger.entry`.
"""

from __future__ import annotations

from typing import Literal, Self

from privacy.contract.canonical import Json, b64, canonical_bytes, unb64
from privacy.contract.facts import Sorted
from privacy.contract.signing import PublicKey, SigningKey
from privacy.contract.study import KeyText
from privacy.ledger.fields import Count, Digest, Instant, Name, SignatureText, Words

KEY_CHANGE = "node-key-change"


class BackedUp(Sorted):
    """A backup of the node's folder was begun. `backup` is random and names it."""

    kind: Literal["backup"] = "backup"
    backup: Digest
    by: Name


class Restored(Sorted):
    """The folder was restored from a backup that held `size` entries of this ledger.

    What the ledger had said since was given back by those who kept it, before this entry; peers
    confirm after it that nothing is missing. `backup` is "" for a copy that was no backup.
    """

    kind: Literal["restored"] = "restored"
    backup: Literal[""] | Digest
    made_at: Literal[""] | Instant
    size: Count
    by: Name


class Leaving(Sorted):
    """The organisation leaves the network: nothing new is reserved, and no period begins.

    What runs goes on to its end. Promises to members stay: what was charged stays charged.
    """

    kind: Literal["leaving"] = "leaving"
    by: Name
    reason: Words


class Left(Sorted):
    """The last entry of a ledger: nothing runs any more, and nothing follows."""

    kind: Literal["left"] = "left"


class NodeKeyChanged(Sorted):
    """The node takes a new key; it signs the checkpoint over this entry and all that follow.

    `until` is how many entries the old key signed. Both keys sign the change.
    """

    kind: Literal["node-key"] = "node-key"
    old: KeyText
    new: KeyText
    until: Count
    by_old: SignatureText
    by_new: SignatureText
    by: Name
    reason: Words

    @classmethod
    def of(
        cls,
        old: SigningKey,
        new: SigningKey,
        ledger: tuple[str, str, int],
        *,
        by: str,
        reason: str,
    ) -> Self:
        """Sign a change in the `ledger` of a network's node that has so many entries."""
        network, node, until = ledger
        said = _change(network, node, until, old.public.text, new.public.text)
        return cls(
            old=old.public.text,
            new=new.public.text,
            until=until,
            by_old=b64(old.sign(KEY_CHANGE, said)),
            by_new=b64(new.sign(KEY_CHANGE, said)),
            by=by,
            reason=reason,
        )

    def check(self, network: str, node: str) -> None:
        """Raises VerificationFailed unless both keys signed it for this ledger."""
        said = _change(network, node, self.until, self.old, self.new)
        for key, signature in ((self.old, self.by_old), (self.new, self.by_new)):
            PublicKey.from_text(key).verify(KEY_CHANGE, said, unb64(signature))


def _change(network: str, node: str, until: int, old: str, new: str) -> bytes:
    said: Json = {"network": network, "node": node, "until": until, "old": old, "new": new}
    return canonical_bytes(said)


UpkeepBody = BackedUp | Restored | Leaving | Left | NodeKeyChanged
