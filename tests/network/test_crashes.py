"""A real node process is killed at every named step; afterwards nothing is unpaid or paid twice."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import httpx
import pytest

from coordinator.client import Refused, connect
from coordinator.client.network import Network as Client
from coordinator.store.store import Store
from deploy.layout import read_layout
from deploy.network import Network, start
from deploy.prepared import prepare
from privacy.contract.canonical import parse_canonical
from privacy.errors import Code
from privacy.ledger.chain import replay
from privacy.ledger.entry import Commit, Entry
from privacy.units import Rho
from tests.support.net_processes import REPOSITORY, wait_until, write_layout

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("processes")]
NODE = "ms-league"
LOST = {Code.ATTEMPT_LOST, Code.NODE_OFFLINE, Code.NOT_WITNESSED, Code.INTERNAL}

# step -> how many reservations and commits of the question the ledger then holds
STEPS = {
    "reserve written": (0, 0),
    "reserve durable": (1, 0),
    "reserved": (1, 0),
    "noise drawn": (1, 0),
    "total computed": (1, 0),
    "commit written": (1, 0),
    "commit durable": (1, 1),
    "committed": (1, 1),
    "replying": (1, 1),
    "signed": (1, 1),
    "revealed": (1, 1),
    "released written": (1, 1),
    "released durable": (1, 1),
    "witnessed written": (1, 1),
    "witnessed durable": (1, 1),
}
AFTER_THE_ANSWER = {"released written", "released durable"}
AT_THE_NEXT_START = {"witnessed written", "witnessed durable"}


@dataclass
class World:
    """A running network with one node that can be told where to die."""

    network: Network
    client: Client
    armed: Path
    store: Store
    numbers: Iterator[int]

    @property
    def pid(self) -> int:
        return self.network.nodes[NODE].pid

    def ask(self) -> tuple[str, Code | None]:
        """A new question each time; its cohort, and why there was no answer."""
        chosen = self.client.study("als-progression").where(f"age >= 0.{next(self.numbers):03}")
        try:
            chosen.count().run(epsilon=0.5)
        except Refused as refused:
            return chosen.cohort, refused.code
        return chosen.cohort, None

    def ask_to_the_end(self) -> str:
        """A question that is answered, and of whose release the node was told."""
        cohort, code = self.ask()
        assert code is None, "the next question is answered"
        plan = self.plan_of(cohort)
        wait_until(lambda: self.kinds(plan)["released"] == 1, 20, "the node knows of the release")
        return cohort

    def kinds(self, plan: str) -> Counter[str]:
        """What the node's ledger says of one plan."""
        bodies = [entry.body for entry in self.ledger()]
        return Counter(body.kind for body in bodies if getattr(body, "plan", "") == plan)

    def arm(self, step: str) -> None:
        self.armed.with_suffix(".done").unlink(missing_ok=True)
        self.armed.write_text(step)

    def wait_died(self) -> None:
        wait_until(self.armed.with_suffix(".done").exists, 20, "the node reached its step")

    def steward(self, node: str = NODE) -> httpx.Client:
        """The node's own API, with its steward's token."""
        prepared = next(n for n in self.network.prepared.nodes if n.organisation.id == node)
        headers = {"authorization": f"Bearer {prepared.home.steward_token()}"}
        return httpx.Client(base_url=prepared.url, headers=headers, timeout=10)

    def wait_back(self) -> None:
        """Until the node runs again, its peers have spoken, and the coordinator knows."""
        wait_until(self._runs, 30, "the node came back")
        self.network.wait_ready()

    def _runs(self) -> bool:
        try:
            with self.steward() as client:
                return bool(client.get("/v1/status").json()["state"] == "running")
        except httpx.TransportError:
            return False

    def ledger(self, node: str = NODE) -> list[Entry]:
        """The node's entries, after it has verified its file from the first to the last."""
        with self.steward(node) as client:
            assert client.post("/v1/ledger/verify").json()["holds"] is True
            said = client.get("/v1/ledger?limit=1000").raise_for_status().json()
        return [Entry.from_json(value) for value in said["entries"]]

    def plan_of(self, cohort: str) -> str:
        """The plan made of a question, as the coordinator stored it."""
        runs = self.store.runs.newest(studies=None, limit=200)
        [digest] = {run.plan_digest for run in runs if run.plan.cohort == cohort}
        return digest


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("crashes")
    layout = read_layout(write_layout(root / "data"), datetime.now(UTC).date())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        prepared = prepare(layout, root / "state")
        settings = replace(prepared.home.settings(), timeout_seconds=6.0)
        prepared.home.write_settings(settings)
        network = start(prepared)
        try:
            armed = root / "crash-at"
            _make_mortal(network, armed)
            client = connect(prepared.url, token=prepared.tokens.researcher.text)
            assert isinstance(client, Client)
            store = Store.open(prepared.home.database_url(settings))
            world = World(network, client, armed, store, count(1))
            world.wait_back()
            yield world
            client.close()
            store.close()
        finally:
            network.stop()


def _make_mortal(network: Network, armed: Path) -> None:
    """From its next start on, the node runs with a callback at every step."""
    process = network.nodes[NODE]
    script = REPOSITORY / "tests" / "support" / "net_crash_main.py"
    root = next(n.home.root for n in network.prepared.nodes if n.organisation.id == NODE)
    process.command = [sys.executable, str(script), str(root), str(os.getpid()), str(armed)]
    first = process.pid
    assert process.child is not None
    process.child.kill()
    wait_until(lambda: process.pid != first, 10, "the node was started again")


@pytest.mark.parametrize("step", STEPS)
def test_a_node_killed_at_a_step(world: World, step: str) -> None:
    before = world.pid
    if step in AT_THE_NEXT_START:
        cohort, code = world.ask_to_the_end(), None
        world.arm(step)
        os.kill(before, 9)
    else:
        world.arm(step)
        cohort, code = world.ask()
    if step in AFTER_THE_ANSWER or step in AT_THE_NEXT_START:
        assert code is None
    else:
        assert code in LOST
    world.wait_died()
    wait_until(lambda: world.pid != before, 20, "the node was started again")
    world.wait_back()
    plan = world.plan_of(cohort)
    found = world.kinds(plan)
    assert (found["reserve"], found["commit"]) == STEPS[step]
    world.ask_to_the_end()


def test_afterwards_every_answer_is_paid_for_exactly_once(world: World) -> None:
    world.ask_to_the_end()
    releases = [
        parse_canonical(world.store.releases.get(run.release).envelope.body)
        for run in world.store.runs.newest(studies=None, limit=200)
        if run.release
    ]
    assert releases
    for node in world.network.nodes:
        entries = world.ledger(node)
        commits = [entry.body for entry in entries if isinstance(entry.body, Commit)]
        per_plan = Counter(commit.plan for commit in commits)
        assert set(per_plan.values()) == {1}
        for release in releases:
            assert node in release["rounds"][0]["survivors"]
            assert per_plan[release["plan"]] == 1
        state = replay([entry.data for entry in entries]).state
        charged = sum((Rho.parse(commit.rho) for commit in commits), Rho.ZERO)
        assert state.total_charged == charged
