"""What a node refuses after it masked: one claim, one list, one kind of share for each peer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from privacy.contract.signing import Envelope
from privacy.errors import BadInput, ProtocolError
from privacy.secure_sum.messages import MAX_BODY_BYTES
from tests.support.secure_sum_network import STRANGER, Network, Run, Stage, forged, sha


@pytest.fixture
def network() -> Network:
    return Network(4, t_drop=1, sets=2).prepare()


@pytest.fixture
def claimed(network: Network) -> Run:
    return network.collect(network.vectors(), until=Stage.SIGN)


def test_a_claim_is_for_what_was_masked_and_made_once(network: Network, claimed: Run) -> None:
    opening = claimed.openings["node-00"]
    sha256 = opening.masked_sha256
    first = opening.claim(sha256, "checkpoint of node-00", {"seq": 7, "leaf": sha("node-00")})
    assert first == claimed.claims["node-00"]
    for bad in ((sha("x"), "c", None), (sha256, "another checkpoint", None)):
        with pytest.raises(ProtocolError):
            opening.claim(*bad)
    for receipt, checkpoint in (({"x": "y" * MAX_BODY_BYTES["masked-input"]}, "c"), (1.5, "c")):
        with pytest.raises(BadInput):
            opening.claim(sha256, checkpoint, receipt)  # type: ignore[arg-type]
    with pytest.raises(BadInput):
        opening.claim(sha256, "c" * 5000, None)


def test_no_list_without_an_own_claim(network: Network) -> None:
    run = network.collect(network.vectors(), until=Stage.CLAIM)
    for name in network.names[1:]:
        network.claim(run, name)
    with pytest.raises(ProtocolError, match="own claim"):
        run.openings["node-00"].sign_list(run.claims)


def test_the_first_claim_too_is_for_what_was_masked(network: Network) -> None:
    run = network.collect(network.vectors(), until=Stage.CLAIM)
    with pytest.raises(ProtocolError, match="not the vector that was masked"):
        run.openings["node-00"].claim(sha("x"), "c", None)


def test_an_oversize_claim_is_not_even_read(network: Network, claimed: Run) -> None:
    claims = dict(claimed.claims)
    receipt = "x" * MAX_BODY_BYTES["masked-input"]
    claims["node-01"] = forged(claims["node-01"], network.signing["node-01"], receipt=receipt)
    with pytest.raises(ProtocolError, match="node-01: masked input: too large"):
        claimed.openings["node-00"].sign_list(claims)


BAD_CLAIMS: dict[str, Callable[[Network, Envelope], Envelope]] = {
    "another key": lambda _, e: forged(e, STRANGER),
    "another node": lambda n, e: forged(e, n.signing["node-01"], node="node-02"),
    "another attempt": lambda n, e: forged(e, n.signing["node-01"], attempt=sha("x")),
    "another protocol": lambda n, e: forged(e, n.signing["node-01"], protocol="v2"),
    "long checkpoint": lambda n, e: forged(e, n.signing["node-01"], checkpoint="x" * 5000),
    "no hash": lambda n, e: forged(e, n.signing["node-01"], sha256="zz"),
    "changed": lambda _, e: Envelope(
        e.kind, e.body.replace(b"checkpoint of", b"checkpoint 0f"), e.key, e.signature
    ),
}


@pytest.mark.parametrize("how", BAD_CLAIMS)
def test_a_claim_that_does_not_hold_is_not_signed_for(
    network: Network, claimed: Run, how: str
) -> None:
    claims = dict(claimed.claims)
    claims["node-01"] = BAD_CLAIMS[how](network, claims["node-01"])
    with pytest.raises(ProtocolError, match="masked input") as error:
        claimed.openings["node-00"].sign_list(claims)
    assert error.value.sender == "node-01"


def test_the_own_claim_must_be_there_unchanged(network: Network, claimed: Run) -> None:
    opening = claimed.openings["node-00"]
    without = {n: c for n, c in claimed.claims.items() if n != "node-00"}
    changed = forged(claimed.claims["node-00"], network.signing["node-00"], sha256=sha("x"))
    for claims in (without, without | {"node-00": changed}):
        with pytest.raises(ProtocolError, match="own claim"):
            opening.sign_list(claims)


def test_strangers_and_too_few_survivors_are_refused(network: Network, claimed: Run) -> None:
    opening = claimed.openings["node-00"]
    with pytest.raises(ProtocolError, match="not a participant"):
        opening.sign_list(claimed.claims | {"node-09": claimed.claims["node-01"]})
    few = {n: claimed.claims[n] for n in ("node-00", "node-01")}
    with pytest.raises(ProtocolError, match="fewer than 3 survivors"):
        opening.sign_list(few)


def test_one_list_per_attempt(network: Network, claimed: Run) -> None:
    opening = claimed.openings["node-00"]
    first = opening.sign_list(claimed.claims)
    assert opening.sign_list(dict(reversed(claimed.claims.items()))) == first
    smaller = {n: c for n, c in claimed.claims.items() if n != "node-03"}
    with pytest.raises(ProtocolError, match="second"):
        opening.sign_list(smaller)


def test_reveal_needs_a_threshold_of_good_signatures(network: Network) -> None:
    run = network.collect(network.vectors(), until=Stage.REVEAL)
    opening, lists = run.openings["node-00"], list(run.lists.values())
    one = lists[1]
    stranger = Envelope.seal("survivor-list", one.to_json()["body"], STRANGER)
    renamed = Envelope("claims", one.body, one.key, one.signature)
    unsigned = Envelope(one.kind, one.body, one.key, bytes(64))
    other_list = forged(one, network.signing["node-01"], survivors=[])
    bad = [
        [],
        lists[:2],
        [*lists[:2], lists[1]],
        [*lists, lists[1]],
        [*lists, stranger],
        [*lists[:1], *lists[2:], unsigned],
        [*lists[:1], *lists[2:], renamed],
        [*lists[:1], *lists[2:], other_list],
    ]
    for signatures in bad:
        with pytest.raises(ProtocolError, match="survivor list"):
            opening.reveal(signatures)
    assert opening.reveal(lists[:3]).kind == "shares"


def test_a_lost_node_cannot_vouch_for_the_list_it_is_not_on(network: Network) -> None:
    run = network.collect(network.vectors(), lost={"node-03": Stage.CLAIM}, until=Stage.REVEAL)
    body = run.lists["node-00"].to_json()["body"]
    vouched = Envelope.seal("survivor-list", body, network.signing["node-03"])
    with pytest.raises(ProtocolError, match="not on it") as error:
        run.openings["node-00"].reveal([*run.lists.values(), vouched])
    assert error.value.sender == "node-03"


def test_reveal_before_signing_is_refused(claimed: Run) -> None:
    with pytest.raises(ProtocolError, match="signed no list"):
        claimed.openings["node-00"].reveal([])


def test_exactly_one_kind_of_share_for_each_peer(network: Network) -> None:
    run = network.collect(network.vectors(), lost={"node-03": Stage.CLAIM})
    body = run.reveals["node-00"].to_json()["body"]
    assert set(body["seeds"]) == {"node-00", "node-01", "node-02"}
    assert set(body["keys"]) == {"node-03"}


def test_shares_are_forgotten_and_the_answer_repeats(network: Network) -> None:
    run = network.collect(network.vectors())
    opening = run.openings["node-00"]
    assert opening._held == {}
    assert opening.reveal(list(run.lists.values())) == run.reveals["node-00"]
    with pytest.raises(ProtocolError):
        opening.reveal(list(run.lists.values())[:1])


def test_an_erased_opening_reveals_nothing(network: Network) -> None:
    run = network.collect(network.vectors(), until=Stage.REVEAL)
    opening = run.openings["node-00"]
    opening.erase()
    with pytest.raises(ProtocolError, match="erased"):
        opening.reveal(list(run.lists.values()))
