"""What a node refuses before it masks: every check of Session and KeySet, one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from privacy.contract.canonical import b64
from privacy.contract.signing import Envelope, SigningKey
from privacy.errors import BadInput, Code, ProtocolError, Refused
from privacy.secure_sum.channel import join_sealed, split_sealed
from privacy.secure_sum.participant import Session
from tests.support.secure_sum_network import (
    STRANGER,
    Network,
    Stage,
    forged,
    seeded_entropy,
    sha,
)


@pytest.fixture
def network() -> Network:
    return Network(4, t_drop=1, sets=2).prepare()


# -- Session ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"node": "stranger"},
        {"group": ("a", "b")},
        {"group": ("b", "a", "c")},
        {"group": ("", "a", "b")},
        {"threshold": 1},
        {"threshold": 4},
        {"sets": 0},
        {"sets": 10**4},
    ],
)
def test_begin_refuses_what_does_not_fit(changes: dict[str, Any]) -> None:
    facts = {"node": "a", "group": ("a", "b", "c"), "threshold": 3, "sets": 1} | changes
    with pytest.raises(BadInput):
        Session.begin(
            facts["node"],
            SigningKey(bytes(32)),
            facts["group"],
            roster=sha("r"),
            threshold=facts["threshold"],
            sets=facts["sets"],
            entropy=seeded_entropy("x"),
        )


BAD_ADVERTS: dict[str, Callable[[Network, Envelope], Envelope]] = {
    "another key": lambda _, e: forged(e, STRANGER),
    "another kind": lambda n, e: Envelope.seal("other", e.to_json()["body"], n.signing["node-01"]),
    "another protocol": lambda n, e: forged(e, n.signing["node-01"], protocol="v2"),
    "another node": lambda n, e: forged(e, n.signing["node-01"], node="node-02"),
    "another group": lambda n, e: forged(e, n.signing["node-01"], group=sha("g")),
    "another roster": lambda n, e: forged(e, n.signing["node-01"], roster=sha("r")),
    "another threshold": lambda n, e: forged(e, n.signing["node-01"], threshold=2),
    "fewer sets": lambda n, e: forged(e, n.signing["node-01"], sets=b64(bytes(96))),
    "half a set": lambda n, e: forged(e, n.signing["node-01"], sets=b64(bytes(95))),
    "no sets": lambda n, e: forged(e, n.signing["node-01"], sets=""),
    "sets in slack bits": lambda n, e: forged(e, n.signing["node-01"], sets="A" * 127 + "="),
    "unknown field": lambda n, e: forged(e, n.signing["node-01"], more=1),
    "short key": lambda n, e: forged(e, n.signing["node-01"], channel_key=b64(bytes(31))),
    "slack bits": lambda n, e: forged(e, n.signing["node-01"], channel_key="A" * 42 + "B="),
    "low order": lambda n, e: forged(e, n.signing["node-01"], channel_key=b64(bytes(32))),
    "bad signature": lambda _, e: Envelope(e.kind, e.body, e.key, bytes(64)),
    "too large": lambda _, e: Envelope(e.kind, e.body + b" " * 2**20, e.key, e.signature),
    "not canonical": lambda n, e: spaced(e, n.signing["node-01"]),
}


def spaced(envelope: Envelope, key: SigningKey) -> Envelope:
    body = envelope.body + b" "
    return Envelope(envelope.kind, body, key.public, key.sign(envelope.kind, body))


@pytest.mark.parametrize("how", BAD_ADVERTS)
def test_an_advert_that_does_not_hold_names_its_sender(network: Network, how: str) -> None:
    session = network.begin("node-00", again="fresh")
    adverts = network.adverts | {"node-00": session.advert}
    adverts["node-01"] = BAD_ADVERTS[how](network, adverts["node-01"])
    with pytest.raises(ProtocolError, match="advert") as error:
        session.share(adverts, network.keys)
    assert error.value.sender == "node-01"


def test_adverts_must_be_the_groups(network: Network) -> None:
    session = network.begin("node-00", again="fresh")
    adverts = network.adverts | {"node-00": session.advert}
    missing = {n: e for n, e in adverts.items() if n != "node-02"}
    for bad in (missing, adverts | {"node-09": adverts["node-01"]}, network.adverts):
        with pytest.raises(ProtocolError, match="advert"):
            session.share(bad, network.keys)
    for keys in ({}, network.keys | {"node-01": network.keys["node-02"]}):
        with pytest.raises(ProtocolError, match="key"):
            session.share(adverts, keys)
    with pytest.raises(Refused):
        session.take(0)
    assert set(session.share(adverts, network.keys)) == {"node-01", "node-02", "node-03"}


def test_shares_are_dealt_once(network: Network) -> None:
    """The same adverts give the same bytes; a session's shares never go to another peer."""
    session = network.sessions["node-00"]
    again = session.share(network.adverts, network.keys)
    assert again == network.blobs["node-00"]
    other = network.adverts | {"node-01": network.begin("node-01", again="restart").advert}
    with pytest.raises(ProtocolError, match="other adverts"):
        session.share(other, network.keys)


def test_a_set_is_taken_once_ever(network: Network) -> None:
    session = network.sessions["node-00"]
    session.take(1)
    for index in (1, 2, -1):
        with pytest.raises(Refused) as refused:
            session.take(index)
        assert refused.value.code is Code.KEYS_NOT_READY
    assert session.remaining == (0,)


# -- KeySet -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"roster": sha("other")},
        {"set_index": 1},
        {"t_collude": 2, "t_drop": 0},
        {"sessions": tuple(f"{i:032x}" for i in range(4))},
        {"participants": ("a", "b", "c", "d")},
        {"participants": ("node-00", "node-01", "node-02"), "sessions": ("0" * 32,) * 3},
        {"t_collude": 0},
        {"length": 9},
    ],
)
def test_an_attempt_that_does_not_fit_is_not_masked(
    network: Network, changes: dict[str, Any]
) -> None:
    keys = network.sessions["node-00"].take(0)
    attempt = network.attempt(**changes)
    with pytest.raises((ProtocolError, BadInput)):
        keys.mask(attempt, network.vectors()["node-00"], network.sealed_for("node-00", 0))


def test_a_key_set_masks_one_vector(network: Network) -> None:
    keys = network.sessions["node-00"].take(0)
    vector, sealed = network.vectors()["node-00"], network.sealed_for("node-00", 0)
    with pytest.raises(BadInput):
        keys.mask(network.attempt(), vector[:-1], sealed)
    with pytest.raises(BadInput):
        keys.mask(network.attempt(), vector.view(np.int64), sealed)  # type: ignore[arg-type]
    keys.mask(network.attempt(), vector, sealed)
    with pytest.raises(Refused) as refused:
        keys.mask(network.attempt(), vector, sealed)
    assert refused.value.code is Code.KEYS_NOT_READY


def test_a_vector_can_be_masked_in_place(network: Network) -> None:
    sealed = network.sealed_for("node-00", 0)
    copied, _ = (
        network.sessions["node-00"]
        .take(0)
        .mask(network.attempt(), network.vectors()["node-00"], sealed)
    )
    twin = Network(4, t_drop=1, sets=2).prepare().sessions["node-00"].take(0)
    vector = network.vectors()["node-00"]
    fixed, strided = vector.copy(), np.zeros(16, dtype=np.uint64)[::2]
    fixed.flags.writeable = False
    for bad in (fixed, strided):
        with pytest.raises(BadInput):
            twin.mask(network.attempt(), bad, sealed, overwrite=True)
    masked, _ = twin.mask(network.attempt(), vector, sealed, overwrite=True)
    assert masked is vector
    np.testing.assert_array_equal(vector, copied)


def test_sealed_shares_must_be_every_peers_for_this_set(network: Network) -> None:
    keys = network.sessions["node-00"].take(0)
    vector, sealed = network.vectors()["node-00"], network.sealed_for("node-00", 0)
    other_set = network.sealed_for("node-00", 1)
    to_another = network.sealed_for("node-02", 0)["node-01"]
    flipped = bytes([sealed["node-01"][0] ^ 1]) + sealed["node-01"][1:]
    bad = [
        {n: s for n, s in sealed.items() if n != "node-01"},
        sealed | {"node-01": flipped},
        sealed | {"node-01": b""},
        sealed | {"node-01": other_set["node-01"]},
        sealed | {"node-01": to_another},
        sealed | {"node-01": sealed["node-02"]},
    ]
    for pieces in bad:
        with pytest.raises(ProtocolError, match="sealed shares") as error:
            keys.mask(network.attempt(), vector, pieces)
        assert error.value.sender == "node-01"


def test_a_dealer_whose_shares_miss_its_commitment_is_named_before_masking() -> None:
    """node-01 seals the shares of a set that is not the one it advertised."""
    network = Network(4, t_drop=1).prepare()
    session = network.begin("node-01")
    honest = session._sets[0]
    session._sets[0] = network.begin("node-01", again="other")._sets[0]
    assert session.advert == network.sessions["node-01"].advert
    network.blobs["node-01"] = session.share(network.adverts, network.keys)
    assert honest.advert != session._sets[0].advert
    with pytest.raises(ProtocolError, match="commitment") as error:
        network.collect(network.vectors())
    assert error.value.sender == "node-01"


def test_blobs_split_into_their_pieces() -> None:
    pieces = [b"abc", b"def", b"ghi"]
    blob = join_sealed(pieces)
    assert split_sealed(blob) == pieces
    for bad in (b"", blob[:-1], blob + b"x", b"XXXX" + blob[4:], blob[:4] + bytes(8)):
        with pytest.raises(BadInput):
            split_sealed(bad)


def test_secrets_do_not_print(network: Network) -> None:
    session, keys = network.sessions["node-00"], network.sessions["node-01"].take(0)
    prepared = keys._unused[0]
    pair = prepared.pairs[0]
    channel = session._peers.by_name["node-01"].channel  # type: ignore[union-attr]
    run = network.collect(
        {n: v for n, v in network.vectors().items() if n != "node-01"}, until=Stage.CLAIM
    )
    holders = [
        session,
        keys,
        prepared,
        pair,
        pair[0].share,
        channel,
        run.openings["node-00"],
        session._peers,
        session._me,
        keys._masks(network.attempt(), prepared),
    ]
    secrets = [
        prepared.seed,
        prepared.mask_key.private_bytes_raw(),
        channel.secret,
        pair[0].share.salt,
        pair[0].share.value.to_bytes(33, "big"),
    ]
    for holder in holders:
        for text in (repr(holder), str(holder), f"{holder}"):
            for secret in secrets:
                for form in (
                    secret.hex(),
                    b64(secret),
                    repr(secret),
                    str(list(secret)),
                    str(int.from_bytes(secret, "big")),
                ):
                    assert form not in text
