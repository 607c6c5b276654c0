"""A key that was revoked asks nothing any more: not at the coordinator, and not at a node whatever
the coordinator says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.audit.verify import verify_bundle
from coordinator.people import revoke
from coordinator.store.facts import RunState
from node.gate import decide
from privacy.contract.messages import Ask
from privacy.contract.revocation import Revocation
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.entry import KeysRevoked
from tests.support.bundle_factory import COORDINATOR, NETWORK
from tests.support.bundle_factory import Network as Bundled
from tests.support.ledger_factory import signing_key
from tests.support.network import Network

KEYS = sorted(signing_key(name).public.text for name in ("a", "b", "c"))
RESEARCHER = signing_key("researcher").public.text


def _offer(network: Network, envelope: Envelope) -> None:
    said = {"revocation": envelope.to_json()}
    network.link.ask_all(Ask.OFFER_REVOCATION, tuple(network.nodes), said, 1.0)


def _revoked(network: Network) -> Revocation:
    made = revoke(network.store, network.key, network.principal, instant_text(network.clock()))
    assert made is not None
    return made


def test_a_revoked_researcher_is_refused_by_every_node_and_nothing_is_charged(
    network: Network,
) -> None:
    assert network.ask({"kind": "count"}).state is RunState.RELEASED
    before = {node: network.spent(node) for node in network.nodes}
    listed = _revoked(network)
    assert listed.keys == (network.researcher.signing_key.public.text,)
    network.settle()
    for node in network.nodes.values():
        assert node.service.ledger.state.revoked == set(listed.keys)
        assert node.kinds("revoked") == ["revoked"]
    run = network.ask({"kind": "count"}, "age > 50")
    assert (run.state, run.code) == (RunState.REFUSED, "key_revoked")
    assert {node: network.spent(node) for node in network.nodes} == before
    network.settle()
    for name, node in network.nodes.items():
        assert network.store.ledgers.size(name) == node.service.ledger.size


def test_a_list_is_offered_once_and_again_only_when_it_grew(network: Network) -> None:
    listed = _revoked(network)
    for _ in range(3):
        network.settle()
    assert len(network.wire.asked(Ask.OFFER_REVOCATION)) == len(network.nodes)
    for node in network.nodes.values():
        node.restart()
    network.settle()
    assert len(network.wire.asked(Ask.OFFER_REVOCATION)) == len(network.nodes)
    again = revoke(network.store, network.key, network.principal, "2026-03-10T12:00:00Z")
    assert again == listed
    assert len(network.store.network.revocations()) == 1


def test_a_node_that_was_away_hears_of_it_when_it_comes_back(network: Network) -> None:
    away = network.nodes["ms-league"]
    away.stop()
    listed = _revoked(network)
    network.settle()
    away.start()
    network.settle()
    assert away.service.ledger.state.revoked == set(listed.keys)
    away.restart()
    assert away.service.facts().revoked == set(listed.keys)


def test_a_shorter_list_gives_no_key_back(network: Network) -> None:
    """Whoever has the coordinator's key can shut out, and can let nobody in again."""
    listed = _revoked(network)
    network.settle()
    stranger = signing_key("stranger").public.text
    for keys in ((stranger,), tuple(sorted({stranger, *listed.keys}))):
        other = Revocation(network=listed.network, number=9, keys=keys)
        envelope = Envelope.seal("revocation", other.to_json(), network.key)
        _offer(network, envelope)
    for node in network.nodes.values():
        assert node.service.ledger.state.revoked == {stranger, *listed.keys}
        bodies = [body for body in node.bodies if isinstance(body, KeysRevoked)]
        assert [body.keys for body in bodies] == [listed.keys, (stranger,)]


@pytest.mark.parametrize("wrong", ["signer", "network", "kind"])
def test_a_list_that_is_not_the_coordinators_for_this_network_is_no_list(
    wrong: str, network: Network
) -> None:
    key = SigningKey(b"w" * 32) if wrong == "signer" else network.key
    name = "another" if wrong == "network" else network.store.network.id
    listed = Revocation(network=name, number=1, keys=(RESEARCHER,))
    envelope = Envelope.seal("study" if wrong == "kind" else "revocation", listed.to_json(), key)
    _offer(network, envelope)
    for node in network.nodes.values():
        assert node.service.ledger.state.revoked == frozenset()


def test_a_run_under_way_ends_for_a_revoked_key(network: Network) -> None:
    compiled = network.plan(network.question({"kind": "count"}))
    facts = network.nodes["als-union"].service.facts()
    decide(compiled.envelope, facts, reserved=True)
    gone = replace(facts, revoked=frozenset({compiled.plan.signer.text}))
    with pytest.raises(Refused) as refused:
        decide(compiled.envelope, gone, reserved=True)
    assert refused.value.code is Code.KEY_REVOKED


@pytest.mark.parametrize(
    ("number", "keys"),
    [(0, KEYS), (1, []), (1, KEYS[::-1]), (1, KEYS[:1] * 2), (1, ["AAAA"])],
)
def test_a_list_has_one_form(number: int, keys: list[str]) -> None:
    with pytest.raises(BadInput):
        Revocation.from_json({"network": "n", "number": number, "keys": keys})


def _list(number: int, *keys: str, network: str = NETWORK) -> Envelope:
    made = Revocation(network=network, number=number, keys=tuple(sorted(keys)))
    return Envelope.seal("revocation", made.to_json(), COORDINATOR)


def test_an_auditor_sees_which_keys_a_node_was_told_of(tmp_path: Path) -> None:
    bundled = Bundled()
    bundled.ask()
    first, second = _list(1, *KEYS[:2]), _list(2, *KEYS)
    for ledger in bundled.ledgers.values():
        ledger.append(KeysRevoked(revocation=first.digest, keys=tuple(KEYS[:2])))
        ledger.append(KeysRevoked(revocation=second.digest, keys=tuple(KEYS[2:])))
    bundled.ask("0.25")
    folder = bundled.write(tmp_path / "b", revocations=(first, second))
    report = verify_bundle(folder)
    said = [c for node in report.nodes for c in node.changes if c.kind == "revoked"]
    assert len(said) == 2 * len(bundled.ledgers)


def test_an_auditor_finds_a_charge_for_a_revoked_key(tmp_path: Path) -> None:
    """A node that goes on answering has a ledger that no honest node would write."""
    bundled = Bundled()
    plan = bundled.ask()
    listed = _list(1, plan.signer.text)
    for ledger in bundled.ledgers.values():
        ledger.append(KeysRevoked(revocation=listed.digest, keys=(plan.signer.text,)))
    with pytest.raises(Refused) as refused:
        bundled.ask("0.25")
    assert refused.value.code is Code.KEY_REVOKED


@pytest.mark.parametrize("lists", ["none", "shorter", "gap", "other network"])
def test_an_auditor_finds_a_list_that_is_missing_or_was_shortened(
    lists: str, tmp_path: Path
) -> None:
    bundled = Bundled()
    whole = _list(1, *KEYS)
    for ledger in bundled.ledgers.values():
        ledger.append(KeysRevoked(revocation=whole.digest, keys=tuple(KEYS)))
    shown = {
        "none": (),
        "shorter": (whole, _list(2, *KEYS[:2])),
        "gap": (_list(2, *KEYS),),
        "other network": (_list(1, *KEYS, network="else"),),
    }[lists]
    folder = bundled.write(tmp_path / "b", revocations=shown)
    with pytest.raises(VerificationFailed):
        verify_bundle(folder)
