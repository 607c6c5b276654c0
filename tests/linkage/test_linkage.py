"""One person on several lists is counted once, and nobody can test a name."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest

from privacy.contract.dictionary import ColumnType
from privacy.contract.signing import Envelope
from privacy.discrete_gaussian import sample
from privacy.errors import BadInput, ProtocolError
from privacy.linkage import dummies, raising
from privacy.linkage import party as party_module
from privacy.linkage.dummies import COST, LOG2_SIGMA, SHIFT, sets_of, shared_dummies
from privacy.linkage.hash_to_curve import PRIME, hash_to_point
from privacy.linkage.matching import counted_elsewhere, finished
from privacy.linkage.party import Party, person
from privacy.linkage.raising import Exponent, join_points, random_point, split_points
from privacy.linkage.session import LIST, list_size, open_adverts, seal_list
from privacy.linkage.spelling import spelt, spelt_text
from privacy.linkage.transcript import open_learnt
from privacy.units import Rho
from tests.support.linkage_ring import Ring, Sent, key_of, session_of
from tests.support.seeded import seeded_entropy, seeded_stream

pytestmark = pytest.mark.usefixtures("few_dummies")

RFC_9380 = b"QUUX-V01-CS02-with-curve25519_XMD:SHA-512_ELL2_RO_"
WORLD = {
    "alpha": ["ada", "ben", "cem", "dora", "eva"],
    "beta": ["ben", "cem", "finn", "gil"],
    "gamma": ["cem", "dora", "hal", "gil", "ida"],
}


@pytest.mark.parametrize(
    ("message", "u"),
    [
        (b"", "2de3780abb67e861289f5749d16d3e217ffa722192d16bbd9d1bfb9d112b98c0"),
        (b"abc", "2b4419f1f2d48f5872de692b0aca72cc7b0a60915dd70bde432e826b6abc526d"),
        (b"abcdef0123456789", "68ca1ea5a6acf4e9956daa101709b1eee6c1bb0df1de3b90d4602382a104c036"),
    ],
)
def test_points_are_those_of_the_standard(message: bytes, u: str) -> None:
    assert hash_to_point(message, RFC_9380)[::-1].hex() == u


def test_raising_commutes_and_refuses_low_order() -> None:
    one, other = (Exponent.fresh(seeded_entropy(n)) for n in (1, 2))
    point = hash_to_point(b"name")
    assert one.raised(other.raised(point)) == other.raised(one.raised(point))
    assert one.raised(point) != other.raised(point)
    for low in (0, 1, PRIME - 1):
        with pytest.raises(ProtocolError, match="low order"):
            one.raised(low.to_bytes(32, "little"))
    assert "Exponent(…)" in repr(one)


def test_lists_have_their_length_and_distinct_canonical_points() -> None:
    points = [random_point(seeded_entropy(n)) for n in range(3)]
    assert split_points(join_points(points), 3) == points
    for data, count, what in (
        (join_points(points), 2, "96|64"),
        (join_points([points[0], points[0]]), 2, "twice"),
        ((PRIME + 1).to_bytes(32, "little"), 1, "canonical"),
        ((2**255).to_bytes(32, "little"), 1, "canonical"),
    ):
        with pytest.raises(ProtocolError, match=what):
            split_points(data, count)


def test_a_person_is_spelt_in_one_way() -> None:
    fields = session_of(WORLD).fields
    same = person(fields, ("Ada  LOVELACE", "1815-12-10"))
    assert person(fields, (" ada lovelace ", "1815-12-10")) == same
    assert person(fields, ("ada", "lovelace 1815-12-10")) != same
    for values in (("ada",), ("ada", " "), ("ada", "b", "c")):
        with pytest.raises(BadInput):
            person(fields, values)


@pytest.mark.parametrize("seed", [1, 2])
def test_everybody_is_counted_exactly_once(seed: int) -> None:
    counted = Ring(WORLD, seed=seed).counted()
    times = Counter(name for names in counted.values() for name in names)
    assert times == dict.fromkeys({name for names in WORLD.values() for name in names}, 1)
    assert set(counted["alpha"]) >= {"ada", "eva"}


def test_who_is_linked_does_not_depend_on_spelling_of_the_lists_or_their_order() -> None:
    turned = {node: names[::-1] for node, names in WORLD.items()}
    one, other = Ring(WORLD).pseudonyms(), Ring(turned).pseudonyms()
    assert {node: len(names) for node, names in one.items()} == {
        node: len(names) for node, names in other.items()
    }


def test_the_lengths_of_lists_are_declared_and_not_counted() -> None:
    many, none = Ring(WORLD), Ring({node: [] for node in WORLD})
    lengths = [[len(names) for names in ring.pseudonyms().values()] for ring in (many, none)]
    assert lengths[0] == lengths[1]
    assert [len(each) for each in many.seen] == [len(each) for each in none.seen]


def overlaps(ring: Ring) -> Counter[tuple[str, ...]]:
    """What the coordinator sees: pseudonyms in common, by set of organisations."""
    holders: dict[bytes, list[str]] = {}
    for node, names in ring.pseudonyms().items():
        for name in names:
            holders.setdefault(name, []).append(node)
    return Counter(tuple(sorted(nodes)) for nodes in holders.values() if len(nodes) > 1)


def test_what_lists_have_in_common_is_seen_with_noise_alone() -> None:
    ring = Ring(WORLD)
    seen = overlaps(ring)
    known = ring.parties["alpha"]._dummies
    hidden = Counter(dummy.nodes for dummy in known)
    true = {("alpha", "beta"): 1, ("alpha", "gamma"): 1, ("beta", "gamma"): 1}
    assert seen - hidden == Counter({**true, tuple(WORLD): 1})
    assert hidden.keys() == set(sets_of(list(WORLD)))


def test_numbers_of_dummies_are_shifted_discrete_gaussians_at_the_stated_cost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Compared with independent draws: the dummies' noise is the sampler's, one per set."""
    monkeypatch.setattr(dummies, "SHIFT", SHIFT)
    monkeypatch.setattr(dummies, "LOG2_SIGMA", LOG2_SIGMA)
    nodes = [f"n{number}" for number in range(8)]
    numbers: list[int] = []
    for number in range(12):
        seed = seeded_entropy(number)(32)
        numbers += Counter(dummy.nodes for dummy in shared_dummies(seed, nodes)).values()
    noise = [count - SHIFT for count in numbers]
    variance = sum(value**2 for value in noise) / len(noise)
    reference = sample(seeded_stream(9), dummies.LOG2_SIGMA, len(noise))
    assert len(noise) == 12 * 247
    # 2,964 draws: the standard error of the variance is 2.6 %; six of them
    assert abs(variance / 256 - 1) < 0.16
    assert abs(sum(reference**2) / len(reference) / 256 - 1) < 0.16
    assert Rho.round_up(Fraction(2, 2 * 256)) == COST  # two numbers move by one each


def test_too_little_noise_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.LOG2_SIGMA", 3)
    with pytest.raises(AssertionError):
        test_numbers_of_dummies_are_shifted_discrete_gaussians_at_the_stated_cost(monkeypatch)


# nobody can test a name


NAMES = ["ada", "cem", "hal", "zoe", "yan"]


class KeyedStub:
    """Pseudonyms under one key that all organisations hold."""

    def __init__(self) -> None:
        self.key = b"shared by all"
        self.seen = {self.pseudonym(name) for names in WORLD.values() for name in names}

    def pseudonym(self, name: str) -> bytes:
        return hmac.new(self.key, name.encode(), hashlib.sha256).digest()


def guesses(ring: Ring, holder: str) -> set[str]:
    """Names that one node, holding all its secrets and all that the coordinator saw, can place.

    It compares everything it can compute from a name with every point that was ever sent.
    """
    secret = ring.parties[holder]._exponent
    sent = {data[at : at + 32] for data in ring.seen for at in range(0, len(data), 32)}
    raised = sent | {secret.raised(point) for point in sent if len(point) == 32}
    found = set()
    for name in NAMES:
        point = hash_to_point(ring.named(name))
        tries = {point, secret.raised(point), secret.raised(secret.raised(point))}
        if tries & raised:
            found.add(name)
    return found


def test_whoever_holds_a_shared_key_tests_every_name() -> None:
    stub = KeyedStub()
    assert {name for name in NAMES if stub.pseudonym(name) in stub.seen} == {"ada", "cem", "hal"}


def test_no_party_can_test_a_name_even_with_all_that_the_coordinator_saw() -> None:
    ring = Ring(WORLD)
    ring.pseudonyms()
    for holder, own in WORLD.items():
        assert guesses(ring, holder) <= set(own)  # its own first list is points of its own members


def test_a_node_that_does_not_raise_gives_names_away(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring(WORLD)
    fixed = Exponent(b"\1" * 32)  # the same secret everywhere is no secret
    monkeypatch.setattr(raising.Exponent, "fresh", lambda _entropy: fixed)
    for node in WORLD:
        ring.parties[node]._exponent = fixed
    ring.pseudonyms()
    assert guesses(ring, "alpha") >= {"ada", "cem", "hal"}


# whoever breaks the order


def test_whoever_assigns_people_wrongly_is_found_out() -> None:
    def nobody(bits: dict[str, bytes]) -> dict[str, bytes]:
        return {node: bytes(len(each)) for node, each in bits.items()}

    def all_elsewhere(bits: dict[str, bytes]) -> dict[str, bytes]:
        return {node: b"\xff" * len(each) for node, each in bits.items()}

    for assign in (nobody, all_elsewhere):
        with pytest.raises(ProtocolError, match="a dummy was counted"):
            Ring(WORLD, assign=assign).counted()


def test_other_points_or_another_order_are_refused() -> None:
    def swapped(_to: str, sent: Sent) -> Sent:
        return sent[0], sent[1][32:] + sent[1][:32]

    def resigned(_to: str, sent: Sent) -> Sent:
        other = seal_list(session_of(WORLD), ("alpha",), sent[1], key_of("mallory"))
        return other, sent[1]

    def of_another_session(_to: str, sent: Sent) -> Sent:
        return seal_list(session_of(WORLD, "2"), ("alpha",), sent[1], key_of("alpha")), sent[1]

    cases: list[tuple[Callable[[str, Sent], Sent], str]] = [
        (swapped, "other points"),
        (resigned, "not signed"),
        (of_another_session, "out of its order"),
    ]
    for forward, what in cases:
        ring = Ring(WORLD, forward=forward)
        with pytest.raises(ProtocolError, match=what):
            ring.pseudonyms()


def test_a_list_is_raised_once_and_in_turn() -> None:
    ring = Ring(WORLD)
    ring.begin()
    lists = ring.own_lists()
    with pytest.raises(ProtocolError, match="turn"):
        ring.parties["gamma"].hand_on(*lists["alpha"])
    ring.parties["beta"].hand_on(*lists["alpha"])
    with pytest.raises(ProtocolError, match="turn"):
        ring.parties["beta"].hand_on(*lists["alpha"])
    with pytest.raises(ProtocolError, match="one list"):
        ring.parties["beta"].own_list([])
    with pytest.raises(ProtocolError, match="not finished"):
        finished(ring.session, lists, ring.adverts, ring.keys)


def test_every_step_has_its_time() -> None:
    ring = Ring(WORLD)
    beta = ring.parties["beta"]
    for early in (
        beta.deal,
        lambda: beta.own_list([]),
        lambda: beta.vouch(b"", []),
        lambda: beta.learn({}),
    ):
        with pytest.raises(ProtocolError):
            early()
    ring.begin()
    with pytest.raises(ProtocolError, match="first"):
        beta.meet([party.advert() for party in ring.parties.values()])
    for late in (lambda: beta.receive(b""), ring.parties["alpha"].deal):
        with pytest.raises(ProtocolError):
            late()


def test_what_a_node_vouches_for_is_said_once() -> None:
    ring = Ring(WORLD)
    bits = counted_elsewhere(ring.session, ring.pseudonyms())
    ring.vouch("beta", bits["beta"])
    with pytest.raises(ProtocolError, match="first time"):
        ring.vouch("beta", bits["beta"])


def test_adverts_are_one_of_every_node() -> None:
    ring = Ring(WORLD)
    adverts = [party.advert() for party in ring.parties.values()]
    forged = Envelope.seal(adverts[0].kind, ring.adverts_body("alpha"), key_of("mallory"))
    for wrong in (adverts[:2], [*adverts, adverts[0]], [forged, *adverts[1:]]):
        with pytest.raises(ProtocolError):
            open_adverts(ring.session, wrong, ring.keys)


def test_a_seed_for_another_opens_nowhere() -> None:
    ring = Ring(WORLD)
    adverts = [party.advert() for party in ring.parties.values()]
    for party in ring.parties.values():
        party.meet(adverts)
    dealt = ring.parties["alpha"].deal()
    with pytest.raises(ProtocolError, match="does not open"):
        ring.parties["beta"].receive(dealt["gamma"])


def test_bad_lists_of_members_are_refused() -> None:
    ring = Ring(WORLD, room=3)
    ring.begin()
    beta = ring.parties["beta"]
    many = [ring.named(str(number)) for number in range(4)]
    for members in (many, [many[0], many[0]]):
        with pytest.raises(BadInput):
            beta.own_list(members)
    with pytest.raises(BadInput):
        Party(
            ring.session,
            "delta",
            3,
            key=key_of("delta"),
            peers=ring.keys,
            entropy=seeded_entropy(1),
        )


def test_nothing_secret_prints() -> None:
    ring = Ring(WORLD)
    ring.pseudonyms()
    party = ring.parties["beta"]
    assert repr(party) == "Party(beta)"
    assert repr(party._places) == "Places(…)"


def test_a_changed_session_is_another() -> None:
    session = session_of(WORLD)
    assert session.digest != session_of(WORLD, "2").digest
    assert session.ring_from("beta") == ("beta", "gamma", "alpha")
    with pytest.raises(ProtocolError):
        session.ring_from("delta")
    envelope = seal_list(session, ("alpha",), b"", key_of("alpha"))
    assert envelope.kind == LIST
    assert replace(envelope, kind="plan").kind != LIST


# a node that lies about its list


def told_of(ring: Ring, invented: list[str]) -> set[str]:
    """Of made-up persons on alpha's list, those whom it learns to be counted elsewhere."""
    counted = ring.counted()
    return set(invented) - set(counted["alpha"])


def test_made_up_persons_tell_what_was_known_where_a_code_is_asked_for() -> None:
    """Names alone can be looked up by putting them on one's list; names with a code cannot."""
    lists = {**WORLD, "alpha": ["finn", "gil", "hal", "nobody"]}
    found = set()
    for seed in range(3):  # a person is counted at each place with even chances
        found |= told_of(Ring(lists, seed=seed, room=8), lists["alpha"])
    assert {"finn", "gil"} <= found <= {"finn", "gil", "hal"}
    guessed = {**coded(WORLD), "alpha": [f"{name} 000000" for name in lists["alpha"]]}
    for seed in range(2):
        assert not told_of(Ring(guessed, seed=seed, room=8), guessed["alpha"])


def coded(world: dict[str, list[str]]) -> dict[str, list[str]]:
    """The same people, each with a code that they and their organisations know."""
    return {
        node: [f"{name} {hashlib.sha256(name.encode()).hexdigest()[:12]}" for name in names]
        for node, names in world.items()
    }


def test_a_person_claimed_falsely_is_counted_at_most_once() -> None:
    lists = {**WORLD, "alpha": [*WORLD["alpha"], "finn", "hal"]}
    counted = Ring(lists).counted()
    times = Counter(name for node in ("beta", "gamma") for name in counted[node])
    assert max(times.values()) == 1


def test_who_declares_room_for_few_puts_few_on_its_list() -> None:
    ring = Ring({**WORLD, "alpha": [f"guess {n}" for n in range(5)]}, room=5)
    ring.begin()
    with pytest.raises(BadInput, match="more members"):
        ring.parties["alpha"].own_list([ring.named(f"guess {n}") for n in range(6)])


def test_spelling_folds_what_people_write_differently_and_nothing_else() -> None:
    for one, other in (
        ("Müller-Weiß, Zoë", "ZOE MULLER WEISS"),
        ("Łukasz  O’Neill", "łukasz o neill"),
        ("Ａｄａ", "ada"),
        ("Ⅳ", "iv"),
    ):
        same = sorted(spelt_text(one).split()) == sorted(spelt_text(other).split())
        assert same, (one, other)
        assert spelt_text(spelt_text(one)) == spelt_text(one)
    assert spelt_text("Mueller") != spelt_text("Müller")
    assert spelt_text("李小龍") == "李小龍"
    assert spelt(ColumnType.DATE, " 1970-01-02T00:00 ") == "1970-01-02"
    assert spelt(ColumnType.DATE, "02.01.1970") == ""


def test_a_transcript_holds_only_as_it_was_signed() -> None:
    ring = Ring(WORLD)
    bits = counted_elsewhere(ring.session, ring.pseudonyms())
    vouched = {node: ring.vouch(node, bits[node]) for node in ring.parties}
    words = [party.learnt(vouched)[0] for party in ring.parties.values()]
    nodes, digest = ring.session.nodes, ring.session.digest
    assert open_learnt(digest, nodes, words, ring.keys) == ring.parties["beta"].learnt(vouched)[1]
    other = Ring(WORLD, seed=2)
    others = counted_elsewhere(other.session, other.pseudonyms())
    foreign = {node: other.vouch(node, others[node]) for node in other.parties}
    strange = [other.parties["alpha"].learnt(foreign)[0], *words[1:]]
    for wrong in (words[:2], strange):
        with pytest.raises(ProtocolError):
            open_learnt(digest, nodes, wrong, ring.keys)


def test_every_place_of_a_list_costs_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many opted in, as many names are hashed and raised: time tells nothing."""
    hashed = []

    def counting(name: bytes) -> bytes:
        hashed.append(name)
        return hash_to_point(name)

    monkeypatch.setattr(party_module, "hash_to_point", counting)
    work = []
    for names in (WORLD, {node: [] for node in WORLD}):
        ring = Ring(names)
        ring.begin()
        hashed.clear()
        ring.own_lists()
        work.append(len(hashed))
    assert work[0] == work[1] == 3 * list_size(40, list(WORLD))
