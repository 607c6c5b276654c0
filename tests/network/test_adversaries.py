"""A coordinator that holds its real key and every wire, and wants one organisation's figures.

Each story first succeeds against a stand-in without the protection, then is tried on the nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from coordinator.node_link import Answer, Body
from privacy.contract.messages import Ask, seal_request
from privacy.contract.packet import Packet
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.time import instant_text
from privacy.errors import Code
from privacy.secure_sum.participant import Session
from tests.support import net_data
from tests.support.net_steps import Steps, code, codes, field
from tests.support.network import Network, Wire
from tests.support.seeded import seeded_entropy

ASKED = {"kind": "count", "by": ["treatment"]}
FIVE: dict[str, Any] = {"nodes": net_data.MORE_NODES, "t_drop": 1}
TARGET = "als-union"


@pytest.fixture
def steps(network: Network) -> Steps:
    return Steps(network, network.plan(network.question(ASKED)))


@pytest.fixture
def five(make: Callable[..., Network]) -> Steps:
    network = make(**FIVE)
    return Steps(network, network.plan(network.question(ASKED)))


def _charges(network: Network) -> dict[str, int]:
    return {name: len(node.kinds("commit")) for name, node in network.nodes.items()}


# Asking again


def test_the_same_plan_again_reserves_once_and_after_its_end_never(steps: Steps) -> None:
    assert codes(steps.reserve()) == {None}
    assert codes(steps.reserve()) == {None}
    node = steps.network.nodes[TARGET]
    assert node.kinds("reserve") == ["reserve"]
    steps.outcome(aborted="cancelled")
    assert codes(steps.reserve()) == {Code.REPLAYED}
    node.restart()
    steps.network.settle()
    assert codes(steps.reserve([TARGET])) == {Code.REPLAYED}
    assert node.kinds("reserve") == ["reserve"]


def test_averaging_repeats_of_one_contribution(steps: Steps) -> None:
    rng = np.random.default_rng(1)
    fresh = [17 + rng.normal(0, 10) for _ in range(4000)]  # a stand-in that draws noise anew
    assert abs(np.mean(fresh) - 17) < 1
    steps.reserve()
    keys = steps.keys()
    attempt = steps.attempt(keys)
    answers = [steps.contribute(attempt, keys, [TARGET])[TARGET] for _ in range(5)]
    bodies = [(body.payload, body.blob) for body in answers if isinstance(body, Body)]
    assert len(bodies) == 5
    assert all(body == bodies[0] for body in bodies)
    assert _charges(steps.network)[TARGET] == 1


def test_every_message_delivered_twice_changes_nothing(make: Callable[..., Network]) -> None:
    once, twice = make(), make()
    twice.wire.repeats = 2
    for network in (once, twice):
        network.nodes["ms-league"].restart()
        network.settle()
        assert network.ask(ASKED).release
    for name in once.nodes:
        assert once.nodes[name].kinds() == twice.nodes[name].kinds()
        assert once.spent(name) == twice.spent(name)
    unusual = {Ask.OFFER_ROSTER, Ask.OFFER_STUDY, Ask.OFFER_REVOCATION, Ask.FOLLOW_KEY}
    unusual |= {Ask.OFFER_SUCCESSORS}
    unusual |= {ask for ask in Ask if ask.value.startswith("link-")}  # in tests/linkage
    assert {x.ask for x in twice.wire.log} >= set(Ask) - unusual


def test_a_question_signed_once_cannot_be_charged_beyond_its_attempts(steps: Steps) -> None:
    steps.reserve()
    keys = steps.keys()
    steps.contribute(steps.attempt(keys), keys)
    again = steps.keys()
    assert codes(steps.contribute(steps.attempt(again, 1), again)) == {Code.TOO_MANY_ATTEMPTS}
    assert codes(steps.contribute(steps.attempt(again, 0), again)) == {Code.ATTEMPT_LOST}
    assert set(_charges(steps.network).values()) == {1}


def test_a_set_of_keys_is_used_once(make: Callable[..., Network]) -> None:
    network = make()
    steps = Steps(network, network.plan(network.question(ASKED, max_attempts=2)))
    steps.reserve()
    keys = steps.keys()
    assert codes(steps.contribute(steps.attempt(keys, 0), keys)) == {None}
    assert codes(steps.contribute(steps.attempt(keys, 1), keys)) == {Code.KEYS_NOT_READY}
    assert set(_charges(network).values()) == {1}


@pytest.mark.parametrize(
    "change",
    [
        {"participants": ("als-union", "mood-circle", "zzz")},
        {"roster": "0" * 64},
        {"t_collude": 2},
        {"t_drop": 1},
        {"length": 4},
        {"round": 1},
    ],
)
def test_an_attempt_that_is_not_the_plans_is_refused_before_anything_is_read(
    steps: Steps, change: dict[str, Any]
) -> None:
    steps.reserve()
    keys = steps.keys()
    read: list[Any] = []
    steps.network.nodes[TARGET].service.runner.engine = lambda *asked: read.append(asked)
    answer = steps.contribute(steps.attempt(keys, **change), keys, [TARGET])
    assert codes(answer) == {Code.PLAN_MISMATCH}
    assert read == []
    assert _charges(steps.network)[TARGET] == 0


def test_nothing_is_computed_without_a_reservation(steps: Steps) -> None:
    keys = steps.keys()
    assert codes(steps.contribute(steps.attempt(keys), keys)) == {Code.ATTEMPT_LOST}
    assert set(_charges(steps.network).values()) == {0}


# Opening what should not be opened


def _given(steps: Steps) -> tuple[Any, Any, dict[str, Answer], dict[str, Envelope]]:
    steps.reserve()
    keys = steps.keys()
    attempt = steps.attempt(keys)
    given = steps.contribute(attempt, keys)
    assert codes(given) == {None}
    return keys, attempt, given, field(given, "claim")


def test_sign_and_reveal_of_another_attempt_or_round_are_refused(five: Steps) -> None:
    keys, attempt, _, claims = _given(five)
    other = five.attempt(keys, 1)
    later = five.attempt(keys, round=1)
    for wrong in (other, later):
        assert codes(five.sign(wrong, claims)) == {Code.ATTEMPT_LOST}
        assert codes(five.reveal(wrong, [])) == {Code.ATTEMPT_LOST}
    changed = five.attempt(keys, state="f" * 64)  # the same plan, round and attempt by number
    assert codes(five.reveal(changed, [])) == {Code.BAD_REQUEST}
    assert codes(five.reveal(attempt, [])) == {Code.BAD_REQUEST}, "nobody has signed a list"
    lists = field(five.sign(attempt, claims), "list")
    few = list(lists.values())[: attempt.threshold - 1]
    assert codes(five.reveal(attempt, few)) == {Code.BAD_REQUEST}, "too few signatures"


def test_claiming_that_a_node_was_lost_to_take_the_difference(five: Steps) -> None:
    inputs = {node: i * 100 for i, node in enumerate(net_data.MORE_NODES)}
    both = sum(inputs.values()), sum(v for n, v in inputs.items() if n != TARGET)
    assert both[0] - both[1] == inputs[TARGET]  # a stand-in that opens twice gives one node away

    keys, attempt, given, claims = _given(five)
    lists = field(five.sign(attempt, claims), "list")
    fewer = {node: claim for node, claim in claims.items() if node != TARGET}
    assert codes(five.sign(attempt, fewer)) == {Code.BAD_REQUEST}
    reveals = field(five.reveal(attempt, lists.values()), "shares")
    assert len(five.open(attempt, keys, given, lists, reveals)) == 3
    assert codes(five.reveal(attempt, [])) == {Code.BAD_REQUEST}
    assert all(Envelope.to_json(r)["body"]["keys"] == {} for r in reveals.values())


def test_two_lists_for_two_halves_of_the_nodes_open_nothing(five: Steps) -> None:
    """Half the nodes are told that the target was lost, half that it was not."""
    _, attempt, _, claims = _given(five)
    fewer = {node: claim for node, claim in claims.items() if node != TARGET}
    lost = field(five.sign(attempt, fewer, list(fewer)[:2]), "list")
    alive = field(five.sign(attempt, claims, [TARGET, *list(fewer)[2:]]), "list")
    assert len(lost) + len(alive) == 5
    for lists in (lost, alive, {**lost, **alive}):
        assert codes(five.reveal(attempt, lists.values())) == {Code.BAD_REQUEST}


def test_claiming_more_losses_than_the_margin_is_refused(five: Steps) -> None:
    _, attempt, _, claims = _given(five)
    few = dict(list(claims.items())[:3])
    assert codes(five.sign(attempt, few)) == {Code.BAD_REQUEST}


def test_a_reveal_signed_for_one_plan_is_no_use_for_another(make: Callable[..., Network]) -> None:
    network = make()
    first = Steps(network, network.plan(network.question(ASKED)))
    second = Steps(network, network.plan(network.question({"kind": "count"})))
    _, attempt, _, claims = _given(first)
    _, other, _, _ = _given(second)
    lists = field(first.sign(attempt, claims), "list")
    assert codes(second.sign(other, claims)) == {Code.BAD_REQUEST}
    assert codes(second.reveal(other, lists.values())) == {Code.BAD_REQUEST}


def test_different_plans_to_different_nodes_open_nothing(network: Network) -> None:
    """The others are asked for an empty cohort, so that the total would be the target's own."""
    rng = np.random.default_rng(2)
    mask = rng.integers(0, 2**63, 3)  # masks that do not know the plan cancel all the same
    asked, others = 41, 0
    total = (
        (asked + mask[0] - mask[1]) + (others + mask[1] - mask[2]) + (others + mask[2] - mask[0])
    )
    assert total == asked

    real = Steps(network, network.plan(network.question(ASKED)))
    empty = Steps(network, network.plan(network.question(ASKED, "age > 109")))
    peers = [node for node in network.nodes if node != TARGET]
    assert codes(real.reserve([TARGET])) == codes(empty.reserve(peers)) == {None}
    keys = real.keys()
    attempt, other = real.attempt(keys), empty.attempt(keys)
    given = {**real.contribute(attempt, keys, [TARGET]), **empty.contribute(other, keys, peers)}
    assert codes(given) == {None}
    claims = field(given, "claim")
    assert codes(real.sign(attempt, claims, [TARGET])) == {Code.BAD_REQUEST}
    assert codes(empty.sign(other, claims, peers)) == {Code.BAD_REQUEST}
    words = [np.frombuffer(a.blob, "<u8") for a in given.values() if isinstance(a, Body)]
    noisy = sum(words[1:], words[0]).astype(np.int64)
    assert np.abs(noisy).min() > 2**45, "the masks of two plans do not cancel"


# Substituted keys


def _adverts(network: Network) -> tuple[dict[str, Envelope], dict[str, str]]:
    wish = {
        "group": sorted(network.nodes),
        "roster": network.store.network.roster.digest,
        "t_drop": 0,
        "t_collude": 1,
        "sets": 2,
    }
    answers = network.link.ask_all(Ask.PREPARE_KEYS, tuple(sorted(network.nodes)), wish, 1.0)
    adverts = field(answers, "advert")
    return adverts, {n: str(e.to_json()["body"]["session"]) for n, e in adverts.items()}


def _impostor(network: Network, node: str, key: SigningKey) -> Envelope:
    """Mask keys that the coordinator made for itself, in the name of `node`."""
    roster = network.store.network.roster.digest
    group = tuple(sorted(network.nodes))
    session = Session.begin(
        node, key, group, roster=roster, threshold=3, sets=2, entropy=seeded_entropy("impostor")
    )
    return session.advert


def test_a_man_in_the_middle_swaps_a_peers_keys(network: Network) -> None:
    adverts, sessions = _adverts(network)
    forged = _impostor(network, "ms-league", network.key)
    assert (
        forged.open("key-advert", network.key.public)["node"] == "ms-league"
    )  # well made, but not hers
    other = {**adverts, "ms-league": forged}
    swapped = {**adverts, "ms-league": adverts["mood-circle"]}
    for bad in (other, swapped, {n: a for n, a in adverts.items() if n != "ms-league"}):
        wish = {"adverts": {n: a.to_json() for n, a in bad.items()}, "session": sessions[TARGET]}
        answers = network.link.ask_all(Ask.PREPARE_SHARES, (TARGET,), wish, 1.0)
        assert codes(answers) == {Code.BAD_REQUEST}


def test_keys_of_two_sessions_to_two_peers_open_nothing(network: Network) -> None:
    """Genuine adverts, but not everybody is shown the same ones."""
    adverts, sessions = _adverts(network)
    newer, _ = _adverts(network)
    shown = {**adverts, "ms-league": newer["ms-league"]}
    for node, view in ((TARGET, adverts), ("mood-circle", shown), ("ms-league", adverts)):
        wish = {"adverts": {n: a.to_json() for n, a in view.items()}, "session": sessions[node]}
        assert codes(network.link.ask_all(Ask.PREPARE_SHARES, (node,), wish, 1.0)) == {None}
    steps = Steps(network, network.plan(network.question(ASKED)))
    steps.reserve()
    keys = steps.keys()
    attempt = steps.attempt(keys, sessions=tuple(sessions[n] for n in sorted(network.nodes)))
    assert None not in codes(steps.contribute(attempt, keys, ["mood-circle"]))


def test_keys_for_a_group_outside_the_roster_are_not_made(network: Network) -> None:
    roster = network.store.network.roster.digest
    good = {"group": sorted(network.nodes), "roster": roster, "t_drop": 0, "t_collude": 1}
    for change, expected in (
        ({"group": ["als-union", "sybil-a", "sybil-b"]}, Code.ROSTER_MISMATCH),
        ({"roster": "0" * 64}, Code.ROSTER_MISMATCH),
        ({"group": ["mood-circle", "ms-league"]}, Code.BAD_REQUEST),
        ({"sets": 10**6}, Code.BAD_REQUEST),
    ):
        wish = {**good, "sets": 2, **change}
        assert codes(network.link.ask_all(Ask.PREPARE_KEYS, (TARGET,), wish, 1.0)) == {expected}


# Forged, redirected and changed packets


def _request(network: Network, key: SigningKey, to: str) -> Packet:
    at = instant_text(network.clock())
    return seal_request(key, to, Ask.HELLO, {}, request_id="r", at=at)


def test_requests_that_are_not_the_coordinators_get_no_answer(network: Network) -> None:
    service = network.nodes[TARGET].service
    good = _request(network, network.key, TARGET)
    assert service.handle(good)[1] is Ask.HELLO
    before = service.ledger.size
    for bad in (
        _request(network, SigningKey(b"x" * 32), TARGET),
        _request(network, network.key, "ms-league"),
        Packet(good.header, b"more"),
        Packet(good.header.replace(b"hello", b"ledge")),
        Packet(b""),
        Packet(b"[" * 10**5),
        Packet(b'{"body":1}'),
        Packet(b"\xff\xfe"),
    ):
        reply, ask = service.handle(bad)
        assert ask is None
        assert b"bad_signature" in reply.header
    since = [body.kind for body in network.nodes[TARGET].bodies[before:]]
    assert since == ["attempt-refused"] * 2, "unsigned, and signed but none: each once a day"


MALFORMED: list[tuple[Ask, dict[str, Any]]] = [
    (ask, payload)
    for ask in Ask
    if ask not in (Ask.HELLO,)
    for payload in ({}, {"plan": 1, "attempt": [], "group": 7, "from": "x", "session": {}})
]


@pytest.mark.parametrize(("ask", "payload"), MALFORMED)
def test_malformed_payloads_get_a_code_and_change_nothing(
    shared: Network, ask: Ask, payload: dict[str, Any]
) -> None:
    node = shared.nodes[TARGET]
    before = node.service.ledger.size
    [answer] = shared.link.ask_all(ask, (TARGET,), payload, 1.0).values()
    refusals = (Code.BAD_REQUEST, Code.INTERNAL, Code.KEYS_NOT_READY, Code.NOT_LINKED)
    assert code(answer) in refusals
    since = [body.kind for body in node.bodies[before:]]
    assert since in ([], ["attempt-refused"])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.support.network import make_network

    network = make_network(tmp_path_factory.mktemp("shared"))
    yield network
    network.close()


# Nodes that misbehave towards the coordinator


def _answering(wire: Wire, node: str, ask: Ask, payload: dict[str, Any], blob: bytes = b"") -> None:
    """From now on `node` answers `ask` with this, signed by its own key."""
    from privacy.contract.messages import seal_reply

    service = wire.nodes[node].service

    def change(to: str, asked: Ask, reply: Packet) -> Packet:
        if (to, asked) != (node, ask):
            return reply
        request = wire.asked(ask, node)[-1].request
        request_id = Envelope.from_bytes(request.header).to_json()["body"]["id"]
        return seal_reply(service.key, node, request_id, payload, blob)

    wire.inbound.append(change)


@pytest.mark.parametrize("ask", [Ask.HELLO, Ask.LEDGER, Ask.WITNESS, Ask.PREPARE_KEYS])
@pytest.mark.parametrize("payload", [{}, {"size": "x", "advert": 1, "boot": [], "nonce": {}}])
def test_one_node_that_answers_nonsense_does_not_stop_the_others(
    network: Network, ask: Ask, payload: dict[str, Any]
) -> None:
    network.nodes["ms-league"].restart()
    _answering(network.wire, "mood-circle", ask, payload)
    network.stock.drop_node("mood-circle")
    network.contact.pass_once()
    network.wire.heal()
    network.settle()
    assert network.ask(ASKED).release


@pytest.mark.parametrize("ask", [Ask.CONTRIBUTE, Ask.SIGN_SURVIVORS, Ask.REVEAL])
@pytest.mark.parametrize("payload", [{}, {"claim": 7, "list": [], "shares": {"body": 1}}])
def test_a_node_that_answers_nonsense_in_the_middle_is_a_lost_node(
    five: Steps, ask: Ask, payload: dict[str, Any]
) -> None:
    _answering(five.network.wire, "stroke-club", ask, payload, b"odd")
    run = five.network.run(five.compiled)
    assert run.release, (run.code, run.fields)


def test_a_node_whose_vector_is_not_the_one_it_signed_is_lost(five: Steps) -> None:
    network = five.network
    real: dict[str, Any] = {}

    def change(node: str, ask: Ask, reply: Packet) -> Packet:
        if (node, ask) != ("stroke-club", Ask.CONTRIBUTE):
            return reply
        from privacy.contract.messages import seal_reply

        body = Envelope.from_bytes(reply.header).to_json()["body"]
        blob = bytes(8 * five.plan.rounds[0].length)
        real["lost"] = node
        key = network.nodes[node].service.key
        return seal_reply(key, node, body["request"], body["payload"], blob)

    network.wire.inbound.append(change)
    run = network.run(five.compiled)
    assert real == {"lost": "stroke-club"}
    statement = network.store.releases.get(run.release or "").envelope.to_json()["body"]
    assert statement["rounds"][0]["survivors"] == [
        n for n in net_data.MORE_NODES if n != "stroke-club"
    ]


def test_refusal_fields_of_a_node_cannot_break_the_coordinator(network: Network) -> None:
    from privacy.contract.messages import seal_refusal
    from privacy.errors import Refused

    for fields in ({"nodes": "9"}, {"node": "x"}, {"code": "x"}, {"self": "x"}):

        def change(node: str, ask: Ask, reply: Packet, fields: dict[str, str] = fields) -> Packet:
            if (node, ask) != (TARGET, Ask.RESERVE):
                return reply
            request = Envelope.from_bytes(reply.header).to_json()["body"]["request"]
            refused = Refused(Code.PAUSED)
            refused.public_fields = fields
            return seal_refusal(network.nodes[node].service.key, node, request, refused)

        network.wire.inbound = [change]
        run = network.ask(ASKED, nonce=str(fields))
        assert run.code in (Code.PAUSED.value, Code.BAD_SIGNATURE.value)


# The budget


def test_a_budget_of_one_is_exactly_one_question_of_one(make: Callable[..., Network]) -> None:
    network = make(epsilon_allowance="1")
    assert network.ask(ASKED, epsilon="1").release
    before = {name: network.spent(name) for name in network.nodes}
    for epsilon in ("1", "0.1", "0.01"):
        run = network.ask({"kind": "count"}, f"age > {epsilon}", epsilon=epsilon)
        assert run.code == Code.STUDY_BUDGET_EXCEEDED.value
    assert {name: network.spent(name) for name in network.nodes} == before


def test_over_budget_is_refused_however_the_coordinator_asks(make: Callable[..., Network]) -> None:
    network = make(epsilon_allowance="1")
    bold = Steps(network, network.plan(network.question(ASKED, epsilon="2")))
    assert codes(bold.reserve()) == {Code.STUDY_BUDGET_EXCEEDED}
    many = Steps(network, network.plan(network.question(ASKED, epsilon="1", max_attempts=2)))
    assert codes(many.reserve()) == {Code.STUDY_BUDGET_EXCEEDED}
    keys = bold.keys()
    assert codes(bold.contribute(bold.attempt(keys), keys)) == {Code.ATTEMPT_LOST}
    # two plans at once: what is set aside counts as spent
    pair = [Steps(network, network.plan(network.question(ASKED, epsilon="1"))) for _ in range(2)]
    assert codes(pair[0].reserve()) == {None}
    assert codes(pair[1].reserve()) == {Code.STUDY_BUDGET_EXCEEDED}
    assert {network.spent(name)[0] for name in network.nodes} == {0}


def test_the_years_budget_of_the_organisation_holds_for_all_studies(
    make: Callable[..., Network],
) -> None:
    network = make(epsilon_allowance="10", yearly_epsilon="1")
    assert network.ask(ASKED, epsilon="1").release
    assert network.ask({"kind": "count"}, epsilon="1").code == Code.BUDGET_EXCEEDED.value
    network.clock.forward(days=30)
    assert network.ask({"kind": "count"}, epsilon="1").code == Code.BUDGET_EXCEEDED.value


def test_a_signed_request_played_again_later_changes_nothing(network: Network) -> None:
    assert network.ask(ASKED).release
    sizes = {name: node.service.ledger.size for name, node in network.nodes.items()}
    for exchange in list(network.wire.log):
        if exchange.ask not in (Ask.HELLO, Ask.PREPARE_KEYS):
            network.nodes[exchange.node].service.handle(exchange.request)
    assert {name: node.service.ledger.size for name, node in network.nodes.items()} == sizes
    assert network.ask({"kind": "count"}).release
