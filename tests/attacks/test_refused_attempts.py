"""What a node enters of what it refuses: little, by the message alone, nothing of honest runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator.audit.overview import overview
from coordinator.audit.verify import verified
from coordinator.node_link import Body
from node.attempts import Attempts, Noticed, unread
from privacy.contract.canonical import canonical_bytes
from privacy.contract.messages import Ask
from privacy.contract.packet import Packet
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.time import instant_text
from privacy.errors import Code, Refused, VerificationFailed
from privacy.ledger.attempt_entry import ATTEMPT_WORDS, Attempted, AttemptRefused
from privacy.ledger.entry import Entry
from privacy.ledger.fold import apply, step
from tests.support.net_bundle import bundle
from tests.support.net_steps import Steps, codes
from tests.support.network import COORDINATOR, Network

NODE = "als-union"
ASKED = {"kind": "count", "by": ["treatment"]}
NOISE = Packet(b"{}", b"")


def entered(network: Network, node: str = NODE) -> list[AttemptRefused]:
    return [body for body in network.nodes[node].bodies if isinstance(body, AttemptRefused)]


def attempt(what: Attempted) -> Noticed:
    return Noticed(what, Code.PLAN_MISMATCH, "0" * 64)


def test_a_thousand_messages_a_day_are_one_entry_and_the_next_day_tells_how_many(
    network: Network,
) -> None:
    node = network.nodes[NODE]
    size = node.service.ledger.size
    node.service.handle_all([NOISE] * 1_000)
    assert node.service.ledger.size == size + 1
    assert [(each.what, each.more) for each in entered(network)] == [(Attempted.UNSIGNED, 0)]
    network.clock.forward(days=1)
    node.service.handle_all([NOISE])
    assert [each.more for each in entered(network)] == [0, 999]


def test_every_sort_fits_once_a_day_and_an_auditor_takes_no_more(network: Network) -> None:
    ledger = network.nodes[NODE].service.ledger
    attempts = network.nodes[NODE].service.attempts
    size = ledger.size
    for what in [*Attempted, *Attempted]:
        attempts.enter(attempt(what))
    assert ledger.size == size + len(Attempted)
    body = AttemptRefused(what=Attempted.PLAN, code="plan_mismatch", evidence="0" * 64)
    with pytest.raises(Refused):
        ledger.append(body)
    state = ledger.state
    second = Entry(seq=state.size, prev=state.head, at=state.at, body=body)
    with pytest.raises(VerificationFailed, match="illegal"):  # a node that writes more than it may
        apply(state, second)
    later = instant_text(network.clock() + timedelta(days=1))
    step(state, Entry(seq=state.size, prev=state.head, at=later, body=body))


def test_a_ledger_that_waits_for_its_peers_enters_nothing(network: Network) -> None:
    node = network.nodes[NODE]
    node.restart()
    assert not node.service.witnessing.done
    size = node.service.ledger.size
    node.service.handle_all([NOISE])
    assert node.service.ledger.size == size, "it may be a restored one, and begin a second history"
    network.settle()
    node.service.handle_all([NOISE])
    assert [each.more for each in entered(network)] == [1]


def test_a_full_disk_changes_no_answer(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    node = network.nodes[NODE]

    def stopped(*_given: object, **_named: object) -> None:
        raise Refused(Code.LEDGER_STOPPED)

    [before] = node.service.handle_all([NOISE])
    network.clock.forward(days=1)
    monkeypatch.setattr(Attempts, "enter", stopped)
    with pytest.raises(Refused):  # the mutant: an entry that could not be written is an error
        node.service.handle_all([NOISE])
    monkeypatch.undo()
    monkeypatch.setattr(type(node.service.ledger), "append", stopped)
    [after] = node.service.handle_all([NOISE])
    assert after.header == before.header


def test_nothing_is_entered_before_the_slot_in_which_records_were_read(
    make: Callable[..., Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make()
    steps = Steps(network, network.plan(network.question(ASKED)))
    steps.reserve()
    keys = steps.keys()
    steps.contribute(steps.attempt(keys), keys, [NODE])
    [sent] = network.wire.asked(Ask.CONTRIBUTE, NODE)
    service = network.nodes[NODE].service
    order: list[str] = []
    attempts = service.attempts
    write, wait = Attempts.enter, type(service.slots.arrive()).wait
    monkeypatch.setattr(
        Attempts, "enter", lambda self, each: (order.append("entered"), write(self, each))[1]
    )
    monkeypatch.setattr(
        type(service.slots.arrive()), "wait", lambda self: (order.append("slot"), wait(self))[1]
    )
    service.handle_all([sent.request, NOISE])
    assert order == ["slot", "entered"]
    assert attempts is service.attempts


def test_code_and_an_unsigned_message_are_told_apart(network: Network) -> None:
    key = network.nodes[NODE].service.coordinator
    shipped = Envelope.seal("request", {"ask": "run-code"}, COORDINATOR)
    forged = Envelope.seal("request", {"ask": "run-code"}, SigningKey(bytes(32)))
    packets = [Packet(canonical_bytes(each.to_json()), b"import os") for each in (shipped, forged)]
    found = [unread(packet, key).what for packet in (*packets, NOISE, Packet(b"\xff", b""))]
    assert found == [Attempted.MESSAGE, *[Attempted.UNSIGNED] * 3]


def _plan(network: Network, **changes: Any) -> set[Code | None]:
    steps = Steps(network, network.plan(network.question(ASKED)))
    plan = {**steps.plan.to_json(), **changes}
    wish = {"plan": Envelope.seal("plan", plan, COORDINATOR).to_json()}
    return codes(steps.say(Ask.RESERVE, wish))


def test_plans_are_sorted_by_what_was_wrong(network: Network) -> None:
    _plan(network, roster="0" * 64)
    _plan(network, max_attempts=9)
    stranger = SigningKey(bytes(range(32)))
    Steps(network, network.plan(network.question(ASKED, signer=stranger))).reserve()
    steps = Steps(network, network.plan(network.question(ASKED)))
    envelope = Envelope.seal("plan", steps.plan.to_json(), stranger)
    steps.say(Ask.RESERVE, {"plan": envelope.to_json()})
    steps.say(Ask.RESERVE, {"plan": "no envelope"})
    found = {each.what for each in entered(network)}
    expected = {"roster", "plan", "key", "forged", "message"}
    assert {each.value for each in found} == expected


def test_honest_runs_messages_that_come_twice_and_withdrawn_approvals_are_no_attempts(
    make: Callable[..., Network], tmp_path: Path
) -> None:
    network = make()
    network.wire.repeats = 2
    assert network.ask(ASKED).release
    steps = Steps(network, network.plan(network.question({"kind": "count"})))
    network.queue(steps.compiled)
    steps.reserve()
    steps.outcome(aborted="cancelled")
    assert codes(steps.reserve()) == {Code.REPLAYED}
    node = network.nodes[NODE]
    node.steward.decide(network.study.digest, "withdrawn", "No more.")
    late = Steps(network, network.plan(network.question(ASKED)))
    network.queue(late.compiled)
    assert Code.NOT_APPROVED in codes(late.reserve())
    network.settle()
    found = verified(bundle(network, tmp_path / "bundle"))
    assert not any(each.refused for each in found.report.nodes)
    assert not any("refused" in remark for each in overview(found) for remark in each.remarks)


def test_the_auditor_reads_it_in_words(network: Network, tmp_path: Path) -> None:
    _plan(network, max_attempts=9)
    network.settle()
    found = verified(bundle(network, tmp_path / "bundle"))
    for node in found.report.nodes:
        [refused] = node.refused
        assert refused.words == f"refused {ATTEMPT_WORDS[Attempted.PLAN]} (plan_mismatch)"
        assert node.to_json()["refused"][0]["evidence"] == refused.evidence
    for glance in overview(found):
        assert "refused what no coordinator should ask: plan" in glance.remarks


def test_an_offer_with_another_signature_is_entered(network: Network) -> None:
    body = network.study.to_json()
    said = Envelope.seal("study", body, network.researcher.signing_key).to_json()
    wish = Body({"study": said, "proposals": []})
    network.link.ask(Ask.OFFER_STUDY, {NODE: wish}, 1.0)
    assert [each.what for each in entered(network)] == [Attempted.FORGED]


def test_every_sort_has_words() -> None:
    assert set(ATTEMPT_WORDS) == set(Attempted)
    assert len(set(ATTEMPT_WORDS.values())) == len(Attempted)
