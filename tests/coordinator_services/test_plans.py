"""A pre-registered plan: one budget, each question once, nothing asked twice after a break."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from coordinator.cli.researcher import app
from coordinator.client import BadInput, NodeOffline, Plan, connect
from coordinator.client.network import Network
from coordinator.client.study import Study
from coordinator.store.facts import NodeState
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.time import instant_text
from privacy.units import Rho
from tests.support.fake_executor import NODES, NOW, World


@pytest.fixture
def net(url: str, token: str) -> Iterator[Network]:
    made = connect(url, token=token)
    assert isinstance(made, Network)
    yield made
    made.close()


@pytest.fixture
def study(net: Network) -> Study:
    return net.study("als-progression")


def planned(study: Study) -> Plan:
    plan = study.plan(epsilon=2.0)
    plan.add(study.mean("age"), weight=1)
    plan.add(study.where("age > 50").count(by="treatment"), weight=3)
    return plan.add(study.table(["condition", "treatment"]), weight="0.5")


def charged(world: World) -> Rho:
    facts = world.store.studies.get(world.study.id)
    return world.app.state.services.budgets.of(facts).charged


def test_all_of_it_costs_at_most_its_budget(study: Study, live_world: World) -> None:
    plan = planned(study)
    results = plan.run()
    allowed = rho_of_epsilon(parse_epsilon("2"), live_world.study.delta_fraction)
    spent = charged(live_world)
    assert spent <= allowed
    assert spent.fraction >= allowed.fraction * 99999 / 100000
    assert sum(result.rho for result in results) == spent.fraction
    first, second, third = (result.rho for result in results)
    assert float(second / first) == pytest.approx(3, rel=1e-4)
    assert float(third / first) == pytest.approx(0.5, rel=1e-4)
    assert plan.rho == allowed


def test_its_preview_says_what_each_gets_and_whether_all_is_affordable(study: Study) -> None:
    seen = planned(study).preview()
    assert seen.affordable
    assert len(seen.table) == 3
    assert list(seen.table["weight"]) == [1, 3, 0.5]
    assert "3 questions share epsilon 2" in str(seen)
    assert json.loads(json.dumps(seen.to_json()))["questions"][1]["weight"] == "3"
    dear = study.plan(epsilon=10.5).add(study.count()).add(study.mean("age")).preview()
    assert all(each.affordable for each in dear.previews)  # each alone would be
    assert not dear.affordable
    assert "not enough is left for all of it" in str(dear)


def test_an_interrupted_plan_asks_only_what_is_left(study: Study, live_world: World) -> None:
    plan = planned(study)
    running = plan.running()
    next(running)
    live_world.store.nodes.seen(NODES[0], NodeState.OFFLINE, instant_text(NOW), "0.1.0")
    with pytest.raises(NodeOffline):
        next(running)
    once = charged(live_world)
    with pytest.raises(NodeOffline):
        plan.run()
    assert charged(live_world) == once
    live_world.store.nodes.seen(NODES[0], NodeState.ONLINE, instant_text(NOW), "0.1.0")
    heard: list[str] = []
    results = plan.run(each=lambda item, _result: heard.append(item.question.analysis.kind))
    assert heard == ["count", "table"]
    assert len(results) == 3
    assert not any(result.repeat for result in results)
    executed = len(live_world.executor.executed)
    assert plan.run() == results
    assert len(live_world.executor.executed) == executed


def test_a_plan_read_again_recalls_its_answers(study: Study, live_world: World) -> None:
    plan = planned(study)
    results = plan.run()
    spent = charged(live_world)
    again = study.plan_from(json.loads(json.dumps(plan.to_json())))
    assert again.digest == plan.digest
    recalled = again.recall(plan.releases).run()
    assert [each.answer for each in recalled] == [each.answer for each in results]
    assert charged(live_world) == spent
    forgotten = study.plan_from(plan.to_json()).run()  # the library answers as well
    assert all(each.repeat for each in forgotten)
    assert charged(live_world) == spent
    keys = list(plan.releases)
    crossed = dict(zip(keys, reversed(list(plan.releases.values())), strict=True))
    with pytest.raises(BadInput, match="another question"):
        study.plan_from(plan.to_json()).recall(crossed)


def test_what_does_not_belong_into_a_plan(study: Study, net: Network) -> None:
    plan = planned(study)
    with pytest.raises(BadInput, match="has this question already"):
        plan.add(study.mean("members.age"), weight=2)
    for weight in (0, -1, "x", float("nan"), True, 10**7):
        other = study.plan(epsilon=1)
        with pytest.raises(BadInput):
            _ = other.add(study.count(), weight=weight).items
    for epsilon in (0, -1, "x", float("nan")):
        with pytest.raises(BadInput):
            study.plan(epsilon=epsilon)
    with pytest.raises(BadInput, match="nothing to divide"):
        study.plan(epsilon=1).run()
    mock = study.mock()
    done = mock.plan(epsilon=1).add(mock.count())
    done.run()
    with pytest.raises(BadInput, match="asked already"):
        done.add(mock.mean("age"))


@pytest.mark.parametrize(
    "change",
    [
        {"study": "other"},
        {"study_digest": "0" * 64},
        {"epsilon": "0"},
        {"questions": {}},
        {"questions": [{"analysis": {"kind": "count"}, "cohort": ""}]},
        {"questions": [{"analysis": {"kind": "nothing"}, "cohort": "", "weight": "1"}]},
        {"questions": [{"analysis": {"kind": "count"}, "cohort": 3, "weight": "1"}]},
        {"questions": [{"analysis": {"kind": "count"}, "cohort": "", "weight": "0"}]},
        {"more": 1},
    ],
)
def test_a_broken_file_is_refused_with_its_place(study: Study, change: dict[str, Any]) -> None:
    value = {**planned(study).to_json(), **change}
    with pytest.raises(BadInput):
        study.plan_from(value)
    with pytest.raises(BadInput):
        study.plan_from([value])  # type: ignore[arg-type]


def test_a_plan_works_on_made_up_members(study: Study) -> None:
    results = planned(study.mock()).run()
    assert all(result.mock for result in results)


# the command line


def cairn(url: str, token: str, *arguments: str) -> Result:
    env = {"CAIRN_URL": url, "CAIRN_TOKEN": token, "NO_COLOR": "1"}
    return CliRunner().invoke(app, list(arguments), env=env, catch_exceptions=False)


def test_a_plans_file_is_run_and_begun_again(
    study: Study, url: str, token: str, tmp_path: Path, live_world: World
) -> None:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(planned(study).to_json()))
    seen = cairn(url, token, "plan", str(file), "--dry-run")
    assert (seen.exit_code, seen.stdout.count("cost ")) == (0, 3)
    assert cairn(url, token, "plan", str(file), "--dry-run", "--format", "csv").exit_code == 0
    assert charged(live_world) == Rho.ZERO
    done = cairn(url, token, "plan", str(file), "--format", "json")
    assert done.exit_code == 0, done.stderr
    assert len(json.loads(done.stdout)) == 3
    spent = charged(live_world)
    executed = len(live_world.executor.executed)
    again = cairn(url, token, "plan", str(file), "--format", "json")
    assert [each["release"] for each in json.loads(again.stdout)] == [
        each["release"] for each in json.loads(done.stdout)
    ]
    assert (charged(live_world), len(live_world.executor.executed)) == (spent, executed)
    record = tmp_path / "plan.json.answers"
    assert len(json.loads(record.read_text())["releases"]) == 3
    record.write_text(json.dumps({"plan": "0" * 64, "releases": {}}))
    other = cairn(url, token, "plan", str(file))
    assert (other.exit_code, other.stdout) == (2, "")
    assert "another plan" in other.stderr


def test_mistakes_in_a_plans_file_are_one_line(url: str, token: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    for text in ("{", "[]", "{}", '{"study": "als-progression"}'):
        file.write_text(text)
        made = cairn(url, token, "plan", str(file))
        assert made.exit_code == 2
        assert made.stderr.count("\n") == 1
    assert cairn(url, token, "plan", str(tmp_path / "none")).exit_code == 2
    file.write_text(json.dumps({"study": "als-progression"}))
    assert cairn(url, token, "plan", str(file), "--mock").exit_code == 2


def test_the_line_finds_an_epsilon_shows_a_release_and_tops_it_up(
    url: str, token: str, study: Study
) -> None:
    ask = ("query", "preview", study.id, "count", "--target-error", "20")
    seen = cairn(url, token, *ask, "--format", "json")
    assert seen.exit_code == 0, seen.stderr
    said = json.loads(seen.stdout)
    assert said["preview"]["half_width"] <= 20
    assert said["budget"]["more"] > 1
    release = study.count().run(epsilon=said["preview"]["epsilon"]).release
    shown = cairn(url, token, "query", "show", study.id, release[:12])
    assert "a stored answer, at no cost" in shown.stdout
    topped = cairn(
        url, token, "query", "top-up", study.id, release[:12], "--epsilon", "1", "--format", "json"
    )
    assert topped.exit_code == 0, topped.stderr
    assert len(json.loads(topped.stdout)["releases"]) == 2
    for wrong in ((), ("--epsilon", "1", "--target-error", "2"), ("--target-error", "0")):
        bad = cairn(url, token, "query", "preview", study.id, "count", *wrong)
        assert (bad.exit_code, bad.stdout) == (2, "")
