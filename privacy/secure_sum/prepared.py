"""The secrets of one prepared set, and their sharing among all nodes of the group.

Guarantee: mask key, self-mask seed and both sharings are drawn afresh for every set, so what
one opening reveals is independent of every other set.
Assumes: `entropy` returns independent uniform bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from privacy.secure_sum import shamir
from privacy.secure_sum.commitments import SALT_BYTES, Dealer, Pair, Share, path, tree
from privacy.secure_sum.masks import new_private_key, private_key
from privacy.secure_sum.messages import SetAdvert
from privacy.secure_sum.shamir import Entropy


@dataclass(frozen=True, repr=False)
class PreparedSet:
    """One set: the private mask key, the seed, and each holder's pair of shares. Never prints."""

    mask_key: X25519PrivateKey
    seed: bytes
    pairs: tuple[Pair, ...]  # by holder, in the order of the group
    advert: SetAdvert

    @classmethod
    def deal(cls, dealer: Dealer, threshold: int, holders: int, entropy: Entropy) -> Self:
        """Draw a fresh set and share it among `holders` nodes, `threshold` of whom open it."""
        raw, seed = new_private_key(entropy(32)), entropy(shamir.SECRET_BYTES)
        shares = _salted(
            shamir.split(seed, threshold, holders, entropy),
            shamir.split(raw, threshold, holders, entropy),
            entropy,
        )
        levels = tree(dealer.leaves(shares))
        pairs = tuple(
            dealer.pair(pair, path(levels, 2 * holder)[1:], holder)
            for holder, pair in enumerate(shares)
        )
        key = private_key(raw)
        advert = SetAdvert(
            mask_key=key.public_key().public_bytes_raw(),
            seed=dealer.seed_commitment(seed),
            shares=levels[-1][0],
        )
        return cls(key, seed, pairs, advert)

    def __repr__(self) -> str:
        return "PreparedSet(…)"


def _salted(seeds: list[int], keys: list[int], entropy: Entropy) -> list[tuple[Share, Share]]:
    salts = entropy(2 * SALT_BYTES * len(seeds))
    pieces = [salts[i : i + SALT_BYTES] for i in range(0, len(salts), SALT_BYTES)]
    return [
        (Share(seed, pieces[2 * i]), Share(key, pieces[2 * i + 1]))
        for i, (seed, key) in enumerate(zip(seeds, keys, strict=True))
    ]
