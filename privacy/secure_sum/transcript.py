"""The record of one opening, from which anybody recomputes the total bit for bit.

It holds what was signed (adverts, claims, survivor lists), the survivors' masked vectors, and
what a threshold opened: the survivors' self-mask seeds and the lost nodes' mask keys. Every bit
of it is covered by a signature, a hash or a commitment of the node it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from privacy.contract.canonical import b64, unb64
from privacy.contract.signing import Envelope, PublicKey
from privacy.errors import BadInput, ProtocolError, VerificationFailed
from privacy.secure_sum import masks
from privacy.secure_sum.attempt import Attempt
from privacy.secure_sum.checks import (
    check_adverts,
    check_identities,
    check_lists,
    check_names,
)
from privacy.secure_sum.commitments import Dealer
from privacy.secure_sum.messages import KeyAdvert, Step, SurvivorList, broken

T = TypeVar("T")
_FIELDS = {"attempt", "adverts", "claims", "lists", "masked", "seeds", "keys"}


@dataclass(frozen=True, eq=False)
class Transcript:
    """One opening. All mappings are by node; `lists` by signer.

    `masked`, `claims` and `seeds` (32 bytes each) are the survivors', `keys` (X25519 private
    keys, 32 bytes) the lost nodes'. Opened secrets are public: they belong to one attempt.
    """

    attempt: Attempt
    adverts: Mapping[str, Envelope]
    claims: Mapping[str, Envelope]
    lists: Mapping[str, Envelope]
    masked: Mapping[str, NDArray[np.uint64]]
    seeds: Mapping[str, bytes]
    keys: Mapping[str, bytes]

    @property
    def survivors(self) -> tuple[str, ...]:
        """The nodes whose vectors are in the total."""
        return tuple(sorted(self.masked))

    def to_json(self) -> dict[str, Any]:
        return {
            "attempt": self.attempt.to_json(),
            "adverts": _each(self.adverts, Envelope.to_json),
            "claims": _each(self.claims, Envelope.to_json),
            "lists": _each(self.lists, Envelope.to_json),
            "masked": _each(self.masked, lambda vector: b64(masks.vector_bytes(vector))),
            "seeds": _each(self.seeds, b64),
            "keys": _each(self.keys, b64),
        }

    @classmethod
    def from_json(cls, value: Any) -> Transcript:
        """Read `to_json`'s form; raises BadInput for anything else. Does not verify."""
        if not isinstance(value, Mapping) or set(value) != _FIELDS:
            raise BadInput("not a transcript")
        attempt = Attempt.from_json(value["attempt"])
        return cls(
            attempt,
            _read(value["adverts"], Envelope.from_json),
            _read(value["claims"], Envelope.from_json),
            _read(value["lists"], Envelope.from_json),
            _read(value["masked"], lambda text: _vector(text, attempt.length)),
            _read(value["seeds"], _bytes),
            _read(value["keys"], _bytes),
        )


def _each(items: Mapping[str, T], form: Callable[[T], Any]) -> dict[str, Any]:
    return {name: form(items[name]) for name in sorted(items)}


def _read(value: Any, form: Callable[[Any], T]) -> dict[str, T]:
    if not isinstance(value, Mapping):
        raise BadInput("not a transcript")
    return {name: form(value[name]) for name in sorted(value)}


def _bytes(text: Any) -> bytes:
    if not isinstance(text, str):
        raise BadInput("not base64")
    return unb64(text)


def _vector(text: Any, length: int) -> NDArray[np.uint64]:
    return masks.vector_from_bytes(_bytes(text), length)


def verify_transcript(transcript: Transcript, keys: Mapping[str, PublicKey]) -> NDArray[np.int64]:
    """Recompute the total from the transcript, given every participant's identity key.

    Returns `attempt.length` signed numbers. Raises VerificationFailed naming the step and the
    node whose part does not hold.
    """
    try:
        return recompute(transcript, keys)
    except ProtocolError as error:
        raise VerificationFailed(error.what, where=error.sender) from None
    except BadInput as error:
        raise VerificationFailed(f"{Step.ATTEMPT.value}: {error}") from None


def recompute(transcript: Transcript, keys: Mapping[str, PublicKey]) -> NDArray[np.int64]:
    """Check everything and compute the total; raises ProtocolError naming the sender."""
    attempt = transcript.attempt
    attempt.validate()
    identities = check_identities(attempt.participants, keys)
    cards = check_adverts(attempt, transcript.adverts, identities)
    check_names(Step.CLAIM, transcript.claims, transcript.masked)
    for node in sorted(set(transcript.lists) - set(attempt.participants)):
        raise broken(Step.LIST, "signed by a stranger", node)
    agreed = check_lists(attempt, transcript.claims, transcript.lists, identities)
    check_vectors(attempt, agreed, transcript.masked)
    return remove_masks(transcript, cards)


def check_vectors(
    attempt: Attempt, agreed: SurvivorList, masked: Mapping[str, NDArray[np.uint64]]
) -> None:
    """Every survivor's vector, and nobody else's, is the one that it signed."""
    check_names(Step.VECTOR, masked, agreed.names)
    for node in agreed.names:
        try:
            masks.check_vector(masked[node], attempt.length)
        except BadInput as error:
            raise broken(Step.VECTOR, error.what, node) from None
    digests = masks.vector_digests([masked[node] for node in agreed.names])
    for survivor, found in zip(agreed.survivors, digests, strict=True):
        if found != survivor.sha256:
            raise broken(Step.VECTOR, "not the one that was signed", survivor.node)


def remove_masks(transcript: Transcript, cards: Mapping[str, KeyAdvert]) -> NDArray[np.int64]:
    """The sum of the masked vectors less the masks that the opened secrets give.

    Checks each opened secret against its owner's advert (of `cards`).
    """
    streams = _self_masks(transcript, cards) + _lost_masks(transcript, cards)
    vectors = [transcript.masked[node] for node in transcript.survivors]
    return masks.total(vectors, [mask.negated() for mask in streams]).view(np.int64)


def _self_masks(transcript: Transcript, cards: Mapping[str, KeyAdvert]) -> list[masks.Mask]:
    attempt = transcript.attempt
    check_names(Step.OPENED, transcript.seeds, transcript.survivors)
    found = []
    for node in transcript.survivors:
        card, seed = cards[node], transcript.seeds[node]
        dealer = Dealer(node, card.session, attempt.set_index)
        if dealer.seed_commitment(seed) != card.public_sets[attempt.set_index].seed:
            raise broken(Step.OPENED, "the seed does not match its commitment", node)
        found.append(masks.self_mask(seed, attempt.digest, node))
    return found


def _lost_masks(transcript: Transcript, cards: Mapping[str, KeyAdvert]) -> list[masks.Mask]:
    """The masks that survivors have in common with lost nodes, as the survivors applied them."""
    attempt = transcript.attempt
    lost = set(attempt.participants) - set(transcript.survivors)
    check_names(Step.OPENED, transcript.keys, lost)
    return [
        masks.pair_mask(_shared(key, cards[survivor], attempt), attempt.digest, survivor, node)
        for node in sorted(lost)
        for key in [_opened_key(transcript.keys[node], cards[node], attempt)]
        for survivor in transcript.survivors
    ]


def _opened_key(raw: bytes, card: KeyAdvert, attempt: Attempt) -> X25519PrivateKey:
    """A lost node's mask key, if it belongs to the public key in its advert."""
    try:
        key = masks.private_key(raw)
    except BadInput as error:
        raise broken(Step.OPENED, error.what, card.node) from None
    if key.public_key().public_bytes_raw() != _mask_key(card, attempt):
        raise broken(Step.OPENED, "the mask key does not match its public key", card.node)
    return key


def _shared(key: X25519PrivateKey, card: KeyAdvert, attempt: Attempt) -> bytes:
    try:
        return masks.shared_secret(key, _mask_key(card, attempt))
    except BadInput as error:
        raise broken(Step.ADVERT, error.what, card.node) from None


def _mask_key(card: KeyAdvert, attempt: Attempt) -> bytes:
    return card.public_sets[attempt.set_index].mask_key
