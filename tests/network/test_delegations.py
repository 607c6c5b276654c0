"""Asking in a researcher's name: within its cap, time, study and key, counted at every node."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator.audit.verify import verify_bundle
from coordinator.client.delegating import Delegated, delegate
from coordinator.client.errors import BadInput
from coordinator.people import list_revoked, revoke
from privacy.contract.delegation import LONGEST, Delegation, ended_delegation
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.study import Study
from privacy.contract.time import instant_text
from privacy.errors import Code, VerificationFailed
from privacy.ledger.entry import Reserve
from privacy.ledger.state import delegation_account
from tests.support.net_bundle import bundle
from tests.support.network import Network
from tests.support.seeded import seeded_entropy

ASKED = {"kind": "count", "by": ["treatment"]}
BROWSER, THIEF = SigningKey(b"b" * 32), SigningKey(b"t" * 32)
TARGET = "als-union"


def made(network: Network, epsilon: str = "1", hours: float = 8, **changes: Any) -> Delegated:
    return delegate(
        changes.get("study", network.study),
        changes.get("signer", network.researcher.signing_key),
        epsilon,
        hours,
        BROWSER.public.text,
        now=network.clock(),
        entropy=seeded_entropy("delegate"),
    )


def ask(network: Network, leave: Envelope, **changes: Any) -> str:
    """What the run ends with, "" for a release."""
    asked = {"signer": BROWSER, "delegation": leave.to_json(), **changes}
    analysis = asked.pop("analysis", ASKED)
    return network.ask(analysis, **asked).code


def test_a_delegate_asks_in_the_researchers_name_and_the_ledger_says_so(network: Network) -> None:
    leave = made(network)
    assert ask(network, leave.envelope) == ""
    for node in network.nodes.values():
        (body,) = [b for b in node.bodies if isinstance(b, Reserve)]
        assert body.researcher == network.researcher.signing_key.public.text
        assert body.delegation is not None
        assert body.delegation.key == BROWSER.public.text
        state = node.service.ledger.state
        assert state.part_spent(delegation_account(leave.envelope.digest)) == state.total_charged


def test_a_delegation_is_spent_at_every_node_and_a_new_one_needs_the_researcher(
    network: Network,
) -> None:
    leave = made(network, "1")
    assert ask(network, leave.envelope, epsilon="0.8") == ""
    second = {"analysis": {"kind": "count"}, "epsilon": "0.8"}
    assert ask(network, leave.envelope, **second) == Code.DELEGATION_EXCEEDED.value
    for node in network.nodes.values():
        node.restart()
    network.settle()
    assert ask(network, leave.envelope, **second) == Code.DELEGATION_EXCEEDED.value
    assert network.ask({"kind": "count"}, epsilon="0.8").release, "her own hand is not bound by it"


def end(leave: Delegated, network: Network, key: SigningKey | None = None) -> str:
    signer = key or network.researcher.signing_key
    said = leave.end(signer, network.clock())
    return ended_delegation(*(Envelope.from_json(said[name]) for name in ("delegation", "end")))


def test_a_delegation_is_taken_back_by_who_gave_it(network: Network) -> None:
    """That delegation alone: another to the same key still holds."""
    leave, other = made(network), made(network, hours=9)
    assert ask(network, leave.envelope) == ""
    with pytest.raises(BadInput, match="another key than yours"):
        end(leave, network, THIEF)
    said = leave.end(network.researcher.signing_key, network.clock())
    forged = Envelope.seal("delegation-end", said["end"]["body"], THIEF)
    for wrong in (forged, other.envelope):
        with pytest.raises(VerificationFailed):
            ended_delegation(leave.envelope, wrong)
    with pytest.raises(VerificationFailed, match="another delegation"):
        ended_delegation(other.envelope, Envelope.from_json(said["end"]))
    list_revoked(network.store, network.key, (end(leave, network),))
    network.settle()
    second = {"analysis": {"kind": "count"}}
    assert ask(network, leave.envelope, **second) == Code.KEY_REVOKED.value
    assert ask(network, other.envelope, **second) == ""
    for node in network.nodes.values():
        assert node.service.ledger.state.revoked == {leave.envelope.digest}


def test_taking_back_is_kept_when_a_key_is_revoked_later(network: Network, tmp_path: Path) -> None:
    leave = made(network)
    first = list_revoked(network.store, network.key, (end(leave, network),))
    assert list_revoked(network.store, network.key, (leave.envelope.digest,)) == first
    network.settle()
    listed = revoke(network.store, network.key, network.principal, instant_text(network.clock()))
    assert listed is not None
    assert listed.delegations == (leave.envelope.digest,)
    network.settle()
    for node in network.nodes.values():
        assert node.service.ledger.state.revoked == listed.everything
        assert [body.delegations for body in node.bodies if body.kind == "revoked"] == [
            (leave.envelope.digest,),
            (),
        ]
    assert len(verify_bundle(bundle(network, tmp_path / "bundle")).nodes) == 3


def test_a_delegation_ends(network: Network) -> None:
    leave = made(network, hours=1)
    network.clock.forward(minutes=59)
    assert ask(network, leave.envelope) == ""
    network.clock.forward(minutes=1)
    late = {"analysis": {"kind": "count"}}
    assert ask(network, leave.envelope, **late) == Code.NOT_DELEGATED.value
    backdated = instant_text(network.clock() - timedelta(minutes=5))
    assert ask(network, leave.envelope, asked_at=backdated, **late) == Code.NOT_DELEGATED.value


def _forged(network: Network, **changes: Any) -> Envelope:
    """The researcher's delegation with something else in it, under her old signature."""
    said = made(network).envelope.to_json()
    return Envelope.from_json({**said, "body": {**said["body"], **changes}})


def _signed(network: Network, key: SigningKey, **changes: Any) -> Envelope:
    facts = {**made(network).terms.to_json(), **changes}
    return Envelope.seal("delegation", Delegation.from_json(facts).to_json(), key)


def _other(network: Network) -> Study:
    return Study.from_json({**network.study.to_json(), "version": 2})


def test_no_other_delegation_lets_anybody_ask(network: Network) -> None:
    own = network.researcher.signing_key
    week = instant_text(network.clock() + LONGEST + timedelta(seconds=1))
    cases: dict[str, tuple[Envelope, SigningKey, Code]] = {
        "a larger cap": (_forged(network, epsilon="9"), BROWSER, Code.NOT_DELEGATED),
        "a longer time": (_forged(network, expires=week), BROWSER, Code.NOT_DELEGATED),
        "another key": (
            _forged(network, delegate=THIEF.public.text),
            THIEF,
            Code.NOT_DELEGATED,
        ),
        "stolen": (made(network).envelope, THIEF, Code.NOT_DELEGATED),
        "by the delegate itself": (_signed(network, BROWSER), BROWSER, Code.NOT_AN_INVESTIGATOR),
        "by the coordinator": (_signed(network, network.key), BROWSER, Code.NOT_AN_INVESTIGATOR),
        "for too long": (_signed(network, own, expires=week), BROWSER, Code.NOT_DELEGATED),
        "of another version": (
            made(network, study=_other(network)).envelope,
            BROWSER,
            Code.NOT_DELEGATED,
        ),
        "signed as something else": (
            Envelope.seal("question", made(network).terms.to_json(), own),
            BROWSER,
            Code.NOT_DELEGATED,
        ),
        "no epsilon": (_signed(network, own, epsilon="much"), BROWSER, Code.NOT_DELEGATED),
    }
    for name, (leave, signer, expected) in cases.items():
        assert ask(network, leave, signer=signer) == expected.value, name
    assert network.ask(ASKED, signer=BROWSER).code == Code.NOT_AN_INVESTIGATOR.value
    assert network.spent(TARGET) == (0, 0)


def test_a_delegation_is_made_for_so_much_and_so_long(network: Network) -> None:
    for epsilon, hours in (("0", 8.0), ("x", 8.0), ("1", 0.0), ("1", 169.0)):
        with pytest.raises(BadInput if hours in (0.0, 169.0) else Exception):
            made(network, epsilon, hours)
    fresh = delegate(
        network.study, network.researcher.signing_key, "1", 8, None,
        now=network.clock(), entropy=seeded_entropy("fresh"),
    )  # fmt: skip
    assert fresh.key is not None
    assert fresh.terms.delegate == fresh.key.public.text
    back = Delegated.parse(fresh.text)
    assert back.envelope == fresh.envelope
    assert back.key is not None
    assert "secret" not in repr(fresh)
    assert "secret" not in made(network).text
    with pytest.raises(BadInput):
        Delegated.parse('{"delegation": 1}')
