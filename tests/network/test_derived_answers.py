"""What is made of a release on the network without asking again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from coordinator.cli.researcher import app
from coordinator.client import BadInput
from coordinator.client.network import Network as Client
from tests.support.network import RESEARCHER, Network
from tests.support.served import asked_over_http

HUGE = {"epsilon_allowance": "1000000", "yearly_epsilon": "1000000"}


@pytest.fixture
def researcher(make: Callable[..., Network], monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    with asked_over_http(make(count=200, **HUGE), monkeypatch) as client:
        yield client


def test_time_ratios_follow_from_a_released_table(researcher: Client) -> None:
    study = researcher.study("als-progression")
    table = study.survival(
        "age", "condition", by="treatment", grid=[0, 30, 50, 70, 90], happened="als"
    ).run(epsilon=1000)
    found = table.aft("loglogistic")
    assert (found.spent, found.release) == (0.0, table.release)
    assert "times taken for loglogistic" in found.summary()
    assert "likelihood" in found.methods()
    assert "likelihood" not in table.methods()
    assert {row.cell[0] for row in found.answer.rows} >= {"time ratio", "scale"}
    again = researcher.run(table.run).aft("loglogistic")
    assert again.table.equals(found.table)
    with pytest.raises(BadInput, match="write weibull"):
        table.aft("gamma")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"ask study\.survival"):
        study.count().run(epsilon=1).aft()


def test_the_line_derives_the_same(researcher: Client) -> None:
    study = researcher.study("als-progression")
    table = study.survival("age", "condition", grid=[0, 30, 50, 70, 90], happened="als")
    fit = study.glm("score ~ age + C(condition)", way="gram").run(epsilon=100)
    release = table.run(epsilon=1000).release
    env = {"CAIRN_URL": researcher.transport.url, "CAIRN_TOKEN": RESEARCHER.text, "NO_COLOR": "1"}

    def cairn(*line: str) -> Result:
        return CliRunner().invoke(app, ["query", *line, "--format", "json"], env=env)

    ratios = cairn("aft", study.id, release[:12], "lognormal")
    assert ratios.exit_code == 0, ratios.stderr
    rows = json.loads(ratios.stdout)["result"]
    assert rows == study.release(release).aft("lognormal").to_json()["result"]
    small = cairn("submodel", study.id, fit.release[:12], "score ~ age")
    assert small.exit_code == 0, small.stderr
    assert json.loads(small.stdout)["result"] == fit.submodel("score ~ age").to_json()["result"]
    wrong = cairn("aft", study.id, release[:12], "gamma")
    assert wrong.exit_code == 2
    assert "write weibull" in wrong.stderr
    assert cairn("submodel", study.id, fit.release[:12], "score ~ severity").exit_code == 2


def test_a_smaller_model_follows_from_a_released_one(researcher: Client) -> None:
    study = researcher.study("als-progression")
    fit = study.glm("score ~ age + C(condition)", way="newton").run(epsilon=100_000)
    small = fit.submodel("score ~ age")
    alone = study.where("age > 0").glm("score ~ age", way="newton").run(epsilon=100_000)
    assert (small.spent, small.release) == (0.0, fit.release)
    assert list(small.coefficients.index) == ["Intercept", "age"]
    got, right = (each.coefficients.loc["age"] for each in (small, alone))
    assert got.coef == pytest.approx(right.coef, abs=0.05 * right.se)
    assert got.se == pytest.approx(right.se, rel=0.05)
    assert "members.score ~ members.age\n" in small.summary()
    assert "larger one" in small.methods()
    again = researcher.run(fit.run).submodel("score ~ age")
    assert again.table.equals(small.table)
    with pytest.raises(BadInput, match="no part of the larger model"):
        fit.submodel("score ~ severity")
    with pytest.raises(BadInput, match="holds no smaller models"):
        study.count().run(epsilon=1).submodel("score ~ age")
