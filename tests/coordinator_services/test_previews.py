"""A preview over the network: the price, its inverse, what is left, what was answered before."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import httpx
import numpy as np
import pytest

from coordinator.client import BadInput, Refused, connect
from coordinator.client.network import Network
from coordinator.client.preview import Preview
from privacy import errors
from privacy.contract.token import Role
from privacy.errors import Code
from privacy.units import Rho
from tests.support.api_calls import bearer, researcher, run
from tests.support.fake_executor import World

ASK = {"study": "als-progression", "analysis": {"kind": "count"}}


@pytest.fixture
def net(url: str, token: str) -> Iterator[Network]:
    made = connect(url, token=token)
    assert isinstance(made, Network)
    yield made
    made.close()


def post(http: httpx.Client, world: World, **changed: Any) -> httpx.Response:
    return http.post("/v1/previews", json={**ASK, **changed}, headers=researcher(world))


def test_it_says_what_is_left_before_and_after(net: Network) -> None:
    question = net.study("als-progression").count()
    first = question.preview(epsilon=1)
    assert first.budget is not None
    assert first.budget.study == first.left == pytest.approx(10)
    assert first.budget.node is not None
    assert first.budget.node > first.budget.study  # the year's budget is twice the study's rho
    assert first.budget.node_name
    assert first.affordable
    question.run(epsilon=1)
    second = net.study("als-progression").mean("age").preview(epsilon=1)
    assert second.budget is not None
    assert second.budget.study == pytest.approx(first.budget.after)
    assert second.budget.more == first.budget.more - 1
    assert f"about {second.budget.more:,} more questions like it" in str(second)
    dear = question.preview(epsilon=9.99)
    assert not dear.affordable
    assert dear.budget is not None
    assert dear.budget.after == 0
    assert "not enough for this question" in str(dear)


def test_the_epsilon_for_an_error_is_found_and_can_be_passed_on(net: Network) -> None:
    question = net.study("als-progression").count()
    seen = question.preview(target_error=5)
    assert seen.half_width is not None
    assert seen.half_width <= 5
    assert "± 5 takes epsilon" in str(seen)
    result = question.run(epsilon=seen.epsilon)
    (row,) = result.answer.rows
    assert (row.high - row.low) / 2 == pytest.approx(seen.half_width)
    assert result.rho == Fraction(seen.rho)


def test_a_target_beyond_the_budget_and_one_beyond_sampling(net: Network) -> None:
    study = net.study("als-progression")
    dear = study.count().preview(target_error="0.01")
    assert not dear.affordable
    assert "not enough" in str(dear)
    with pytest.raises(
        Refused, match=r"No epsilon reaches ± 0\.5: sampling alone is ± "
    ) as refused:
        study.mean("age").preview(target_error=0.5, members=500)
    assert refused.value.code is Code.OUT_OF_REACH
    assert "with 500 members" in str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"epsilon": 1, "target_error": 1},
        {"epsilon": "x"},
        {"epsilon": 0},
        {"epsilon": float("nan")},
        {"epsilon": -1},
        {"epsilon": True},
        {"target_error": 0},
        {"target_error": -3},
        {"target_error": "much"},
        {"target_error": float("inf")},
        {"target_error": float("nan")},
        {"target_error": False},
        {"epsilon": 1, "members": 0},
        {"epsilon": 1, "members": 1.5},
        {"epsilon": 1, "members": True},
    ],
)
def test_bad_input_is_named_before_it_is_sent(net: Network, wrong: dict[str, Any]) -> None:
    for study in (net.study("als-progression"), net.study("als-progression").mock()):
        with pytest.raises(BadInput):
            study.count().preview(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"epsilon": "1", "target_error": "1"}, {"target_error": "0"}, {"target_error": "nan"}],
)
def test_the_server_checks_for_itself(
    world: World, http: httpx.Client, wrong: dict[str, Any]
) -> None:
    answer = post(http, world, **wrong)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_an_absurd_plan_is_refused_and_says_what_to_do(world: World, http: httpx.Client) -> None:
    analysis = {"kind": "count", "by": ["condition", "treatment"]}
    answer = post(http, world, analysis=analysis, epsilon="1", members=3)
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_cells")
    assert "fewer columns" in answer.json()["fields"]["instead"]
    assert post(http, world, analysis=analysis, epsilon="1").status_code == 200


def test_the_cohorts_size_comes_from_an_earlier_release_of_it(net: Network) -> None:
    study = net.study("als-progression")
    als = study.where("condition == 'als'")
    assert als.count(by="treatment").preview(epsilon=1).planned.members is None
    counted = als.count().run(epsilon=5)
    seen = als.count(by="treatment").preview(epsilon=1)
    assert seen.planned.members == round(counted.answer.rows[0].estimate)
    assert counted.release[:12] in seen.planned.members_from
    assert seen.planned.members_per_cell == seen.planned.members / 3
    assert "a cell if spread evenly" in str(seen)
    assert study.count(by="treatment").preview(epsilon=1).planned.members is None
    mine = als.count(by="treatment").preview(epsilon=1, members=70)
    assert (mine.planned.members, mine.planned.members_from) == (70, "your guess")


def test_what_was_answered_costs_nothing_and_what_holds_it_is_offered(net: Network) -> None:
    study = net.study("als-progression")
    table = study.table(["condition", "treatment"]).run(epsilon=1)
    again = study.table(["condition", "treatment"]).preview(epsilon=1)
    assert again.answered is not None
    assert again.answered.release == table.release
    assert again.charged == 0
    assert again.related == ()
    assert "already, so it costs nothing" in str(again)
    assert again.budget is not None
    assert again.budget.after == pytest.approx(again.left)
    count = study.count(by="treatment").preview(epsilon=1)
    assert count.answered is None
    (offered,) = count.related
    assert offered.release == table.release
    assert f"study.release({table.release[:12]!r})" in str(count)
    opened = study.release(table.release[:12])
    assert opened.answer == table.answer
    assert opened.spent == 0
    assert opened.question is not None
    other = study.table(["condition", "treatment"]).preview(epsilon=2)
    assert [each.relation for each in other.related] == ["the same question"]
    assert study.where("age > 50").count(by="treatment").preview(epsilon=1).related == ()


def test_nobody_is_offered_what_they_may_not_see(world: World, http: httpx.Client) -> None:
    release = run(http, world).json()["answer"]["release"]
    for path in (release, release[:12]):
        assert http.get(f"/v1/releases/{path}", headers=bearer(world.outsider)).status_code == 404
        mine = http.get(f"/v1/releases/{path}", headers=researcher(world))
        assert mine.json()["digest"] == release
    for short in (release[:7], "g" * 12, release[:12].upper(), "%25" * 3):
        assert http.get(f"/v1/releases/{short}", headers=researcher(world)).status_code == 404
    hers = http.post("/v1/previews", json={**ASK, "epsilon": "1"}, headers=bearer(world.outsider))
    assert hers.json()["code"] == "unknown_study"


def test_a_release_of_another_study_or_none_is_no_answer(net: Network) -> None:
    study = net.study("als-progression")
    for name in ("0" * 64, "0" * 12):
        with pytest.raises(Refused) as refused:
            study.release(name)
        assert refused.value.code is Code.NOT_FOUND
    with pytest.raises(BadInput):
        study.release("nonsense")
    with pytest.raises(Refused):
        study.mock().release("0" * 12)


def test_every_cell_is_in_the_table(net: Network) -> None:
    seen = (
        net.study("als-progression")
        .table(["condition", "treatment"])
        .preview(epsilon=1, members=900)
    )
    frame = seen.table
    assert len(frame) == 16
    whole = frame[frame["cell"] == "all, all"].iloc[0]
    inner = frame[frame["cell"] == "als, riluzole"].iloc[0]
    assert whole["half_noise"] == pytest.approx(3 * inner["half_noise"])
    assert (inner["members"], whole["members"]) == (100, 900)
    unknown = net.study("als-progression").count().preview(epsilon=1).table
    assert np.isnan(unknown["members"][0])
    bare = Preview.from_answer({**_answer(net)})
    with pytest.raises(errors.BadInput, match="does not know its question"):
        _ = bare.table


def _answer(net: Network) -> dict[str, Any]:
    said = net.transport.post("/v1/previews", {**ASK, "epsilon": "1"})
    return dict(said)


def test_several_attempts_have_to_be_affordable(world: World, http: httpx.Client) -> None:
    left = Rho.parse(post(http, world, epsilon="1").json()["left"]["rho"])
    once = Rho.parse(post(http, world, epsilon="8").json()["preview"]["rho"])
    assert once <= left < once * 2
    assert post(http, world, epsilon="8").json()["affordable"]
    assert not post(http, world, epsilon="8", max_attempts=2).json()["affordable"]


def test_made_up_members_are_previewed_likewise(net: Network) -> None:
    study = net.study("als-progression").mock(members=500)
    seen = study.mean("age").preview(target_error="4")
    assert seen.half_width is not None
    assert seen.half_width <= 4
    assert (seen.planned.members, seen.planned.members_from) == (500, "made up")
    assert Decimal(str(seen.epsilon)) == Decimal(seen.planned.epsilon)
    first = study.count().run(epsilon=1)
    assert study.release(first.release[:8]).answer == first.answer
    with pytest.raises(Refused, match="sampling alone"):
        study.mean("age").preview(target_error=0.1)


def test_the_researcher_alone_previews(world: World, http: httpx.Client) -> None:
    for role in (Role.AUDITOR, Role.ADMIN, Role.STEWARD):
        headers = bearer(world.tokens[role])
        answer = http.post("/v1/previews", json={**ASK, "epsilon": "1"}, headers=headers)
        assert answer.status_code == 403
