"""One network of real processes from a folder of files, used as its people would use it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import psutil
import pytest

from coordinator.audit.verify import verify_bundle
from coordinator.client import Job, NodeOffline, Refused, connect
from coordinator.client.network import Network as Client
from privacy.errors import VerificationFailed
from tests.support import net_data
from tests.support.local_network import Local, local_network
from tests.support.net_processes import REPOSITORY, wait_until, write_layout

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("processes")]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with local_network(tmp_path_factory.mktemp("local")) as running:
        yield running


@pytest.fixture(scope="module")
def client(local: Local) -> Iterator[Client]:
    connected = connect(local.facts["url"], token=local.facts["token"])
    assert isinstance(connected, Client)
    yield connected
    connected.close()


def _consenting() -> pd.DataFrame:
    people = pd.concat([net_data.members(number, 60) for number in (1, 2, 3)])
    return people[people["consent"] == "yes"]


def _estimates(table: pd.DataFrame) -> list[float]:
    return [float(value) for value in table["estimate"]]


def test_a_count_a_histogram_and_a_mean(client: Client) -> None:
    study = client.study("als-progression")
    chosen = study.where("condition == 'als'")
    assert chosen.count(by="treatment").preview(epsilon=100)
    counted = chosen.count(by="treatment").run(epsilon=100)
    people = _consenting()
    als = people[people["condition"] == "als"]
    wanted = [float((als["treatment"] == t).sum()) for t in ("none", "riluzole", "other")]
    assert _estimates(counted.table) == pytest.approx(wanted, abs=2)
    assert {receipt.node for receipt in counted.receipts} == set(net_data.NODES)
    binned = study.histogram("age").run(epsilon=100)
    bins = np.histogram(people["age"], [0, 18, 40, 65, 110])[0]
    assert _estimates(binned.table) == pytest.approx(list(bins), abs=2)
    mean = study.mean("score").run(epsilon=100)
    assert _estimates(mean.table) == pytest.approx([people["score"].mean()], abs=1)


def test_a_paused_node_refuses_at_no_cost_and_answers_when_resumed(
    local: Local, client: Client
) -> None:
    question = client.study("als-progression").where("age >= 18").count()
    with local.steward("ms-league") as steward:
        before = steward.get("/v1/status").json()["budget"]["spent"]["rho"]
        assert steward.post("/v1/pause").json()["state"] == "paused"
        with pytest.raises(NodeOffline):
            question.run(epsilon=1)
        assert steward.get("/v1/status").json()["budget"]["spent"]["rho"] == before
        assert steward.post("/v1/resume").json()["state"] == "running"
    wait_until(
        lambda: all(node.state == "online" for node in client.nodes()), 20, "all nodes are online"
    )
    assert question.run(epsilon=1).receipts


def test_a_network_is_trained_and_judged_elsewhere(client: Client, local: Local) -> None:
    asked = {"outcome": "treatment", "features": ["age", "condition"], "widths": [4], "rounds": 3}
    # On a busy machine a node may not answer a round in time, which costs an attempt.
    job = client.study("als-progression").train("mlp", **asked, epsilon=30, max_attempts=3)
    result = job.watch(240)
    assert str(job.progress) == "released: 5 of 5 rounds"
    assert len(result.receipts) == 15
    assert result.model().predict({"age": [40], "condition": ["ms"]}).shape == (1, 3)
    older = client.study("als-progression").where("age >= 40").evaluate(job)
    assert len(older.run(epsilon=30).receipts) == 3
    card = local.cairn(local.facts["token"], "model", "card", "als-progression", result.release)
    assert card.returncode == 0, card.stderr
    assert "# Network for members.treatment" in card.stdout


def test_the_command_line_of_a_researcher(local: Local) -> None:
    token = local.facts["token"]
    listed = local.cairn(token, "study", "list", "--format", "json")
    assert [s["id"] for s in json.loads(listed.stdout)] == local.facts["studies"]
    asked = ["als-progression", "count", "--by", "condition", "--epsilon", "50"]
    ran = local.cairn(token, "query", "run", *asked, "--format", "json")
    assert ran.returncode == 0, ran.stderr
    assert len(json.loads(ran.stdout)["result"]["rows"]) == 3
    wrong = local.cairn(token, "query", "run", "als-progression", "count", "--epsilon", "0")
    assert wrong.returncode == 2
    assert local.cairn("nonsense", "study", "list").returncode != 0


def test_the_bridge_is_killed_and_the_next_question_is_answered_all_the_same(
    local: Local, client: Client
) -> None:
    question = client.study("als-progression").where("age >= 30").count()
    [bridge] = [p for p in local.family if "coordinator.bridge_main" in p.cmdline()]
    bridge.kill()
    assert client.studies(), "the web process keeps answering"
    assert question.run(epsilon=1, timeout_seconds=60).receipts
    local.family = psutil.Process(local.process.pid).children(recursive=True)
    [again] = [p for p in local.family if "coordinator.bridge_main" in p.cmdline()]
    assert again.pid != bridge.pid
    with local.steward("ms-league") as steward:
        assert steward.post("/v1/ledger/verify").json()["holds"] is True


def _begun(job: Job) -> None:
    wait_until(lambda: job.progress.round >= 1, 30, "the first round is done")


def test_a_run_of_several_rounds_outlives_its_bridge_and_is_charged_once(
    local: Local, client: Client
) -> None:
    study = client.study("als-progression")
    before = Fraction(study.budget.committed.rho)
    question = study.where("age >= 5").quantiles("age", [0.5])
    job = question.start(epsilon=50)
    _begun(job)
    family = psutil.Process(local.process.pid).children(recursive=True)
    [bridge] = [p for p in family if "coordinator.bridge_main" in p.cmdline()]
    bridge.kill()
    result = job.wait(90)
    local.family = psutil.Process(local.process.pid).children(recursive=True)
    assert result.rounds > 2
    assert len(result.receipts) == 3 * result.rounds
    people = _consenting()
    median = people[people["age"] >= 5]["age"].median()
    [row] = result.table.to_dict("records")
    assert row["low"] <= median <= row["high"]
    assert Fraction(study.budget.committed.rho) - before == result.rho
    assert Fraction(study.budget.reserved.rho) == 0


def test_a_run_that_is_stopped_charges_no_more_than_it_says(local: Local, client: Client) -> None:
    study = client.study("als-progression")
    for age in range(6, 16):  # a run may be over before it can be stopped
        before = Fraction(study.budget.committed.rho)
        job = study.where(f"age >= {age}").quantiles("age", [0.5]).start(epsilon=20)
        _begun(job)
        with suppress(Refused):
            stopped = job.cancel()
            break
        assert job.result.rounds
    assert 1 <= stopped.round < stopped.of
    assert Fraction(study.budget.committed.rho) - before == stopped.rho
    assert Fraction(study.budget.reserved.rho) == 0


def test_an_auditor_pulls_and_verifies_and_notices_one_changed_byte(
    local: Local, tmp_path: Path
) -> None:
    token, out = local.facts["auditor_token"], tmp_path / "bundle"
    pulled = local.cairn(token, "audit", "pull", "--out", str(out))
    assert pulled.returncode == 0, pulled.stderr
    verified = local.cairn("", "audit", "verify", str(out))
    assert verified.returncode == 0, verified.stderr
    verify_bundle(out)
    entries = out / "nodes" / "ms-league" / "entries.jsonl"
    text = entries.read_bytes()
    entries.write_bytes(text.replace(b'"commit"', b'"Commit"', 1))
    spoiled = local.cairn("", "audit", "verify", str(out))
    assert spoiled.returncode == 6
    assert "ms-league" in spoiled.stdout + spoiled.stderr
    with pytest.raises(VerificationFailed):
        verify_bundle(out)


def test_a_researchers_token_pulls_no_audit(local: Local, tmp_path: Path) -> None:
    pulled = local.cairn(local.facts["token"], "audit", "pull", "--out", str(tmp_path / "b"))
    assert pulled.returncode not in (0, 1)
    assert not (tmp_path / "b").exists()


def test_what_left_each_building_is_what_the_coordinator_received(local: Local) -> None:
    plans: Mapping[str, set[str]] = {name: set() for name in net_data.NODES}
    for name in net_data.NODES:
        with local.steward(name) as steward:
            for line in steward.get("/v1/left").json():
                plans[name].add(line["plan"])
                assert line["bytes"] % 8 == 0
                assert len(line["sha256"]) == 64
    assert len({frozenset(seen) for seen in plans.values()}) == 1


def test_no_member_stands_in_any_log(local: Local) -> None:
    people = net_data.members(3, 60)
    words = [str(v) for v in [*people["member"], *people["email"], *people["story"]]]
    said = local.log.read_text()
    assert not [word for word in words if word in said]


def test_sigterm_ends_everything_and_leaves_nothing_behind(local: Local) -> None:
    """The last of this module: it stops the network."""
    assert len(local.family) >= 5  # coordinator, bridge, three nodes
    assert local.stop(signal.SIGTERM) == 0, local.log.read_text()
    wait_until(lambda: not local.left_over(), 10, "every process has ended")
    for node in local.facts["nodes"]:
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{node['url']}/health", timeout=2)
        assert not Path(node["dir"]).exists(), "the temporary state is gone"


def test_a_folder_that_is_wrong_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    folder = write_layout(tmp_path / "data", 10)
    for wrong, words in _mistakes(folder):
        done = subprocess.run(
            [sys.executable, "-m", "deploy.local", str(wrong), "--json"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=REPOSITORY,
        )
        assert (done.returncode, done.stdout) == (2, "")
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("deploy.local: ")
        assert words in last


def _mistakes(folder: Path) -> Iterator[tuple[Path, str]]:
    yield folder / "nowhere", "not a folder"
    members = folder / "ms-league" / "members.csv"
    text = members.read_text()
    members.write_text(text.replace("riluzole", "riluzol", 1))
    yield folder, "members.csv"
    members.unlink()
    (folder / "ms-league" / "symptoms.csv").unlink()
    yield folder, "three organisations"


def test_a_killed_supervisor_takes_its_processes_with_it(tmp_path: Path) -> None:
    """No goodbye at all: the children notice that their parent is gone."""
    local = Local(write_layout(tmp_path / "data", 10), tmp_path / "log")
    assert local.stop(signal.SIGKILL) == -signal.SIGKILL
    wait_until(lambda: not local.left_over(), 30, "every process has ended")
