"""Commitments to shares: each holder's share is bound to its dealer, set, holder and kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from privacy.errors import BadInput
from privacy.secure_sum.commitments import (
    Dealer,
    OpenedShare,
    Share,
    ShareOf,
    depth,
    pair_bytes,
    read_pair,
    write_pair,
)
from privacy.secure_sum.prepared import PreparedSet
from tests.support.secure_sum_network import seeded_entropy

DEALER = Dealer("a", "0" * 32, 3)


def deal(holders: int = 5) -> PreparedSet:
    return PreparedSet.deal(DEALER, 3, holders, seeded_entropy("deal"))


@pytest.mark.parametrize("holders", [3, 4, 5, 8, 9, 33])
def test_every_share_opens_against_the_root(holders: int) -> None:
    prepared = deal(holders)
    for holder, pair in enumerate(prepared.pairs):
        assert len(write_pair(pair)) == pair_bytes(holders)
        assert read_pair(write_pair(pair), DEALER, holder, holders) == pair
        for kind in ShareOf:
            data = pair[kind].to_bytes()
            opened = OpenedShare.from_bytes(data, holders)
            assert len(opened.path) == depth(holders)
            DEALER.verify(prepared.advert.shares, opened, holder, kind, holders)


def test_a_share_opens_as_nothing_else() -> None:
    prepared, root = deal(), deal().advert.shares
    opened = prepared.pairs[1][ShareOf.SEED]
    DEALER.verify(root, opened, 1, ShareOf.SEED, 5)
    wrong_share = replace(opened, share=Share(opened.share.value ^ 1, opened.share.salt))
    wrong_salt = replace(opened, share=Share(opened.share.value, bytes(16)))
    wrong_path = replace(opened, path=(bytes(32), *opened.path[1:]))
    short_path = replace(opened, path=opened.path[:-1])
    attempts = [
        (DEALER, root, opened, 2, ShareOf.SEED),
        (DEALER, root, opened, 1, ShareOf.KEY),
        (Dealer("b", DEALER.session, 3), root, opened, 1, ShareOf.SEED),
        (Dealer("a", "1" * 32, 3), root, opened, 1, ShareOf.SEED),
        (Dealer("a", DEALER.session, 4), root, opened, 1, ShareOf.SEED),
        (DEALER, bytes(32), opened, 1, ShareOf.SEED),
        *((DEALER, root, bad, 1, ShareOf.SEED) for bad in (wrong_share, wrong_salt, wrong_path)),
        (DEALER, root, short_path, 1, ShareOf.SEED),
    ]
    for dealer, against, share, holder, kind in attempts:
        with pytest.raises(BadInput):
            dealer.verify(against, share, holder, kind, 5)


def test_seed_commitments_are_bound_to_their_place() -> None:
    seed = bytes(32)
    places = [DEALER, Dealer("b", "0" * 32, 3), Dealer("a", "1" * 32, 3), Dealer("a", "0" * 32, 4)]
    assert len({place.seed_commitment(seed) for place in places}) == len(places)


def test_wrong_lengths_are_refused() -> None:
    data = deal().pairs[0][0].to_bytes()
    for bad in (b"", data[:-1], data + b"\x00"):
        with pytest.raises(BadInput):
            OpenedShare.from_bytes(bad, 5)
        with pytest.raises(BadInput):
            read_pair(bad, DEALER, 0, 5)
        with pytest.raises(BadInput):
            Share.from_bytes(bad)


def test_every_set_is_drawn_afresh() -> None:
    draw = seeded_entropy("sets")
    sets = [PreparedSet.deal(Dealer("a", "0" * 32, i), 3, 5, draw) for i in range(4)]
    values = [pair[kind].share.value for each in sets for pair in each.pairs for kind in ShareOf]
    salts = [pair[kind].share.salt for each in sets for pair in each.pairs for kind in ShareOf]
    assert len(set(values)) == len(values)
    assert len(set(salts)) == len(salts)
    assert len({each.seed for each in sets}) == len({each.advert.mask_key for each in sets}) == 4
