"""Who an organisation's stewards are, told apart by their keys, and what each of them signs.

Bodies of ledger entries, like those in `privacy.ledger.entry`. A steward signs a *word*: what is
decided, at which organisation and when. The entry carries the signature; `privacy.ledger.stewards`
holds it to the keys in force.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from privacy.contract.canonical import Json, b64, canonical_bytes, unb64
from privacy.contract.facts import Sorted
from privacy.contract.signing import PublicKey, SigningKey
from privacy.contract.study import KeyText
from privacy.ledger.fields import Instant, Name, RhoText, SignatureText, Words

WORD, JOINING, ROTATION = "steward-word", "steward-joins", "steward-key"


class Signed(Sorted):
    """A steward's signature on a word that was said at instant `at`."""

    key: KeyText
    at: Instant
    signature: SignatureText

    @classmethod
    def of(cls, key: SigningKey, node: str, network: str, at: str, word: Json) -> Self:
        """Sign a word at one organisation."""
        signature = key.sign(WORD, _said(node, network, at, word))
        return cls(key=key.public.text, at=at, signature=b64(signature))

    def check(self, node: str, network: str, word: Json) -> None:
        """Raises VerificationFailed unless this very word was signed."""
        data = _said(node, network, self.at, word)
        PublicKey.from_text(self.key).verify(WORD, data, unb64(self.signature))


def _said(node: str, network: str, at: str, word: Json) -> bytes:
    return canonical_bytes({"node": node, "network": network, "at": at, "word": word})


class StewardInvited(Sorted):
    """Whoever holds the secret of `invitation` may join as the steward `name`, once.

    The first steward of all is invited by whoever holds the node's folder; every other by a
    steward's signature, or, where every key is lost, as a `recovery`.
    """

    kind: Literal["steward-invited"] = "steward-invited"
    name: Name
    invitation: KeyText
    expires: Instant
    recovery: bool = False
    by: Name
    reason: Words
    signed: Signed | None = None

    @property
    def word(self) -> dict[str, Any]:
        return {
            "do": "invite",
            "name": self.name,
            "invitation": self.invitation,
            "expires": self.expires,
        }


class StewardJoined(Sorted):
    """An invitation was redeemed: `key` is the steward's from now on.

    `proof` is the invitation's signature on the new key, `own` the new key's on the invitation.
    """

    kind: Literal["steward-joined"] = "steward-joined"
    invitation: KeyText
    key: KeyText
    proof: SignatureText
    own: SignatureText

    @classmethod
    def of(cls, invitation: SigningKey, key: SigningKey) -> Self:
        said = _joining(invitation.public.text, key.public.text)
        return cls(
            invitation=invitation.public.text,
            key=key.public.text,
            proof=b64(invitation.sign(JOINING, said)),
            own=b64(key.sign(JOINING, said)),
        )

    def check(self) -> None:
        """Raises VerificationFailed unless both keys signed it."""
        said = _joining(self.invitation, self.key)
        PublicKey.from_text(self.invitation).verify(JOINING, said, unb64(self.proof))
        PublicKey.from_text(self.key).verify(JOINING, said, unb64(self.own))


def _joining(invitation: str, key: str) -> bytes:
    return canonical_bytes({"invitation": invitation, "key": key})


class StewardKeyChanged(Sorted):
    """A steward takes a new key; the old one signs it, and the new one that it is held."""

    kind: Literal["steward-key"] = "steward-key"
    old: KeyText
    new: KeyText
    by_old: SignatureText
    by_new: SignatureText

    @classmethod
    def of(cls, old: SigningKey, new: SigningKey, node: str, network: str) -> Self:
        said = _rotation(old.public.text, new.public.text, node, network)
        return cls(
            old=old.public.text,
            new=new.public.text,
            by_old=b64(old.sign(ROTATION, said)),
            by_new=b64(new.sign(ROTATION, said)),
        )

    def check(self, node: str, network: str) -> None:
        """Raises VerificationFailed unless both keys signed it."""
        said = _rotation(self.old, self.new, node, network)
        PublicKey.from_text(self.old).verify(ROTATION, said, unb64(self.by_old))
        PublicKey.from_text(self.new).verify(ROTATION, said, unb64(self.by_new))


def _rotation(old: str, new: str, node: str, network: str) -> bytes:
    return canonical_bytes({"node": node, "network": network, "old": old, "new": new})


class StewardEnded(Sorted):
    """A steward's key counts no more: they left, or lost it."""

    kind: Literal["steward-ended"] = "steward-ended"
    key: KeyText
    by: Name
    reason: Words
    signed: Signed

    @property
    def word(self) -> dict[str, Any]:
        return end_word(self.key, self.reason)


class PeriodOpened(Sorted):
    """A new period [starts, ends) with its budget. The only way a budget is ever renewed.

    Taken with a steward's signature alone.
    """

    kind: Literal["period"] = "period"
    starts: Instant
    ends: Instant
    budget_rho: RhoText
    by: Name
    signed: Signed | None = None

    @property
    def word(self) -> dict[str, Any]:
        return {
            "do": "open-period",
            "starts": self.starts,
            "ends": self.ends,
            "rho": self.budget_rho,
        }


def end_word(key: str, reason: str) -> dict[str, Any]:
    """What is signed to end a steward's key."""
    return {"do": "end", "key": key, "reason": reason}


def decision_word(study_digest: str, decision: str, reason: str) -> dict[str, Any]:
    """What is signed to decide on one version of a study."""
    return {"do": decision, "study": study_digest, "reason": reason}


def policy_word(digest: str, reason: str) -> dict[str, Any]:
    """What is signed to put a policy in force; `digest` is of its figures and rules."""
    return {"do": "policy", "policy": digest, "reason": reason}


StewardBody = StewardInvited | StewardJoined | StewardKeyChanged | StewardEnded
