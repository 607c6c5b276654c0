"""A question asked again for more: a new charge, and one answer of all its releases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from coordinator.client import BadInput, Refused, connect
from coordinator.client.network import Network
from coordinator.store.facts import NodeState
from models.aggregates.requests import parse_analysis
from models.combining import combine
from models.opening import last_opening
from privacy.contract.canonical import parse_canonical
from privacy.contract.time import instant_text
from privacy.contract.token import Role
from privacy.errors import Code
from privacy.units import Rho
from tests.support.api_calls import bearer, run, signed
from tests.support.fake_executor import NODES, NOW, World


@pytest.fixture
def net(url: str, token: str) -> Iterator[Network]:
    made = connect(url, token=token)
    assert isinstance(made, Network)
    yield made
    made.close()


def charged(world: World) -> Rho:
    facts = world.store.studies.get(world.study.id)
    return world.app.state.services.budgets.of(facts).charged


def test_a_top_up_is_charged_and_narrows_the_interval(net: Network, live_world: World) -> None:
    question = net.study("als-progression").count(by="treatment")
    first = question.run(epsilon=0.1)
    once = charged(live_world)
    expected = question.top_up_preview(first, 0.2)
    assert charged(live_world) == once
    both = first.top_up(epsilon=0.2)
    assert expected.epsilon == pytest.approx(both.spent)
    half = (both.answer.rows[0].high - both.answer.rows[0].low) / 2
    assert expected.half_width == pytest.approx(half, rel=1e-3)
    assert charged(live_world).fraction == both.rho
    assert both.rho > once.fraction == first.rho
    assert both.spent == both.releases[-1].epsilon == pytest.approx(0.2, rel=1e-5)
    assert [each.digest for each in both.releases] == [first.release, both.release]
    assert both.epsilon == pytest.approx(0.224, abs=0.01)
    assert len(both.receipts) == 2 * len(NODES)
    for one, two in zip(first.answer.rows, both.answer.rows, strict=True):
        narrower = float(first.rho / both.rho) ** 0.5
        assert two.se_noise == pytest.approx(one.se_noise * narrower, rel=1e-3)
    assert "2 releases, averaged by inverse variance" in both.methods()
    assert "combined of 2 releases" in str(both)
    assert len(both.to_json()["releases"]) == 2


def test_the_same_epsilon_again_is_a_new_opening_and_asked_twice_is_one(
    net: Network, live_world: World
) -> None:
    first = net.study("als-progression").count().run(epsilon=0.1)
    both = first.top_up(epsilon=0.1)
    assert both.release != first.release
    assert not both.repeat
    spent = charged(live_world)
    again = first.top_up(epsilon=0.1)
    assert again.repeat
    assert again.spent == 0
    assert again.answer == both.answer
    assert charged(live_world) == spent
    third = both.top_up(epsilon=0.1)
    assert len(third.releases) == 3
    assert third.rho == pytest.approx(3 * first.rho)
    (row,) = third.answer.rows
    assert row.se_noise == pytest.approx(first.answer.rows[0].se_noise / 3**0.5, rel=1e-4)
    looked_up = net.run(third.run)
    assert looked_up.answer == third.answer
    assert looked_up.releases == third.releases


def test_anybody_who_holds_the_releases_repeats_the_combination(
    net: Network, live_world: World
) -> None:
    both = net.study("als-progression").mean("age").run(epsilon=0.5).top_up(epsilon=0.8)
    store = live_world.store
    opened = []
    for each in both.releases:
        said = parse_canonical(store.releases.get(each.digest).envelope.body)
        opened.append(last_opening(said))
    analysis = parse_analysis(both.asked.analysis)
    made = combine(analysis, live_world.dictionary, opened)
    again = analysis.conclude(live_world.dictionary, [made])
    assert again.rows == both.answer.rows
    assert both.noise.sd_grid == made.law.sd_grid


def test_other_nodes_are_refused_before_anything_is_spent(net: Network, live_world: World) -> None:
    first = net.study("als-progression").count().run(epsilon=0.1)
    spent = charged(live_world)
    for change in ({"cohort": "age >= 18"}, {"analysis": {"kind": "count", "by": ["treatment"]}}):
        with httpx.Client(base_url=net.transport.url, trust_env=False, timeout=60) as http:
            body = signed(
                live_world,
                tops_up=(first.release,),
                asked_at=instant_text(datetime.now(UTC)),
                expires="2099-01-01T00:00:00Z",
                nonce=str(len(change)) + str(sorted(change)),
                **{"analysis": {"kind": "count", "by": []}, **change},
            )
            headers = bearer(live_world.tokens[Role.RESEARCHER])
            answer = http.post("/v1/runs", json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (409, "not_combinable")
        assert answer.json()["fields"]["differs"] in ("analysis", "cohort")
    assert charged(live_world) == spent


def test_what_is_no_release_of_mine_cannot_be_topped_up(world: World, http: httpx.Client) -> None:
    for digests, status, code in (
        (("f" * 64,), 404, "not_found"),
        (("x",), 400, "bad_request"),
        (("f" * 64, "f" * 64), 400, "bad_request"),
    ):
        answer = run(http, world, tops_up=digests)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert world.executor.executed == []


def test_a_plain_release_is_its_own_combination(world: World, http: httpx.Client) -> None:
    release = run(http, world).json()["answer"]
    path = f"/v1/releases/{release['release']}/combined"
    headers = bearer(world.tokens[Role.RESEARCHER])
    alone = http.get(path, headers=headers).json()
    assert alone["result"]["rows"] == release["result"]["rows"]
    assert [each["digest"] for each in alone["releases"]] == [release["release"]]
    assert http.get(path, headers=bearer(world.outsider)).status_code == 404


def test_a_result_of_another_question_is_refused_at_once(net: Network) -> None:
    study = net.study("als-progression")
    first = study.count().run(epsilon=0.1)
    with pytest.raises(BadInput, match="another question"):
        study.mean("age").top_up(first, epsilon=0.1)
    with pytest.raises(BadInput):
        first.top_up(epsilon=0)
    with pytest.raises(BadInput, match="does not know its question"):
        replace(first, question=None).top_up(epsilon=1)


def test_made_up_answers_are_topped_up_too(net: Network) -> None:
    study = net.study("als-progression").mock()
    first = study.count().run(epsilon=0.5)
    both = first.top_up(epsilon=0.5)
    assert both.mock
    assert both.spent == 0
    assert len(both.releases) == 2
    half = first.answer.rows[0].se_noise / 2**0.5
    assert both.answer.rows[0].se_noise == pytest.approx(half, rel=1e-6)
    other = net.study("als-progression").mock(seed=2).count()
    with pytest.raises(BadInput, match="not an answer of these"):
        other.top_up(first, epsilon=0.5)


def test_a_node_that_has_gone_makes_another_node_set(net: Network, live_world: World) -> None:
    """Three of three nodes answered; with one gone there are too few, and nothing is spent."""
    first = net.study("als-progression").count().run(epsilon=0.1)
    spent = charged(live_world)
    live_world.store.nodes.seen(NODES[0], NodeState.OFFLINE, instant_text(NOW), "0.1.0")
    with pytest.raises(Refused) as refused:
        first.top_up(epsilon=0.1)
    assert refused.value.code is Code.NOT_ENOUGH_NODES
    assert charged(live_world) == spent
