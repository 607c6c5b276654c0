"""A coordinator that reserves while it may and asks for the answer when it no longer may.

A plan lives up to a day. What a steward withdraws or changes in the meantime must count.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from node import gate, runner
from node.gate import Facts
from node.setup import confirm_roster
from node.steward import Steward
from privacy.contract.signing import Envelope
from privacy.errors import Code
from privacy.ledger.entry import DictionaryAdopted
from tests.support.net_steps import Steps, code
from tests.support.network import Network

TARGET = "ms-league"
ASKED = {"kind": "count", "by": ["treatment"]}


def _withdraw(steward: Steward, network: Network) -> None:
    steward.decide(network.study.digest, "withdrawn")


def _distrust(steward: Steward, network: Network) -> None:
    own = steward.parts.service.key.public.fingerprint
    roster = network.store.network.roster
    confirm_roster(steward.parts.service.ledger, roster, [own], by="steward")


def _change_dictionary(steward: Steward, network: Network) -> None:
    """Other levels: codes in the records would mean something else."""
    tables = network.dictionary.to_json()
    column = next(c for t in tables["tables"] for c in t["columns"] if c["name"] == "treatment")
    column["levels"] = column["levels"][::-1]
    changed = type(network.dictionary).from_json(tables)
    steward.parts.service.documents.keep_dictionary(changed)
    steward.parts.service.ledger.append(DictionaryAdopted(dictionary=changed.digest))


def _end_study(_steward: Steward, network: Network) -> None:
    network.clock.now = network.clock.now.replace(year=2026, month=12, day=31, hour=23, minute=58)


CHANGES: dict[str, tuple[Callable[[Steward, Network], None], Code]] = {
    "approval withdrawn": (_withdraw, Code.ATTEMPT_LOST),  # it ends what was reserved under it
    "peers no longer trusted": (_distrust, Code.PEERS_NOT_CONFIRMED),
    "dictionary changed": (_change_dictionary, Code.DICTIONARY_MISMATCH),
}


def _answer_after(network: Network, change: Callable[[Steward, Network], None]) -> Code | None:
    steps = Steps(network, network.plan(network.question(ASKED)))
    steps.reserve()
    change(network.nodes[TARGET].steward, network)
    keys = steps.keys()
    return code(steps.contribute(steps.attempt(keys), keys, [TARGET])[TARGET])


@pytest.mark.parametrize("name", CHANGES)
def test_a_decision_between_reserving_and_contributing_counts(
    make: Callable[..., Network], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    change, refusal = CHANGES[name]
    with monkeypatch.context() as unprotected:
        stub = _decide_once()
        unprotected.setattr(runner, "decide", stub)
        told = Code.ATTEMPT_LOST if refusal is Code.ATTEMPT_LOST else None
        assert _answer_after(make(), change) is told, "who decides only once answers"
    network = make()
    assert _answer_after(network, change) is refusal
    assert network.nodes[TARGET].kinds("commit") == []


def _decide_once() -> Callable[..., object]:
    real, seen = gate.decide, set[str]()

    def decide(envelope: Envelope, facts: Facts, *, reserved: bool = False) -> object:
        if (facts.node + envelope.digest) in seen:
            return None
        seen.add(facts.node + envelope.digest)
        return real(envelope, facts, reserved=reserved)

    return decide


def test_a_study_that_ends_in_the_meantime_is_not_answered(network: Network) -> None:
    _end_study(network.nodes[TARGET].steward, network)
    steps = Steps(network, network.plan(network.question(ASKED)))
    steps.reserve()
    network.clock.forward(minutes=4)  # the plan still lives, the study does not
    keys = steps.keys()
    assert code(steps.contribute(steps.attempt(keys), keys, [TARGET])[TARGET]) is Code.NOT_IN_PERIOD
