"""The coordinator's checks: whatever does not hold ends the attempt and names its sender."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from privacy.contract.canonical import b64, unb64
from privacy.contract.signing import Envelope
from privacy.errors import BadInput, ProtocolError
from privacy.secure_sum import shamir
from privacy.secure_sum.commitments import Dealer, Share, path, tree
from privacy.secure_sum.prepared import PreparedSet
from tests.support.secure_sum_network import Network, Run, Stage, plain_total, seeded_entropy, sha

LOST = {"node-03": Stage.CLAIM}


@pytest.fixture
def network() -> Network:
    return Network(4, t_drop=1, sets=1).prepare()


@pytest.fixture
def run(network: Network) -> Run:
    return network.collect(network.vectors(), lost=LOST)


def resigned(network: Network, envelope: Envelope, signer: str, /, **changes: Any) -> Envelope:
    body = envelope.to_json()["body"] | changes
    return Envelope.seal(envelope.kind, body, network.signing[signer])


def flipped_share(network: Network, run: Run, holder: str, kind: str, owner: str) -> Envelope:
    """`holder` signs a reveal in which one bit of one share is wrong."""
    shares = dict(run.reveals[holder].to_json()["body"][kind])
    data = bytearray(unb64(shares[owner]))
    data[20] ^= 1
    shares[owner] = b64(bytes(data))
    return resigned(network, run.reveals[holder], holder, **{kind: shares})


def test_the_honest_run_opens(network: Network, run: Run) -> None:
    total, transcript = network.open(run)
    np.testing.assert_array_equal(total, plain_total(network.vectors(), network.names[:3]))
    assert set(transcript.keys) == {"node-03"}


@pytest.mark.parametrize("holder", ["node-00", "node-01", "node-02"])
@pytest.mark.parametrize(("kind", "owner"), [("seeds", "node-01"), ("keys", "node-03")])
def test_a_wrong_share_names_its_sender(
    network: Network, run: Run, holder: str, kind: str, owner: str
) -> None:
    """With exactly a threshold of shares no majority helps; the commitment does."""
    assert len(run.reveals) == run.attempt.threshold
    run.reveals[holder] = flipped_share(network, run, holder, kind, owner)
    with pytest.raises(ProtocolError, match=f"opened shares: share of {owner}") as error:
        network.open(run)
    assert error.value.sender == holder


def test_without_the_wrong_share_the_rest_still_opens() -> None:
    network = Network(5, t_drop=1, sets=1).prepare()
    run = network.collect(network.vectors())
    run.reveals["node-02"] = flipped_share(network, run, "node-02", "seeds", "node-00")
    with pytest.raises(ProtocolError) as error:
        network.open(run)
    del run.reveals[error.value.sender]
    np.testing.assert_array_equal(network.open(run)[0], plain_total(network.vectors()))


def crooked(network: Network, node: str, entropy: Callable[[int], bytes]) -> None:
    """`node` deals shares of another seed than the one it masks with; all commitments hold."""
    session = network.sessions[node]
    honest = session._sets[0]
    dealer = Dealer(node, session.id, 0)
    seeds = shamir.split(entropy(32), 3, len(network.names), entropy)
    pairs = [
        (Share(seed, pair[0].share.salt), pair[1].share)
        for seed, pair in zip(seeds, honest.pairs, strict=True)
    ]
    levels = tree(dealer.leaves(pairs))
    opened = tuple(dealer.pair(p, path(levels, 2 * i)[1:], i) for i, p in enumerate(pairs))
    advert = replace(honest.advert, shares=levels[-1][0])
    session._sets[0] = replace(honest, pairs=opened, advert=advert)
    body = session.advert.to_json()["body"] | {"sets": b64(advert.to_bytes())}
    session.advert = Envelope.seal("key-advert", body, network.signing[node])
    session._card = type(session._card).from_json(body)


def test_a_dealer_whose_shares_open_another_seed_is_named() -> None:
    network = Network(4, t_drop=1, sets=1)
    network.sessions = {name: network.begin(name) for name in network.names}
    crooked(network, "node-01", seeded_entropy("crooked"))
    network.blobs = {
        name: session.share(network.adverts, network.keys)
        for name, session in network.sessions.items()
    }
    with pytest.raises(ProtocolError, match="opened secret: the seed") as error:
        network.run(network.vectors())
    assert error.value.sender == "node-01"


def test_a_dealer_whose_shares_lie_on_no_polynomial_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More holders than the threshold reveal, and their good shares disagree."""
    network = Network(5, t_drop=1, sets=1)
    network.sessions = {name: network.begin(name) for name in network.names}
    split = shamir.split

    def bent(secret: bytes, threshold: int, holders: int, entropy: Any) -> list[int]:
        shares = split(secret, threshold, holders, entropy)
        return [shares[0] ^ 1, *shares[1:]]

    with monkeypatch.context() as patch:
        patch.setattr(shamir, "split", bent)
        network.sessions["node-02"] = network.begin("node-02")
    network.blobs = {
        name: session.share(network.adverts, network.keys)
        for name, session in network.sessions.items()
    }
    with pytest.raises(ProtocolError, match="dealt wrongly") as error:
        network.run(network.vectors())
    assert error.value.sender == "node-02"


Tamper = Callable[[Network, Run], None]


def change_vector(network: Network, run: Run) -> None:
    run.masked["node-01"] = run.masked["node-01"] ^ np.uint64(1)


def shorten_vector(network: Network, run: Run) -> None:
    run.masked["node-01"] = run.masked["node-01"][:-1]


def retype_vector(network: Network, run: Run) -> None:
    run.masked["node-01"] = run.masked["node-01"].view(np.int64)  # type: ignore[assignment]


def drop_vector(network: Network, run: Run) -> None:
    del run.masked["node-01"]


def drop_claim(network: Network, run: Run) -> None:
    del run.claims["node-01"]


def change_claim(network: Network, run: Run) -> None:
    run.claims["node-01"] = resigned(network, run.claims["node-01"], "node-01", attempt=sha("x"))


def swap_reveal(network: Network, run: Run) -> None:
    run.reveals["node-01"] = run.reveals["node-02"]


def rename_reveal(network: Network, run: Run) -> None:
    run.reveals["node-01"] = resigned(network, run.reveals["node-01"], "node-01", node="node-02")


def both_kinds(network: Network, run: Run) -> None:
    body = run.reveals["node-01"].to_json()["body"]
    keys = body["keys"] | {"node-00": body["seeds"]["node-00"]}
    run.reveals["node-01"] = resigned(network, run.reveals["node-01"], "node-01", keys=keys)


def missing_share(network: Network, run: Run) -> None:
    run.reveals["node-01"] = resigned(network, run.reveals["node-01"], "node-01", keys={})


def other_list(network: Network, run: Run) -> None:
    run.reveals["node-01"] = resigned(
        network, run.reveals["node-01"], "node-01", survivor_list=sha("x")
    )


def slack_share(network: Network, run: Run) -> None:
    seeds = run.reveals["node-01"].to_json()["body"]["seeds"]
    run.reveals["node-01"] = resigned(
        network, run.reveals["node-01"], "node-01", seeds=seeds | {"node-00": "AB=="}
    )


def unsigned_list(network: Network, run: Run) -> None:
    one = run.lists["node-01"]
    run.lists["node-01"] = Envelope(one.kind, one.body, one.key, bytes(64))


def another_list(network: Network, run: Run) -> None:
    run.lists["node-01"] = resigned(network, run.lists["node-01"], "node-01", attempt=sha("x"))


@pytest.mark.parametrize(
    ("tamper", "step"),
    [
        (change_vector, "masked vector"),
        (shorten_vector, "masked vector"),
        (retype_vector, "masked vector"),
        (drop_vector, "masked vector"),
        (drop_claim, "masked input"),
        (change_claim, "masked input"),
        (swap_reveal, "opened shares"),
        (rename_reveal, "opened shares"),
        (both_kinds, "opened shares"),
        (missing_share, "opened shares"),
        (other_list, "opened shares"),
        (slack_share, "opened shares"),
        (unsigned_list, "survivor list"),
        (another_list, "survivor list"),
    ],
)
def test_what_does_not_hold_is_named(network: Network, run: Run, tamper: Tamper, step: str) -> None:
    tamper(network, run)
    with pytest.raises(ProtocolError, match=step) as error:
        network.open(run)
    assert error.value.sender == "node-01"


def test_a_list_that_disagrees_with_the_claims_is_refused(network: Network, run: Run) -> None:
    """All signers sign, but for another vector than node-01 claimed."""
    survivors = run.lists["node-00"].to_json()["body"]["survivors"]
    survivors[1]["sha256"] = sha("x")
    for name in run.lists:
        run.lists[name] = resigned(network, run.lists[name], name, survivors=survivors)
    with pytest.raises(ProtocolError, match="does not agree"):
        network.open(run)


def test_strangers_have_no_say(network: Network, run: Run) -> None:
    run.reveals["node-03"] = resigned(network, run.reveals["node-00"], "node-03", node="node-03")
    with pytest.raises(ProtocolError, match="not by a survivor") as error:
        network.open(run)
    assert error.value.sender == "node-03"


def test_an_unsafe_attempt_is_not_opened(network: Network, run: Run) -> None:
    run.attempt = network.attempt(t_collude=0)
    with pytest.raises(BadInput):
        network.open(run)


def test_late_messages_of_lost_nodes_are_left_out(network: Network) -> None:
    """node-03's claim arrives after the list was signed: it stays out of the total."""
    run = network.collect(network.vectors(), lost=LOST)
    network.claim(run, "node-03")
    assert set(run.claims) == set(run.masked) == set(network.names)
    total, transcript = network.open(run)
    np.testing.assert_array_equal(total, plain_total(network.vectors(), network.names[:3]))
    assert "node-03" not in transcript.masked
    assert "node-03" not in transcript.claims


def test_a_set_dealt_by_entropy_alone_is_reproducible() -> None:
    """The same entropy gives the same set: what test vectors rest on."""
    dealer = Dealer("a", "0" * 32, 0)
    one, two = (PreparedSet.deal(dealer, 3, 4, seeded_entropy("same")) for _ in range(2))
    assert (one.advert, one.pairs, one.seed) == (two.advert, two.pairs, two.seed)
