"""The coordinator's side: from masked vectors and revealed shares to the one total.

Guarantee: what the coordinator holds before the shares are revealed is independent of the
vectors; afterwards it holds the total over the signed survivor list. A part that does not hold
ends the attempt with an error that names its sender.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from privacy.contract.signing import Envelope, PublicKey
from privacy.errors import BadInput
from privacy.secure_sum import shamir
from privacy.secure_sum.attempt import Attempt
from privacy.secure_sum.checks import (
    by_signer,
    check_adverts,
    check_identities,
    check_lists,
    check_reveal,
    check_share,
)
from privacy.secure_sum.commitments import Dealer, ShareOf
from privacy.secure_sum.messages import KeyAdvert, Reveal, Step, SurvivorList, broken
from privacy.secure_sum.transcript import Transcript, check_vectors, remove_masks


def open_total(
    attempt: Attempt,
    masked: Mapping[str, NDArray[np.uint64]],
    *,
    adverts: Mapping[str, Envelope],
    claims: Mapping[str, Envelope],
    lists: Sequence[Envelope],
    reveals: Mapping[str, Envelope],
    keys: Mapping[str, PublicKey],
) -> tuple[NDArray[np.int64], Transcript]:
    """The exact total of the survivors' vectors modulo 2^64, and the transcript of the opening.

    `masked` and `claims` may hold more than the survivors' (late ones are left out); `reveals`
    holds at least a threshold of the survivors'. Raises ProtocolError naming the step and the
    sender of whatever does not hold, BadInput for an attempt that is not valid.
    """
    attempt.validate()
    identities = check_identities(attempt.participants, keys)
    cards = check_adverts(attempt, adverts, identities)
    signed = by_signer(lists, identities)
    agreed = check_lists(attempt, claims, signed, identities)
    vectors = {node: masked[node] for node in agreed.names if node in masked}
    check_vectors(attempt, agreed, vectors)
    opened = _check_reveals(attempt, agreed, reveals, identities)
    lost = [node for node in attempt.participants if node not in agreed.names]
    transcript = Transcript(
        attempt=attempt,
        adverts=dict(adverts),
        claims={node: claims[node] for node in agreed.names},
        lists=signed,
        masked=vectors,
        seeds={node: _secret(attempt, cards[node], opened, ShareOf.SEED) for node in agreed.names},
        keys={node: _secret(attempt, cards[node], opened, ShareOf.KEY) for node in lost},
    )
    return remove_masks(transcript, cards), transcript


def _check_reveals(
    attempt: Attempt,
    agreed: SurvivorList,
    reveals: Mapping[str, Envelope],
    keys: Mapping[str, PublicKey],
) -> dict[str, Reveal]:
    for node in sorted(set(reveals) - set(agreed.names)):
        raise broken(Step.REVEAL, "not by a survivor", node)
    if len(reveals) < attempt.threshold:
        raise broken(Step.REVEAL, f"fewer than {attempt.threshold} holders revealed")
    return {
        node: check_reveal(attempt, agreed, reveals[node], keys[node], node)
        for node in sorted(reveals)
    }


def _secret(
    attempt: Attempt, card: KeyAdvert, reveals: Mapping[str, Reveal], kind: ShareOf
) -> bytes:
    """One secret of `card`'s node from all revealed shares of it.

    Every share is held against the dealer's commitment first: a share that fails is its
    holder's fault, shares that hold and disagree are the dealer's.
    """
    dealer = Dealer(card.node, card.session, attempt.set_index)
    root = card.public_sets[attempt.set_index].shares
    shares = {}
    for holder, reveal in reveals.items():
        text = (reveal.seeds if kind is ShareOf.SEED else reveal.keys)[card.node]
        position = attempt.participants.index(holder)
        shares[position + 1] = check_share(attempt, dealer, root, text, holder=holder, kind=kind)
    try:
        return shamir.combine(shares, attempt.threshold)
    except BadInput as error:
        raise broken(Step.OPENED, f"dealt wrongly: {error.what}", card.node) from None
