"""A network of three nodes founded by hand, command by command, as docs/deployment.md says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from deploy.ports import free_port
from tests.support import net_data
from tests.support.net_processes import REPOSITORY, wait_until, write_layout

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("processes")]

PROGRAMS = {
    "cairn": "coordinator.cli.researcher",
    "cairn-coordinator": "coordinator.cli.operator",
    "cairn-node": "node.cli",
}
YEARLY = 600.0  # below the study's allowance of 1,000


class Hand:
    """Everybody's hands: the operator's, the stewards' and the researcher's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = write_layout(root / "data")
        self.port, self.fleet = free_port(), free_port()
        self.nodes = {name: root / f"node-{name}" for name in net_data.NODES}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.tokens: dict[str, str] = {}

    def command(self, program: str) -> list[str]:
        return [sys.executable, "-c", f"from {PROGRAMS[program]} import main; main()"]

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if "CAIRN" not in name}
        url = f"http://127.0.0.1:{self.port}"
        return {**kept, "PYTHONPATH": str(REPOSITORY), "CAIRN_URL": url, "NO_COLOR": "1", **more}

    def run(self, *words: object, code: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        program, *arguments = map(str, words)
        done = subprocess.run(
            [*self.command(program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=self.root,
            env=self.environment(**more),
        )
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done

    def operator(self, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        verb, *rest = words
        return self.run("cairn-coordinator", verb, *rest, "--dir", self.root / "cairn", code=code)

    def steward(self, node: str, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        verb, *rest = words
        return self.run("cairn-node", verb, *rest, "--dir", self.nodes[node], code=code)

    def person(self, role: str, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        return self.run("cairn", *words, code=code, CAIRN_TOKEN=self.tokens[role])

    def ask(self, *words: object, epsilon: float = 100, code: int = 0) -> Any:
        asked = ["query", "run", "als-progression", *words, "--epsilon", epsilon]
        done = self.person("researcher", *asked, "--yes", "--format", "json", code=code)
        return json.loads(done.stdout) if code == 0 else done.stderr

    def count(self, epsilon: float) -> float:
        [row] = self.ask("count", epsilon=epsilon)["result"]["rows"]
        return float(row["estimate"])

    def start(self, program: str, folder: Path) -> None:
        with (self.root / f"{folder.name}.log").open("ab") as log:
            self.running[folder.name] = subprocess.Popen(
                [*self.command(program), "start", "--dir", str(folder)],
                stdout=log,
                stderr=log,
                cwd=self.root,
                env=self.environment(),
            )

    def states(self) -> list[str]:
        return [node["state"] for node in json.loads(self.operator("nodes").stdout)]

    def stop(self) -> list[int]:
        for process in self.running.values():
            process.terminate()
        return [process.wait(40) for process in self.running.values()]


def _the_coordinator(hand: Hand) -> None:
    hand.operator("init", "mynetwork", "--dictionary", hand.data / "dictionary.toml")
    settings = hand.root / "cairn" / "coordinator.toml"
    text = settings.read_text()
    text = re.sub(r"(?m)^port = \d+$", f"port = {hand.port}", text)
    settings.write_text(re.sub(r"(?m)^fleet_port = \d+$", f"fleet_port = {hand.fleet}", text))
    hand.start("cairn-coordinator", hand.root / "cairn")
    wait_until((hand.root / "cairn" / "bridge.sock").exists, 30, "the coordinator")


def _the_nodes(hand: Hand) -> None:
    for name, folder in hand.nodes.items():
        invite = hand.root / f"{name}.json"
        hand.operator("invite", name, "--out", invite)
        wrong = hand.steward(name, "init", "--invite", invite, "--yearly-epsilon", "abc", code=2)
        assert "yearly-epsilon" in wrong.stderr
        assert not folder.exists(), "a mistake uses up no invitation and leaves nothing behind"
        hand.steward(name, "init", "--invite", invite, "--yearly-epsilon", YEARLY)
        hand.steward(name, "check", hand.data / name)
        assert json.loads(hand.steward(name, "import", hand.data / name).stdout)["members"] == 60
        hand.start("cairn-node", folder)


def _the_roster(hand: Hand) -> None:
    joined = json.loads(hand.operator("nodes").stdout)
    fingerprints = [node["fingerprint"] for node in joined]
    hand.operator("admit")
    wait_until(lambda: hand.states() == ["needs-steward"] * 3, 30, "the roster at every node")
    for name in hand.nodes:
        [roster] = json.loads(hand.steward(name, "rosters").stdout)
        assert [node["fingerprint"] for node in roster["nodes"]] == fingerprints
        hand.steward(name, "confirm", roster["digest"], "0000-0000", code=2)
        hand.steward(name, "confirm", roster["digest"], *fingerprints)
    wait_until(lambda: hand.states() == ["online"] * 3, 30, "every node online")


def _people(hand: Hand) -> None:
    for role in ("researcher", "auditor"):
        code = hand.operator("invite", f"One {role}", "--role", role).stdout.strip()
        token = hand.root / f"{role}.token"
        hand.run("cairn", "join", "--write", token, CAIRN_INVITATION=code)
        again = hand.run("cairn", "join", "--write", "x", code=3, CAIRN_INVITATION=code)
        assert "unknown, used or expired" in again.stderr
        hand.tokens[role] = token.read_text().strip()


def _the_study(hand: Hand) -> None:
    people = json.loads(hand.operator("people").stdout)
    [key] = [one["public_key"] for one in people if one["role"] == "researcher"]
    study = hand.data / "study.toml"
    wrong = hand.operator("propose", study, "--investigator", "Ada", code=2)
    assert "'Ada' is no public key" in wrong.stderr
    hand.operator("propose", study, "--investigator", key)
    taken = hand.operator("propose", study, "--investigator", "A" * 43 + "=", code=2)
    assert "write version = 2" in taken.stderr
    for name in hand.nodes:
        offered: list[dict[str, Any]] = []

        def arrived(name: str = name, offered: list[dict[str, Any]] = offered) -> bool:
            offered[:] = json.loads(hand.steward(name, "studies").stdout)
            return bool(offered)

        wait_until(arrived, 30, f"the study at {name}")
        wrong = hand.steward(name, "decide", offered[0]["digest"], "maybe", code=2)
        assert "write approved, refused" in wrong.stderr
        hand.steward(name, "decide", offered[0]["digest"], "approved")


def _ready(hand: Hand) -> bool:
    asked = ("query", "preview", "als-progression", "count", "--epsilon", "1", "--format", "json")
    return len(json.loads(hand.person("researcher", *asked).stdout)["can_answer"]) == 3


@pytest.fixture(scope="module")
def hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hand]:
    made = Hand(tmp_path_factory.mktemp("hand"))
    try:
        for step in (_the_coordinator, _the_nodes, _the_roster, _people, _the_study):
            step(made)
        wait_until(lambda: _ready(made), 30, "three nodes that can answer")
        yield made
        assert made.stop() == [0] * 4
    finally:
        for process in made.running.values():
            process.kill()


def _consenting() -> int:
    people = pd.concat([net_data.members(number, 60) for number in (1, 2, 3)])
    return int((people["consent"] == "yes").sum())


def test_a_question_is_answered_and_seen_in_every_building(hand: Hand) -> None:
    assert hand.count(100) == pytest.approx(_consenting(), abs=2)
    for name in hand.nodes:
        [answer] = json.loads(hand.steward(name, "left").stdout)
        assert answer["sentence"] == "Counts members, among all members"
        assert (len(answer["sha256"]), answer["bytes"]) == (64, 8)
        assert answer["epsilon"] == pytest.approx(100, rel=1e-3)
        assert json.loads(hand.steward(name, "ledger", "--verify").stdout)["holds"]


def test_a_withdrawal_counts_from_the_next_question_on(hand: Hand) -> None:
    before = hand.count(100.5)
    name = net_data.NODES[0]
    people = net_data.members(1, 60)
    member = people[people["consent"] == "yes"]["member"].iloc[0]
    for _ in range(2):  # saying it twice is the same
        hand.steward(name, "consent", member, "disease-research", "withdrawn")
    assert hand.count(100.25) == pytest.approx(before - 1, abs=0.9)
    hand.steward(name, "consent", member, "disease-research", "given")


def test_a_paused_node_refuses_until_it_is_resumed(hand: Hand) -> None:
    name = net_data.NODES[1]
    hand.steward(name, "pause")
    hand.ask("count", "--by", "treatment", epsilon=1, code=5)
    hand.steward(name, "resume")
    wait_until(lambda: _ready(hand), 30, "the resumed node")
    assert hand.ask("count", "--by", "treatment", epsilon=1)["receipts"]


def test_what_would_fit_fits_the_organisations_budget_too(hand: Hand) -> None:
    hand.ask("count", epsilon=99.75)  # something is spent, whichever tests ran before
    refused = hand.ask("mean", "age", epsilon=990, code=4)
    found = re.search(r"left is ([0-9.]+); epsilon=([0-9.]+) would fit", refused)
    assert found, refused
    left, suggested = map(float, found.groups())
    assert suggested <= left < YEARLY
    over = json.loads(hand.steward(net_data.NODES[0], "status").stdout)["budget"]
    assert over["limit"]["epsilon"] == pytest.approx(YEARLY)


def test_mistakes_are_one_line(hand: Hand) -> None:
    second = hand.operator("start", code=2)
    assert re.fullmatch(r"cairn-coordinator: 127\.0\.0\.1:\d+: cannot listen .*\n", second.stderr)
    early = hand.steward(net_data.NODES[0], "open-period", code=3)
    assert "period is not over" in early.stderr
    used = hand.root / f"{net_data.NODES[0]}.json"
    again = hand.run("cairn-node", "init", "--invite", used, "--dir", hand.root / "x", code=2)
    assert again.stderr.count("\n") == 1
    assert "was used before" in again.stderr
    assert "[not_permitted]" in again.stderr
    for words in (("mean", "agee"), ("count", "--where", "age > 'x'"), ("count", "--by", "nope")):
        assert hand.ask(*words, epsilon=1, code=2).count("\n") == 1


def test_an_auditor_pulls_and_verifies_and_finds_an_edit(hand: Hand) -> None:
    bundle = hand.root / "bundle"
    hand.person("auditor", "audit", "pull", "--out", bundle)
    hand.run("cairn", "audit", "verify", bundle)
    [lines] = (bundle / "nodes" / net_data.NODES[2]).glob("entries.jsonl")
    lines.write_bytes(lines.read_bytes().replace(b'"by":"steward"', b'"by":"Steward"', 1))
    refused = hand.run("cairn", "audit", "verify", bundle, code=6)
    assert net_data.NODES[2] in refused.stderr
