"""`cairn study …` and `cairn delegate`, as a researcher types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coordinator import operate
from coordinator.cli.researcher import app
from coordinator.client.delegating import Delegated
from coordinator.client.network import connect
from privacy.contract.study_life import Act, Signer, StudyStep
from privacy.contract.token import Role
from tests.support.fake_executor import NODES, World, node_key

FILE = """
[[study]]
id = "ms-fatigue"
title = "Fatigue in MS"
question = "Does it help?"
variables = ["members.*"]
epsilon_allowance = 2
"""


@pytest.fixture
def env(url: str, live_world: World) -> dict[str, str]:
    token = live_world.tokens[Role.RESEARCHER].text
    return {"CAIRN_URL": url, "CAIRN_TOKEN": token, "NO_COLOR": "1"}


def cairn(env: dict[str, str], *args: str) -> Result:
    return CliRunner().invoke(app, list(args), env=env, catch_exceptions=False)


def approve(world: World, act: Act, *nodes: str) -> None:
    study = world.store.studies.get("ms-fatigue").study
    signers = operate.signers(world.store, world.key.public)
    for node in nodes:
        step = StudyStep.of(
            study, act, Signer.ORGANISATION, "2026-03-10T12:00:00Z", by=node, note="Why?"
        )
        world.store.steps.add(step.sealed(node_key(node)), study, signers)


def test_a_study_from_its_file_to_its_results(
    env: dict[str, str], live_world: World, tmp_path: Path
) -> None:
    file = tmp_path / "study.toml"
    file.write_text(FILE)
    proposed = cairn(env, "study", "propose", str(file))
    assert proposed.exit_code == 0, proposed.stderr
    assert "ms-fatigue version 1" in proposed.stdout
    about = cairn(env, "study", "about", "ms-fatigue").stdout
    assert "question: Does it help?" in about
    assert "columns: members.*" in about
    approve(live_world, Act.ASK, NODES[0])
    logged = json.loads(cairn(env, "study", "log", "ms-fatigue", "--format", "json").stdout)
    assert [(each["act"], each["note"]) for each in logged] == [("propose", ""), ("ask", "Why?")]
    assert cairn(env, "study", "answer", "ms-fatigue", "Because.").stdout == "proposed\n"
    results = tmp_path / "results.txt"
    results.write_text("It helps a little.")
    assert cairn(env, "study", "publish", "ms-fatigue", str(results)).exit_code == 3
    assert cairn(env, "study", "close", "ms-fatigue").stdout == "closed\n"
    assert cairn(env, "study", "publish", "ms-fatigue", str(results)).stdout == "published\n"
    (entry,) = json.loads(cairn(env, "study", "register").stdout)["studies"]
    assert (entry["id"], entry["results"]) == ("ms-fatigue", "It helps a little.")


def test_a_slip_in_the_file_is_said_and_nothing_is_sent(
    env: dict[str, str], live_world: World, tmp_path: Path
) -> None:
    file = tmp_path / "study.toml"
    file.write_text(FILE.replace("members.*", "members.wage"))
    said = cairn(env, "study", "propose", str(file))
    assert said.exit_code == 2
    assert "variables" in said.stderr
    assert len(live_world.store.studies.newest()) == 1


def test_a_delegation_is_written_for_its_owner_alone_and_asks(
    env: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "leave.json"
    made = cairn(
        env, "delegate", "als-progression", "--epsilon", "1", "--hours", "2", "--write", str(out)
    )
    assert made.stdout == f"{out}\n"
    assert out.stat().st_mode & 0o077 == 0
    leave = Delegated.parse(out.read_text())
    assert leave.terms.epsilon == "1"
    net = connect(env["CAIRN_URL"], token=env["CAIRN_TOKEN"])
    study = net.study("als-progression").under(leave)
    assert study.count("treatment").run(epsilon=0.5).table is not None
    one = ("delegate", "als-progression", "--epsilon", "1")
    assert cairn(env, *one, "--hours", "999").exit_code == 2
    other = cairn(env, *one, "--to", leave.terms.delegate)
    assert "secret" not in other.stdout
