"""Every byte string that left a node: listed for its organisation, compared with what is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from coordinator.client.network import Network as Client
from node.sent import Comparison
from node.steward import Steward
from privacy.contract.canonical import b64, parse_canonical, sha256_hex, unb64
from privacy.contract.messages import Ask
from privacy.contract.sent import SentRequest
from privacy.errors import BadInput
from privacy.secure_sum.transcript import Transcript
from tests.support.net_steps import Steps
from tests.support.network import Network
from tests.support.served import asked_over_http

NODE, PEER = "ms-league", "als-union"
ASKED = {"kind": "count"}


@pytest.fixture
def client(network: Network, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    with asked_over_http(network, monkeypatch) as made:
        yield made


def steward(network: Network, client: Client, node: str = NODE) -> Steward:
    parts = network.nodes[node].parts
    settings = replace(parts.settings, coordinator_url=client.transport.url)
    return Steward(replace(parts, settings=settings))


def _on_the_wire(network: Network) -> list[str]:
    """Hashes of all binary answers of the node to a question."""
    replies = [x.reply for x in network.wire.asked(Ask.CONTRIBUTE, NODE) if x.reply is not None]
    return [sha256_hex(reply.blob) for reply in replies if reply.blob]


def test_all_that_left_is_listed_and_is_what_the_coordinator_stored(
    network: Network, client: Client
) -> None:
    for by in ([], ["treatment"], ["condition"]):
        assert network.ask({"kind": "count", "by": by}).release
    listed = steward(network, client).left_the_building(compare=True)
    assert [each["sha256"] for each in listed] == _on_the_wire(network)
    assert {each["stored"] for each in listed} == {"same"}
    assert all(each["bytes"] and each["sentence"] and each["plan"] for each in listed)
    plain = network.nodes[NODE].steward.left_the_building()
    assert [each["sha256"] for each in plain] == [each["sha256"] for each in listed]
    assert "stored" not in plain[0]


def _mutate(network: Network, plan: str, at: int) -> None:
    """One byte of one node's stored vector is another."""
    stored = network.store.openings.transcript(plan, 0)
    assert stored is not None
    value = json.loads(stored)
    data = bytearray(unb64(value["masked"][NODE]))
    data[at] ^= 1
    value["masked"][NODE] = b64(bytes(data))
    changed = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    with network.store.database.write() as session:
        session.connection().exec_driver_sql(
            "UPDATE openings SET transcript = ? WHERE plan = ?", (changed, plan)
        )


def test_a_stored_byte_that_was_changed_is_found(network: Network, client: Client) -> None:
    first, second = (network.ask({"kind": "count", "by": by}) for by in ([], ["treatment"]))
    assert first.release
    size = network.nodes[NODE].steward.left_the_building()[1]["bytes"]
    for at in (0, size // 2, size - 1):
        _mutate(network, second.plan_digest, at)
        one, other = steward(network, client).left_the_building(compare=True)
        assert (one["stored"], other["stored"]) == ("same", "other")
        assert other["stored_sha256"] != other["sha256"]
        _mutate(network, second.plan_digest, at)
    assert steward(network, client, PEER).left_the_building(compare=True)[1]["stored"] == "same"


def test_what_was_not_opened_is_not_kept(network: Network, client: Client) -> None:
    steps = Steps(network, network.plan(network.question(ASKED)))
    steps.reserve()
    keys = steps.keys()
    steps.contribute(steps.attempt(keys), keys)
    [left] = steward(network, client).left_the_building(compare=True)
    assert left["stored"] == "none"


def test_only_the_node_itself_is_shown_what_it_sent(network: Network, client: Client) -> None:
    run = network.ask(ASKED)
    assert Transcript.from_json(
        parse_canonical(network.store.openings.transcript(run.plan_digest, 0) or b"")
    )
    now = network.clock()
    own = network.nodes[NODE].service.key
    wish = SentRequest.of("test", NODE, run.plan_digest, 0, now)
    late = SentRequest.of("test", NODE, run.plan_digest, 0, now - timedelta(minutes=6))
    other_network = SentRequest.of("else", NODE, run.plan_digest, 0, now)
    nothing = SentRequest.of("test", NODE, "0" * 64, 0, now)
    for envelope, status in (
        (wish.sealed(own), 200),
        (late.sealed(own), 403),
        (wish.sealed(network.nodes[PEER].service.key), 403),
        (wish.sealed(network.researcher.signing_key), 403),
        (other_network.sealed(own), 404),
        (nothing.sealed(own), 404),
    ):
        body = {"request": envelope.to_json()}
        answer = httpx.post(f"{client.transport.url}/v1/own/sent", json=body)
        assert answer.status_code == status, answer.text
    forged = {**wish.sealed(own).to_json(), "signature": b64(bytes(64))}
    answer = httpx.post(f"{client.transport.url}/v1/own/sent", json={"request": forged})
    assert answer.status_code == 403


def test_a_coordinator_that_is_away_is_said_so(network: Network) -> None:
    network.ask(ASKED)
    parts = network.nodes[NODE].parts
    [left] = parts.service.ledger.index.departures()
    with pytest.raises(BadInput, match="does not answer"):
        Comparison(parts.settings, parts.service.key, network.clock).compare(left)
