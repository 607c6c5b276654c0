"""The coordinator takes a new key: nodes and auditors follow what the old key signed, no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from coordinator.audit.overview import overview
from coordinator.audit.verify import Pinned, verified
from coordinator.home import Home
from coordinator.own_key import check_own_key, rotate_key
from coordinator.store.facts import CheckpointFacts
from node.cli import app
from node.service import NodeService
from node.steward import Steward
from privacy.contract.canonical import b64
from privacy.contract.coordinator_key import (
    CHANGE,
    CoordinatorKey,
    check_chain,
    followed,
    key_after,
)
from privacy.contract.messages import Ask, open_reply, seal_request
from privacy.contract.packet import Packet
from privacy.contract.policy import Rules
from privacy.contract.signing import SigningKey
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.attempt_entry import Attempted
from privacy.ledger.coordinator_entry import (
    CoordinatorAccepted,
    CoordinatorForked,
    CoordinatorKeyChanged,
    accept_word,
)
from privacy.ledger.coordinators import is_fork
from tests.support.ledger_factory import COST, fresh_ledger, signing_key
from tests.support.net_bundle import bundle
from tests.support.network import COORDINATOR, NOW, Network, rekeyed
from tests.support.rotating import coordinator_home, rotate
from tests.support.seeded import seeded_entropy
from tests.support.stewards import join_stewards, said

COUNT = {"kind": "count"}
NODE, OTHER = "als-union", "mood-circle"
NEXT, THIRD, THIEF = (signing_key(f"coordinator {name}") for name in ("next", "third", "thief"))
AT = instant_text(NOW)


def change(
    old: SigningKey = COORDINATOR, new: SigningKey = NEXT, number: int = 1, until: int = 5
) -> CoordinatorKey:
    return CoordinatorKey.of(old, new, ("test", number, until), at=AT, reason="")


def keys_of(network: Network) -> set[str]:
    return {node.service.coordinator.text for node in network.nodes.values() if node.up}


def say(service: NodeService, key: SigningKey, ask: Ask, payload: dict[str, Any]) -> Code | None:
    """What a node answers to one request under a key: None for anything but a refusal."""
    packet = seal_request(key, service.node, ask, payload, request_id="1", at=AT)
    try:
        open_reply(service.handle_all([packet])[0], service.key.public, service.node, "1")
    except Refused as refused:
        return refused.code
    except VerificationFailed:
        return Code.BAD_SIGNATURE  # it answers no request of a stranger's by its number
    return None


def show(service: NodeService, key: SigningKey, *changes: CoordinatorKey) -> Code | None:
    return say(service, key, Ask.FOLLOW_KEY, {"changes": [each.to_json() for each in changes]})


# the chain


def test_a_chain_is_followed_as_far_as_each_key_signed_the_next() -> None:
    first, second = change(), change(NEXT, THIRD, 2, 9)
    check_chain((first, second), "test")
    assert followed((first, second), COORDINATOR.public.text) == (first, second)
    assert followed((first, second), NEXT.public.text) == (second,)
    assert followed((first, second), THIRD.public.text) == ()
    key = key_after((first, second), COORDINATOR.public)
    assert [key.at(place) for place in (0, 4, 5, 8, 9)] == [
        COORDINATOR.public,
        COORDINATOR.public,
        NEXT.public,
        NEXT.public,
        THIRD.public,
    ]
    unsigned = CoordinatorKey.of(NEXT.public, THIRD, ("test", 2, 9), at=AT, reason="stolen")
    check_chain((first, unsigned), "test")
    assert followed((first, unsigned), COORDINATOR.public.text) == (first,)
    with pytest.raises(VerificationFailed):
        followed((first, second), THIEF.public.text)


def mutants() -> dict[str, tuple[CoordinatorKey, ...]]:
    """Chains that no honest coordinator ever signed."""
    first, second = change(), change(NEXT, THIRD, 2, 9)
    by_old = b64(THIEF.sign(CHANGE, b"said"))
    return {
        "only the old key": (first.model_copy(update={"by_new": first.by_old}),),
        "only the new key": (first.model_copy(update={"by_old": first.by_new}),),
        "a thief's signature": (first.model_copy(update={"by_old": by_old}),),
        "another new key": (first.model_copy(update={"new": THIEF.public.text}),),
        "another old key": (first.model_copy(update={"old": THIEF.public.text}),),
        "another line": (first.model_copy(update={"until": 6}),),
        "another reason": (first.model_copy(update={"reason": "none"}),),
        "another time": (first.model_copy(update={"at": "2027-01-01T00:00:00Z"}),),
        "a gap": (second,),
        "out of order": (second, first),
        "twice": (first, first),
        "not from the last": (first, change(COORDINATOR, THIRD, 2, 9)),
        "lines taken back": (first, change(NEXT, THIRD, 2, 5)),
        "back to the first": (first, change(NEXT, COORDINATOR, 2, 9)),
    }


@pytest.mark.parametrize("name", mutants())
def test_no_mutant_of_a_chain_holds(name: str) -> None:
    with pytest.raises(VerificationFailed):
        check_chain(mutants()[name], "test")


def test_a_change_of_another_network_does_not_hold() -> None:
    with pytest.raises(VerificationFailed, match="another network"):
        check_chain((change(),), "other")


# the ledger's rules


def test_a_ledger_follows_signed_changes_in_order_and_no_others() -> None:
    book = fresh_ledger("alpha", COST * 10, {"als": COST * 10})
    genesis = book.state.genesis
    assert genesis is not None

    def entry(old: SigningKey, new: SigningKey, number: int, **other: Any) -> CoordinatorKeyChanged:
        place = (other.get("network", genesis.network), number, number * 10)
        made = CoordinatorKey.of(old, new, place, at=AT, reason="")
        return CoordinatorKeyChanged(change=made)

    book.append(entry(COORDINATOR, NEXT, 1))
    lost = CoordinatorKey.of(NEXT.public, THIRD, (genesis.network, 2, 20), at=AT, reason="")
    for body in (
        entry(COORDINATOR, NEXT, 1),
        entry(COORDINATOR, THIRD, 2),
        entry(NEXT, THIRD, 2, network="other"),
        entry(NEXT, COORDINATOR, 2),
        CoordinatorKeyChanged(change=lost),
    ):
        with pytest.raises(Refused):
            book.append(body)
    book.append(entry(NEXT, THIRD, 2))
    assert book.state.coordinator == THIRD.public.text


# a network


def test_the_network_goes_on_under_the_new_key(network: Network, tmp_path: Path) -> None:
    assert network.ask(COUNT).release
    before = network.spent(NODE)
    network.nodes[OTHER].stop()
    rotate(network, tmp_path)
    network.settle()
    rotate(network, tmp_path)
    network.nodes[OTHER].start()  # it was away, and hears of both
    network.settle()
    assert keys_of(network) == {network.key.public.text}
    for node in network.nodes.values():
        assert node.steward.coordinator()["refused"] == [], "what was followed is refused no more"
        assert node.kinds("coordinator-key") == ["coordinator-key"] * 2
        assert "attempt-refused" not in [body.kind for body in node.bodies], (
            "an honest change is no attack"
        )
        assert say(node.service, COORDINATOR, Ask.HELLO, {}) is Code.BAD_SIGNATURE
    assert network.spent(NODE) == before
    assert network.ask(COUNT, "age > 40").release
    for node in network.nodes.values():
        node.restart()  # the ledger says which key is in force
    network.settle()
    assert network.ask(COUNT, "age > 45").release
    folder = bundle(network, tmp_path / "bundle")
    for known in (COORDINATOR, network.key):
        report = verified(folder, pinned=Pinned(known.public)).report
        assert report.pinned
        assert [each.signed for each in report.key_changes] == [True, True]
    with pytest.raises(VerificationFailed, match="does not follow"):
        verified(folder, pinned=Pinned(THIEF.public))


def test_what_was_reserved_under_the_old_key_goes_on_and_is_charged_once(
    network: Network, tmp_path: Path
) -> None:
    plain = network.ask(COUNT, "age > 50")
    cost = network.spent(NODE)[0]
    assert plain.release
    compiled = network.plan(network.question(COUNT, "age > 40"))
    run = network.queue(compiled)
    network.rounds.reserve(compiled.envelope, compiled.plan)
    assert network.spent(NODE) == (cost, cost)
    rotate(network, tmp_path)  # runs go on before any node was greeted
    network.execution.execute(run.id)
    assert network.execution.wait(run.id, 600)
    network.execution.over(run.id)
    assert network.store.runs.get(run.id).release
    assert network.spent(NODE) == (2 * cost, 0)
    assert network.nodes[NODE].kinds("reserve", "commit") == ["reserve", "commit"] * 2
    verified(bundle(network, tmp_path / "bundle"), pinned=Pinned(COORDINATOR.public))


def test_a_change_goes_on_where_it_was_cut_off(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, entropy = coordinator_home(tmp_path), seeded_entropy("cut off")

    def stop(*_args: object) -> None:
        raise KeyboardInterrupt

    def again() -> CoordinatorKey:
        return rotate_key(where, network.store, lost=False, reason="", entropy=entropy, now=NOW)

    with monkeypatch.context() as cut:
        cut.setattr(type(network.store.network), "put_key_change", stop)
        with pytest.raises(KeyboardInterrupt):
            again()
    assert check_own_key(where, network.store).public == COORDINATOR.public
    with monkeypatch.context() as cut:
        cut.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            again()
    with pytest.raises(BadInput, match="not the key in force"):
        check_own_key(where, network.store)
    made = again()
    assert check_own_key(where, network.store).public.text == made.new
    assert len(network.store.network.key_changes()) == 1


# attacks


def followed_once(network: Network, folder: Path) -> tuple[NodeService, CoordinatorKey]:
    rotate(network, folder)
    network.settle()
    return network.nodes[NODE].service, network.store.network.key_changes()[0]


def test_a_node_follows_no_mutant_and_shows_that_it_was_tried(network: Network) -> None:
    node = network.nodes[NODE]
    size = node.service.ledger.size
    for name, changes in mutants().items():
        assert show(node.service, NEXT, *changes) is Code.BAD_SIGNATURE, name
        assert node.service.coordinator == COORDINATOR.public
    assert node.service.ledger.size == size + 1, "that it was tried, once a day"
    assert node.bodies[-1].what is Attempted.KEY_CHANGE
    assert len(node.steward.status()["coordinator"]["refused"]) == len(mutants())


def test_the_old_key_alone_does_nothing_more(network: Network, tmp_path: Path) -> None:
    service, made = followed_once(network, tmp_path)
    assert show(service, COORDINATOR, made) is None, "what is known already changes nothing"
    assert say(service, COORDINATOR, Ask.HELLO, {}) is Code.BAD_SIGNATURE
    roster = network.store.network.roster_envelope
    assert roster.key == COORDINATOR.public
    offered = {"roster": roster.to_json()}
    assert say(service, network.key, Ask.OFFER_ROSTER, offered) is Code.BAD_REQUEST
    stolen = network.plan(network.question(COUNT), key=COORDINATOR)
    wish = {"plan": stolen.envelope.to_json()}
    assert say(service, network.key, Ask.RESERVE, wish) is Code.BAD_SIGNATURE
    refused = network.nodes[NODE].steward.status()["coordinator"]["refused"]
    assert refused[-1]["fingerprint"] == COORDINATOR.public.fingerprint


def test_an_old_change_that_is_shown_again_changes_nothing(
    network: Network, tmp_path: Path
) -> None:
    service, first = followed_once(network, tmp_path)
    rotate(network, tmp_path)
    network.settle()
    assert show(service, network.key, first) is Code.BAD_SIGNATURE
    assert service.coordinator == network.key.public
    assert network.nodes[NODE].bodies[-1].what is Attempted.KEY_CHANGE


def test_two_successors_of_one_key_stop_a_node_until_a_steward_decides(
    network: Network, tmp_path: Path
) -> None:
    service, made = followed_once(network, tmp_path)
    forked = change(COORDINATOR, THIEF, 1, made.until)
    assert show(service, THIEF, forked) is Code.HISTORY_BROKEN
    assert service.coordinator == network.key.public
    node = network.nodes[NODE]
    assert node.kinds("coordinator-forked") == ["coordinator-forked"]
    (stopped,) = node.steward.status()["stopped"]
    assert THIEF.public.fingerprint in stopped
    assert network.ask(COUNT).release is None
    node.steward.accept_coordinator(network.key.public.fingerprint, "asked Kim by telephone")
    assert not node.steward.status()["stopped"]
    assert show(service, THIEF, forked) is Code.BAD_SIGNATURE, "decided once"
    network.settle()
    assert network.ask(COUNT, "age > 40").release
    found = verified(bundle(network, tmp_path / "bundle"), pinned=Pinned(COORDINATOR.public))
    (mine,) = [each for each in found.report.nodes if each.node == NODE]
    assert [each.kind for each in mine.breaks] == ["coordinator-forked", "coordinator-accepted"]


def test_a_fork_that_was_seen_before_the_peers_confirmed_is_entered_once_they_did(
    network: Network, tmp_path: Path
) -> None:
    node = network.nodes[NODE]
    node.stop()
    rotate(network, tmp_path)
    network.settle()
    node.restart()
    made = network.store.network.key_changes()[0]
    forked = change(COORDINATOR, THIEF, 1, made.until)
    assert show(node.service, network.key, made) is None
    size = node.service.ledger.size
    assert show(node.service, THIEF, forked) is Code.HISTORY_BROKEN
    assert (node.service.coordinator, node.service.ledger.size) == (network.key.public, size)
    network.settle()
    kinds = ("coordinator-key", "coordinator-forked")
    assert node.kinds(*kinds) == list(kinds)
    (stopped,) = node.steward.status()["stopped"]
    assert THIEF.public.fingerprint in stopped
    network.settle()
    assert node.kinds(*kinds) == list(kinds), "once"
    assert network.ask(COUNT).release is None


def test_a_fork_that_the_ledger_cannot_take_is_entered_later(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, made = followed_once(network, tmp_path)
    forked = change(COORDINATOR, THIEF, 1, made.until)

    def stopped(*_given: object, **_named: object) -> None:
        raise Refused(Code.LEDGER_STOPPED)

    with monkeypatch.context() as full:
        full.setattr(type(service.ledger), "append", stopped)
        assert show(service, THIEF, forked) is Code.HISTORY_BROKEN
    assert network.nodes[NODE].kinds("coordinator-forked") == []
    network.settle()
    assert network.nodes[NODE].kinds("coordinator-forked") == ["coordinator-forked"]


def test_a_second_successor_of_a_key_that_came_back_is_seen() -> None:
    book = fresh_ledger("alpha", COST * 10, {"als": COST * 10})
    network = book.state.genesis.network if book.state.genesis else ""

    def to(new: SigningKey, until: int) -> CoordinatorKey:
        return CoordinatorKey.of(COORDINATOR, new, (network, 1, until), at=AT, reason="")

    book.append(CoordinatorKeyChanged(change=to(NEXT, 5)))
    back = {"old": NEXT.public.text, "key": COORDINATOR.public.text, "by": "Ina"}
    book.append(CoordinatorAccepted(**back, reason="the first one after all"))
    book.append(CoordinatorKeyChanged(change=to(THIRD, 9)))
    assert not is_fork(book.state, to(THIRD, 9))
    assert is_fork(book.state, to(THIEF, 9))
    book.append(CoordinatorForked(change=to(THIEF, 9)))
    assert book.state.forked == THIEF.public.text


def test_a_thief_who_was_followed_is_seen_and_left_by_a_steward(
    network: Network, tmp_path: Path
) -> None:
    """The stolen key signs first; the coordinator, which cannot know, signs another later."""
    node = network.nodes[NODE]
    stolen = change(COORDINATOR, THIEF, 1, network.store.log.size())
    assert show(node.service, THIEF, stolen) is None
    assert node.service.coordinator == THIEF.public
    rotate(network, tmp_path, lost=True)
    network.settle()
    with pytest.raises(VerificationFailed, match="not the coordinator's"):
        _verified_with_copy(network, tmp_path / "early")
    for each in network.nodes.values():
        each.steward.accept_coordinator(network.key.public.fingerprint, "theft of 3 May")
    network.settle()
    assert keys_of(network) == {network.key.public.text}
    assert network.ask(COUNT).release
    found = verified(bundle(network, tmp_path / "late"), pinned=Pinned(network.key.public))
    (mine,) = [each for each in found.report.nodes if each.node == NODE]
    assert [each.kind for each in mine.breaks] == ["coordinator-key", "coordinator-accepted"]


def _verified_with_copy(network: Network, folder: Path) -> None:
    """The ledger of the node that the thief has, as an organisation hands it over itself."""
    node = network.nodes[NODE].service
    first = network.store.ledgers.size(NODE)
    lines = node.ledger.entries(first)
    head = CheckpointFacts(NODE, NODE, node.ledger.size, node.ledger.checkpoint(), None)
    network.store.ledgers.keep(NODE, first, lines, [head])
    verified(bundle(network, folder), pinned=Pinned(network.key.public))


# a key that is lost


def test_a_lost_key_is_replaced_where_stewards_say_so(network: Network, tmp_path: Path) -> None:
    assert network.ask(COUNT).release
    before = network.spent(NODE)
    coordinator_home(tmp_path).identity_file.unlink()
    with pytest.raises(BadInput, match="missing"):
        check_own_key(Home(tmp_path / "coordinator"), network.store)
    where = Home(tmp_path / "coordinator")
    rotate_key(where, network.store, lost=True, reason="fire", entropy=seeded_entropy("x"), now=NOW)
    rekeyed(network, check_own_key(where, network.store))
    network.settle()
    assert keys_of(network) == {COORDINATOR.public.text}, "nobody follows by itself"
    print_ = network.key.public.fingerprint
    for node in network.nodes.values():
        assert node.steward.status()["coordinator"]["offered"] == print_
        with pytest.raises(BadInput, match="no key of this fingerprint"):
            node.steward.accept_coordinator(THIEF.public.fingerprint, "fire")
        node.steward.accept_coordinator(print_, "fire; compared by telephone")
    network.settle()
    assert network.spent(NODE) == before
    assert network.ask(COUNT, "age > 40").release
    folder = bundle(network, tmp_path / "bundle")
    with pytest.raises(VerificationFailed, match="without the word of the one known"):
        verified(folder, pinned=Pinned(COORDINATOR.public))
    found = verified(folder, pinned=Pinned(network.key.public))
    assert [each.signed for each in found.report.key_changes] == [False]
    for organisation in overview(found):
        assert any("without the old one's word" in each for each in organisation.remarks)


def test_where_two_stewards_decide_a_key_is_accepted_by_a_stewards_own(network: Network) -> None:
    node = network.nodes[NODE]
    (ina,) = join_stewards(node, "Ina")
    rules = Rules(approvers=2)
    policy = node.service.policy.model_copy(update={"rules": rules, "by": "Ina", "signed": None})
    node.service.ledger.append(policy)
    key, why = NEXT.public.text, "fire"
    with pytest.raises(Refused) as caught:
        node.steward.accept_coordinator(key, why)
    assert caught.value.code is Code.NOT_PERMITTED
    other = said(node, ina, accept_word(THIEF.public.text, why))
    with pytest.raises(Refused):
        Steward(node.parts, "Ina").accept_coordinator(key, why, other)
    signed = said(node, ina, accept_word(key, why))
    Steward(node.parts, "Ina").accept_coordinator(key, why, signed)
    assert node.service.coordinator == NEXT.public
    with pytest.raises(Refused):
        Steward(node.parts, "Ina").accept_coordinator(key, why, signed)


def test_a_key_is_accepted_from_the_shell(network: Network) -> None:
    node = network.nodes[NODE]
    node.stop()
    line = ["accept-coordinator", "--key", NEXT.public.text, "--reason", "fire"]
    done = CliRunner().invoke(app, [*line, "--dir", str(node.home.root)])
    assert done.exit_code == 0, done.stderr
    assert NEXT.public.fingerprint in done.stdout
    again = CliRunner().invoke(app, [*line, "--dir", str(node.home.root)])
    assert again.exit_code == 3
    said = CliRunner().invoke(app, ["coordinator", "--dir", str(node.home.root)])
    assert json.loads(said.stdout)["fingerprint"] == NEXT.public.fingerprint
    assert node.home.settings().coordinator == COORDINATOR.public, "the ledger says, not the file"


def test_a_node_that_was_restored_writes_no_change_before_its_peers_confirmed_it(
    make: Callable[..., Network], tmp_path: Path
) -> None:
    network = make()
    node = network.nodes[NODE]
    node.copy_ledger(tmp_path / "copy.sqlite")
    assert network.ask(COUNT).release
    rotate(network, tmp_path)
    network.settle()
    network.mirror.sync(tuple(network.nodes))
    node.restore_ledger(tmp_path / "copy.sqlite")
    size = node.service.ledger.size
    network.contact.pass_once()
    assert node.service.coordinator == network.key.public, "it is followed"
    assert node.service.ledger.size == size, "and nothing was written"
    network.settle()
    node.steward.recover("disk replaced")
    network.settle()
    assert node.kinds("coordinator-key") == ["coordinator-key"]
    assert node.service.witnessing.done


def test_a_packet_that_is_none_is_refused_as_ever(network: Network) -> None:
    service = network.nodes[NODE].service
    answer = service.handle_all([Packet(b"{}", b"")])[0]
    with pytest.raises((VerificationFailed, Refused)):
        open_reply(answer, service.key.public, NODE, "1")
