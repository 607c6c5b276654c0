"""Attack stories: each first wins against a sum without protection, then fails here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from privacy.contract.canonical import unb64
from privacy.contract.signing import Envelope
from privacy.errors import ProtocolError, Refused
from privacy.secure_sum import masks
from privacy.secure_sum.attempt import Attempt
from privacy.secure_sum.commitments import OpenedShare
from privacy.secure_sum.masks import Mask
from privacy.secure_sum.participant import Opening
from tests.support.secure_sum_network import (
    Network,
    Run,
    Stage,
    Vector,
    Wire,
    sha,
)
from tests.support.secure_sum_stub import (
    LENGTH,
    Stub,
    looks_like,
    looks_uniform,
    stub_pair,
    vectors,
)


def test_the_uniformity_check_can_fail() -> None:
    assert not looks_uniform(vectors(["a"])["a"])


# -- A17: two openings of one round over different survivors --------------------------------


def test_two_openings_isolate_a_node_without_protection() -> None:
    stub = Stub()
    inputs = vectors(stub.nodes)
    masked = {name: node.mask(inputs[name]) for name, node in stub.nodes.items()}
    everybody = stub.open(masked, ["n0", "n1", "n2", "n3"])
    without = stub.open(masked, ["n0", "n1", "n2"])
    assert looks_like(everybody - without, inputs["n3"]) == 1.0


def signed_by(run: Run, camp: Iterable[str], claims: Mapping[str, Envelope]) -> list[Envelope]:
    return [run.openings[name].sign_list(claims) for name in camp]


def reveals(opening: Opening, lists: list[Envelope]) -> bool:
    try:
        opening.reveal(lists)
    except ProtocolError:
        return False
    return True


@pytest.mark.parametrize("camps", list(product((0, 1), repeat=4)))
def test_no_split_of_the_nodes_opens_two_lists(camps: tuple[int, ...]) -> None:
    """The coordinator shows one list to some nodes and another to the rest; node-04 colludes
    and signs both. Whatever the split, at most one list finds its threshold."""
    network = Network(5, t_drop=1, length=16).prepare()
    run = network.collect(network.vectors(), until=Stage.SIGN)
    victim, colluder = "node-03", "node-04"
    full, short = run.claims, {n: c for n, c in run.claims.items() if n != victim}
    opened = []
    for which, claims in ((0, full), (1, short)):
        camp = [f"node-{i:02}" for i, side in enumerate(camps) if side == which]
        if which == 1 and victim in camp:
            with pytest.raises(ProtocolError, match="own claim"):
                run.openings[victim].sign_list(claims)
            camp.remove(victim)
        lists = signed_by(run, camp, claims)
        if lists:
            body = lists[0].to_json()["body"]
            lists.append(Envelope.seal("survivor-list", body, network.signing[colluder]))
        for name in camp:
            opened += [which] * reveals(run.openings[name], lists)
    assert len(set(opened)) <= 1


def test_a_second_opening_is_refused() -> None:
    network = Network(5, t_drop=1).prepare()
    run = network.collect(network.vectors())
    short = {n: c for n, c in run.claims.items() if n != "node-03"}
    for name in short:
        with pytest.raises(ProtocolError, match="second"):
            run.openings[name].sign_list(short)


# -- A20: a claimed drop-out ----------------------------------------------------------------


def test_a_claimed_drop_out_unmasks_a_node_without_protection() -> None:
    """Half the nodes hear that n3 is there, the others that it is lost: both secrets open."""
    stub = Stub()
    inputs = vectors(stub.nodes)
    masked = stub.nodes["n3"].mask(inputs["n3"])
    there = {n: stub.nodes[n].reveal(stub.nodes) for n in ("n0", "n1")}
    gone = {n: stub.nodes[n].reveal(["n0", "n1", "n2"]) for n in ("n2", "n3")}
    seed, key = stub.secrets(there)["n3"], stub.secrets(gone)["n3"]
    assert looks_like(stub.unmask(masked, "n3", seed, key), inputs["n3"]) == 1.0


def revealed_kinds(run: Run, victim: str) -> dict[str, int]:
    bodies = [envelope.to_json()["body"] for envelope in run.reveals.values()]
    return {kind: sum(victim in body[kind] for body in bodies) for kind in ("seeds", "keys")}


@pytest.mark.parametrize("lost", [(), ("node-03",)])
def test_only_one_secret_of_a_node_ever_opens(lost: tuple[str, ...]) -> None:
    """node-03 masked either way: with its claim its seed opens, without it its key; never both."""
    network = Network(5, t_drop=1).prepare()
    run = network.collect(network.vectors(), lost=dict.fromkeys(lost, Stage.CLAIM))
    kinds = revealed_kinds(run, "node-03")
    assert kinds == ({"seeds": 0, "keys": 4} if lost else {"seeds": 5, "keys": 0})


def test_the_vector_of_a_lost_node_stays_masked() -> None:
    """The coordinator holds it all the same (it came late), and every opened secret."""
    network = Network(5, t_drop=1, length=LENGTH).prepare()
    inputs = vectors(network.names)
    run = network.collect(inputs, lost={"node-03": Stage.CLAIM})
    _, transcript = network.open(run)
    guess = strip_known_masks(network, run, transcript.keys["node-03"], "node-03")
    assert looks_like(guess, inputs["node-03"]) == 0.0
    assert looks_uniform(guess)


def strip_known_masks(network: Network, run: Run, raw: bytes, victim: str) -> Vector:
    """Remove every pairwise mask that the opened key gives from the victim's vector."""
    key = X25519PrivateKey.from_private_bytes(raw)
    streams = []
    for peer in network.names:
        if peer != victim:
            public = network.sessions[peer]._card.public_sets[run.attempt.set_index].mask_key
            secret = masks.shared_secret(key, public)
            streams.append(masks.pair_mask(secret, run.attempt.digest, victim, peer).negated())
    return masks.total([run.masked[victim]], streams)


# -- A20: masks and keys used again ----------------------------------------------------------


def test_reused_masks_cancel_between_rounds_without_protection() -> None:
    stub = Stub()
    first, second = vectors(stub.nodes, seed=1), vectors(stub.nodes, seed=2)
    node = stub.nodes["n1"]
    difference = node.mask(second["n1"]) - node.mask(first["n1"])
    assert looks_like(difference, second["n1"] - first["n1"]) == 1.0


def test_masks_of_two_rounds_have_nothing_in_common() -> None:
    """Even where a machine is rolled back so that the same secrets mask twice."""
    one, other = (Network(4, length=LENGTH).prepare() for _ in range(2))
    first, second = vectors(one.names, seed=1), vectors(one.names, seed=2)
    assert one.adverts == other.adverts, "the same secrets"
    before = one.collect(first, until=Stage.CLAIM)
    changes = {"round": 1}, {"attempt": 1}, {"plan": sha("p")}, {"state": sha("s")}
    for change in changes:
        other = Network(4, length=LENGTH).prepare()
        after = other.collect(second, attempt=other.attempt(0, **change), until=Stage.CLAIM)
        for name in one.names:
            difference = after.masked[name] - before.masked[name]
            assert looks_like(difference, second[name] - first[name]) == 0.0
            assert looks_uniform(difference)


def test_a_set_that_was_used_masks_nothing_more() -> None:
    network = Network(4).prepare()
    network.collect(network.vectors())
    with pytest.raises(Refused):
        network.collect(network.vectors(), attempt=network.attempt(0, attempt=1))


# -- A20: secrets of one round against another round -----------------------------------------


def test_a_loss_in_round_two_unmasks_round_one_without_protection() -> None:
    """n3 survives round 1 (its seed opens) and is lost in round 2 (its key opens)."""
    stub = Stub()
    inputs = vectors(stub.nodes)
    masked = stub.nodes["n3"].mask(inputs["n3"])
    round_1 = {n: node.reveal(stub.nodes) for n, node in stub.nodes.items()}
    round_2 = {n: stub.nodes[n].reveal(["n0", "n1", "n2"]) for n in ("n0", "n1", "n2")}
    seed, key = stub.secrets(round_1)["n3"], stub.secrets(round_2)["n3"]
    assert looks_like(stub.unmask(masked, "n3", seed, key), inputs["n3"]) == 1.0


def test_what_opens_in_one_round_tells_nothing_of_another() -> None:
    network = Network(5, t_drop=1, length=LENGTH).prepare()
    inputs = vectors(network.names)
    first = network.collect(inputs, attempt=network.attempt(0))
    _, opened_1 = network.open(first)
    second = network.collect(
        inputs, attempt=network.attempt(1, round=1), lost={"node-03": Stage.CLAIM}
    )
    _, opened_2 = network.open(second)
    guess = strip_known_masks(network, first, opened_2.keys["node-03"], "node-03")
    seed = masks.self_mask(opened_1.seeds["node-03"], first.attempt.digest, "node-03")
    guess = masks.total([guess], [seed.negated()])
    assert looks_like(guess, inputs["node-03"]) == 0.0
    assert looks_uniform(guess)
    assert not set(opened_1.seeds.values()) & set(opened_2.seeds.values())
    assert not shares_of(first) & shares_of(second)


def shares_of(run: Run) -> set[int]:
    texts = [
        text
        for envelope in run.reveals.values()
        for kind in ("seeds", "keys")
        for text in envelope.to_json()["body"][kind].values()
    ]
    nodes = run.attempt.nodes
    return {OpenedShare.from_bytes(unb64(text), nodes).share.value for text in texts}


# -- A20: replay and wrong-round messages -----------------------------------------------------


@pytest.mark.parametrize(
    "change", [{"round": 1}, {"attempt": 1}, {"plan": sha("other")}, {"state": sha("other")}]
)
def test_messages_of_another_attempt_are_refused_at_every_step(change: dict[str, object]) -> None:
    network = Network(4, t_drop=1).prepare()
    old = network.collect(network.vectors(), attempt=network.attempt(0))
    new = network.collect(network.vectors(), attempt=network.attempt(1, **change))
    network.open(new)
    with pytest.raises(ProtocolError, match=r"node-01: masked input: .* another attempt"):
        new.openings["node-00"].sign_list(new.claims | {"node-01": old.claims["node-01"]})
    with pytest.raises(ProtocolError, match="node-01: survivor list: signed another list"):
        new.openings["node-00"].reveal(
            [*list(new.lists.values())[2:], new.lists["node-00"], old.lists["node-01"]]
        )
    for field, step in (
        ("claims", "masked input"),
        ("lists", "survivor list"),
        ("reveals", "opened shares"),
        ("masked", "masked vector"),
    ):
        kept = dict(getattr(new, field))
        getattr(new, field)["node-01"] = getattr(old, field)["node-01"]
        with pytest.raises(ProtocolError, match=f"node-01: {step}"):
            network.open(new)
        getattr(new, field).update(kept)
    network.open(new)


# -- A20: substituted keys ---------------------------------------------------------------------


def test_a_coordinator_in_the_middle_unmasks_a_node_without_protection() -> None:
    stub = Stub()
    inputs = vectors(stub.nodes)
    victim = stub.nodes["n1"]
    mine = masks.private_key(masks.new_private_key(bytes(32)))
    victim.publics = dict.fromkeys(stub.nodes, mine.public_key().public_bytes_raw())
    masked = victim.mask(inputs["n1"])
    pairs = [stub_pair(mine, victim.public, "n1", n) for n in ("n0", "n2", "n3")]
    seed = stub.secrets({n: node.reveal(stub.nodes) for n, node in stub.nodes.items()})["n1"]
    guess = masks.total([masked], [Mask(seed, subtract=True), *(m.negated() for m in pairs)])
    assert looks_like(guess, inputs["n1"]) == 1.0


class Middle(Wire):
    """The coordinator gives node-01 adverts of its own making for every peer."""

    def __init__(self, shadow: Network) -> None:
        self.shadow = shadow

    def advert(self, sender: str, to: str, envelope: Envelope) -> Envelope:
        return self.shadow.adverts[sender] if to == "node-01" else envelope


def test_substituted_keys_are_refused() -> None:
    shadow = Network(4, seed="coordinator").prepare()
    with pytest.raises(ProtocolError, match="advert: not a key-advert by the expected key"):
        Network(4, wire=Middle(shadow)).prepare()


class Stale(Wire):
    """The coordinator shows node-01 an advert from an earlier session of node-02."""

    def __init__(self) -> None:
        self.old = Network(4).begin("node-02", again="earlier").advert

    def advert(self, sender: str, to: str, envelope: Envelope) -> Envelope:
        return self.old if (sender, to) == ("node-02", "node-01") else envelope


def test_an_advert_of_an_earlier_session_masks_nothing() -> None:
    network = Network(4, wire=Stale()).prepare()
    with pytest.raises(ProtocolError, match="for other sessions"):
        network.collect(network.vectors())
    agreed = network.sessions["node-01"]
    told = network.attempt(
        sessions=tuple(
            Stale().old.to_json()["body"]["session"]
            if name == "node-02"
            else network.sessions[name].id
            for name in network.names
        )
    )
    assert agreed.remaining == (1,)
    keys = agreed.take(1)
    with pytest.raises(ProtocolError):
        keys.mask(told, network.vectors()["node-01"], network.sealed_for("node-01", 1))


# -- A18: different questions to different nodes -------------------------------------------------


def test_a_different_model_for_the_others_isolates_a_node_without_protection() -> None:
    """The others are asked under a state in which every contribution is zero."""
    stub = Stub()
    inputs = vectors(stub.nodes)
    zero = np.zeros(LENGTH, dtype=np.uint64)
    masked = {
        name: node.mask(inputs[name] if name == "n2" else zero) for name, node in stub.nodes.items()
    }
    assert looks_like(stub.open(masked, sorted(stub.nodes)), inputs["n2"]) == 1.0


class TwoStates(Wire):
    def attempt(self, to: str, attempt: Attempt) -> Attempt:
        if to == "node-02":
            return attempt
        return Attempt.from_json(attempt.to_json() | {"state": sha("zero model")})


def test_nodes_asked_different_questions_sign_no_list() -> None:
    network = Network(4, t_drop=1, length=LENGTH, wire=TwoStates()).prepare()
    inputs = vectors(network.names)
    run = network.collect(inputs, until=Stage.SIGN)
    for name in network.names:
        with pytest.raises(ProtocolError, match="another attempt"):
            run.openings[name].sign_list(run.claims)
    only = {"node-02": run.claims["node-02"]}
    with pytest.raises(ProtocolError, match="fewer than"):
        run.openings["node-02"].sign_list(only)
    # Nor do the masks cancel, whoever opens them.
    mixed = masks.total(list(run.masked.values()), [])
    assert looks_uniform(mixed)
