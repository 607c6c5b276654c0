"""Terms by organisation as a researcher writes them: node names are filled in, and what the study
does not allow is refused before anything is sent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from coordinator.cli.researcher import app
from coordinator.client import BadInput, Refused, connect
from coordinator.client.mock import NODES as MADE_UP
from coordinator.client.network import Network
from coordinator.client.study import Study
from coordinator.store.facts import NodeState
from models.regression.request import Regression
from privacy.contract.time import instant_text
from privacy.contract.token import Role
from privacy.errors import Code
from tests.support.api_calls import researcher, run
from tests.support.fake_executor import NODES, NOW, World, make_world, serve

EXAMPLE = Path(__file__).parents[2] / "deploy" / "example"
NAMED = tuple(sorted(NODES))
FORMULA = "severity ~ age + organisation"


@pytest.fixture
def open_world(tmp_path: Path) -> Iterator[World]:
    """A study that allows figures by organisation."""
    made = make_world(tmp_path, by_organisation=True, clock=lambda: datetime.now(UTC))
    yield made
    made.store.close()


@pytest.fixture
def study(open_world: World) -> Iterator[Study]:
    with serve(open_world.app) as url:
        network = connect(url, token=open_world.tokens[Role.RESEARCHER].text)
        assert isinstance(network, Network)
        yield network.study("als-progression")
        network.close()


def seen(world: World, node: str, state: NodeState) -> None:
    world.store.nodes.seen(node, state, instant_text(NOW), "0.1.0")


def test_the_networks_nodes_are_named_and_preview_and_charge_agree(study: Study) -> None:
    question = study.glm(FORMULA)
    assert question.analysis_json["organisations"] == list(NAMED)
    preview = question.preview(1)
    result = question.run(1)
    assert set(result.coefficients.index) == {
        "Intercept",
        "age",
        *(f"organisation[{node}]" for node in NAMED[1:]),
    }
    assert preview.rho == str(result.rho)
    assert preview.can_answer == NAMED


def test_a_baseline_for_each_organisation_is_written_as_strata(study: Study) -> None:
    question = study.cox(
        "age", "condition", "severity", happened="als", strata="organisation", way="gram"
    )
    assert question.analysis_json["strata"] is True
    assert question.analysis_json["organisations"] == list(NAMED)
    assert "from a baseline of each organisation" in question.sentence
    with pytest.raises(BadInput, match="organisation"):
        study.cox("age", "condition", "severity", happened="als", strata="treatment")


def test_others_than_those_named_are_refused_before_anything_is_spent(
    study: Study, open_world: World
) -> None:
    seen(open_world, NODES[0], NodeState.OFFLINE)
    question = study.glm(FORMULA)
    assert len(question.analysis_json["organisations"]) == 2
    assert question.preview(1).cannot_answer == {NODES[0]: "offline"}
    seen(open_world, NODES[0], NodeState.ONLINE)
    for ask in (question.preview, question.run):
        with pytest.raises(Refused) as refused:
            ask(1)
        assert refused.value.code is Code.OTHER_ORGANISATIONS
        assert refused.value.public_fields["answering"] == ", ".join(NAMED)
    assert not open_world.executor.executed


def test_a_study_without_the_permission_is_not_asked(
    live_world: World, url: str, token: str
) -> None:
    network = connect(url, token=token)
    study = network.study("als-progression")
    for ask in (
        lambda: study.glm(FORMULA),
        lambda: study.where("age > 40").glm(FORMULA),
        lambda: study.cox("age", "condition", "severity", happened="als", strata="organisation"),
    ):
        with pytest.raises(Refused) as refused:
            ask()
        assert refused.value.code is Code.ANALYSIS_NOT_ALLOWED
    assert not live_world.executor.executed
    network.close()


def test_the_coordinator_refuses_it_too(world: World, http: httpx.Client) -> None:
    asked = Regression(formula=FORMULA, organisations=NAMED).to_json()
    preview = {"study": world.study.id, "analysis": asked, "epsilon": "1"}
    answers = (
        http.post("/v1/previews", json=preview, headers=researcher(world)),
        run(http, world, analysis=asked),
    )
    for answer in answers:
        assert answer.status_code == 403
        assert answer.json()["code"] == Code.ANALYSIS_NOT_ALLOWED.value
    assert not world.executor.executed


def test_made_up_members_belong_to_made_up_organisations(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "with", dirs_exist_ok=True)
    file = tmp_path / "with" / "study.toml"
    file.write_text(
        file.read_text("utf-8").replace("[[study]]", "[[study]]\nby_organisation = true", 1),
        "utf-8",
    )
    found = connect(f"mock:{tmp_path / 'with'}").studies()[0]
    assert found.facts.by_organisation
    result = found.glm("alsfrs_r_loss ~ age + organisation", way="newton").run(1e9)
    assert set(result.coefficients.index) >= {f"organisation[{node}]" for node in MADE_UP[1:]}
    assert not any("hardly anyone" in note for note in result.answer.notes)
    env = {"CAIRN_URL": f"mock:{tmp_path / 'with'}", "CAIRN_TOKEN": "", "NO_COLOR": "1"}
    line = ["query", "run", found.id, "cox", "years_since_onset", "condition", "age"]
    sets = ["--set", "happened=als", "--set", "strata=organisation", "--epsilon", "100"]
    shown = CliRunner().invoke(app, [*line, *sets], env=env)
    assert shown.exit_code == 0, shown.output
    with pytest.raises(Refused):
        connect(f"mock:{EXAMPLE}").studies()[0].glm("alsfrs_r_loss ~ organisation")
