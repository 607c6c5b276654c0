"""The last state of a node in a secure sum: one claim, one survivor list, one kind of share.

Guarantee: shares leave only under a list that this node and a threshold of the survivors signed
over the same bytes; for each peer either the share of its seed (it survived) or of its mask key
(it was lost) leaves, never both; a second list is never signed.
Source: Bonawitz et al., CCS 2017, section 6.2 (the consistency check against an active server).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from privacy.contract.canonical import Json, b64
from privacy.contract.signing import Envelope, PublicKey
from privacy.errors import BadInput, ProtocolError
from privacy.secure_sum.attempt import Attempt
from privacy.secure_sum.checks import by_signer, check_claims, check_signatures
from privacy.secure_sum.commitments import Pair, ShareOf
from privacy.secure_sum.messages import (
    CLAIM_KIND,
    LIST_KIND,
    MAX_BODY_BYTES,
    PROTOCOL,
    REVEAL_KIND,
    Claim,
    Reveal,
    Step,
    SurvivorList,
    broken,
)
from privacy.secure_sum.party import Member


class SecondList(ProtocolError):
    """Whoever answered one list of survivors is called lost, or found, by another."""


class Opening:
    """What a node needs to open one attempt honestly. Never prints the shares it holds.

    It signs at most one survivor list and reveals at most one kind of share for each peer.
    """

    def __init__(
        self,
        me: Member,
        attempt: Attempt,
        keys: Mapping[str, PublicKey],
        held: Mapping[str, Pair],
        masked_sha256: str,
    ) -> None:
        self._me = me
        self._keys = keys
        self._held: Mapping[str, Pair] = held
        self._claim: Envelope | None = None
        self._list: tuple[SurvivorList, Envelope] | None = None
        self._revealed: Envelope | None = None
        self.attempt = attempt
        self.masked_sha256 = masked_sha256

    def claim(self, masked_sha256: str, checkpoint: str, receipt: Json) -> Envelope:
        """Sign what was masked, with the ledger checkpoint and receipt that cover it.

        Raises ProtocolError for another vector than the one masked, or a second, different
        claim; BadInput for a checkpoint or receipt that is too long.
        """
        if masked_sha256 != self.masked_sha256:
            raise broken(Step.CLAIM, "not the vector that was masked", self._me.node)
        body = Claim.from_json(
            {
                "protocol": PROTOCOL,
                "attempt": self.attempt.digest,
                "node": self._me.node,
                "sha256": masked_sha256,
                "checkpoint": checkpoint,
                "receipt": receipt,
            }
        )
        envelope = Envelope.seal(CLAIM_KIND, body.to_json(), self._me.key)
        if len(envelope.body) > MAX_BODY_BYTES[CLAIM_KIND]:
            raise BadInput("the receipt is too long")
        if self._claim not in (None, envelope):
            raise broken(Step.CLAIM, "a second, different claim", self._me.node)
        self._claim = envelope
        return envelope

    def sign_list(self, claims: Mapping[str, Envelope]) -> Envelope:
        """Sign the list of survivors that `claims` make, this node among them.

        Raises ProtocolError for a claim that does not hold, fewer survivors than the plan
        allows, an own claim that is missing or changed, and a second, different list. The
        same claims give the same bytes again.
        """
        if self._claim is None or claims.get(self._me.node) != self._claim:
            raise broken(Step.LIST, "this node's own claim is missing or changed", self._me.node)
        survivors = check_claims(self.attempt, claims, self._keys)
        if self._list is None:
            envelope = Envelope.seal(LIST_KIND, survivors.to_json(), self._me.key)
            self._list = survivors, envelope
        elif self._list[0] != survivors:
            raise SecondList(f"{Step.LIST.value}: a second, different list for one attempt")
        return self._list[1]

    def reveal(self, lists: Sequence[Envelope]) -> Envelope:
        """Reveal one kind of share for each peer, under the list that this node signed.

        Needs valid signatures of `attempt.threshold` survivors over the same bytes. The
        shares are forgotten afterwards; a repeated call gives the same bytes. Raises
        ProtocolError naming the signer who is at fault.
        """
        if self._list is None:
            raise broken(Step.LIST, "this node has signed no list", self._me.node)
        survivors, own = self._list
        signed = by_signer(lists, self._keys)
        check_signatures(self.attempt, own.body, survivors, signed, self._keys)
        if self._revealed is None:
            reveal = self._open(survivors)
            self._revealed = Envelope.seal(REVEAL_KIND, reveal.to_json(), self._me.key)
            self.erase()
        return self._revealed

    def erase(self) -> None:
        """Forget every share: nothing more can be revealed."""
        self._held = {}

    def _open(self, survivors: SurvivorList) -> Reveal:
        if not self._held:
            raise broken(Step.REVEAL, "the shares were erased", self._me.node)
        alive = set(survivors.names)
        opened = {
            name: pair[ShareOf.SEED if name in alive else ShareOf.KEY]
            for name, pair in self._held.items()
        }
        texts = {name: b64(share.to_bytes()) for name, share in opened.items()}
        return Reveal(
            protocol=PROTOCOL,
            attempt=self.attempt.digest,
            survivor_list=survivors.digest,
            node=self._me.node,
            seeds={name: text for name, text in texts.items() if name in alive},
            keys={name: text for name, text in texts.items() if name not in alive},
        )

    def __repr__(self) -> str:
        return f"Opening({self._me.node}, {self.attempt.digest[:12]}…)"
