"""The page on keeping a node: its commands run, one after the other, and say what it says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node import program
from node.cli import app
from privacy import sealed_file
from tests.support.network import Network

PAGE = (Path(__file__).parents[2] / "docs" / "organisation.md").read_text("utf-8")
COMMANDS = re.findall(r"^(?: {4}| {7})cairn-node (.+)$", PAGE, re.MULTILINE)
NODE = "als-union"
ELSEWHERE = (
    "init",
    "start",
    "rotate-key",
    "recover",
    "accept-coordinator",
)  # they need a coordinator


class Hand:
    """Runs the page's commands on one node that is stopped, in a folder of its own."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network, self.node = network, network.nodes[NODE]
        self.files = folder / "network-0" / "files" / NODE
        self.node.stop()
        self.said = ""

    def run(self, *words: str) -> str:
        done = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert done.exit_code == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def sample(self, line: str) -> None:
        words, _, expected = line.partition(" #")
        said = self.run(*shlex.split(self.filled(words)))
        if "says: " in expected:
            assert said.strip() == expected.partition("says: ")[2], line
        if words.split()[0] == "restore":
            self.meet()

    def filled(self, words: str) -> str:
        [study] = json.loads(self.run("studies"))
        roster = json.loads(self.run("rosters"))[-1]
        stewards = json.loads(self.run("steward", "list"))
        about_roster = words.startswith("confirm")
        prints = " ".join(each["fingerprint"] for each in roster["nodes"])
        changes = {
            "DATA": str(self.files),
            "DIGEST": roster["digest"] if about_roster else study["digest"],
            "FINGERPRINT FINGERPRINT": prints,
            "FINGERPRINT": stewards[-1]["fingerprint"][:9] if stewards else "",
            "NODE": NODE,
        }
        for name, value in changes.items():
            words = re.sub(rf"\b{name}\b", value, words)
        return words

    def meet(self) -> None:
        """The node runs for a moment, among its peers."""
        self.node.start()
        self.network.settle()
        assert self.node.service.witnessing.done
        self.node.steward.import_data(self.files)
        self.node.stop()


def test_the_commands_run_in_order(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "utc_now", network.clock)
    monkeypatch.setattr(sealed_file, "_MEMORY_KIB", 64)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("CAIRN_NODE", str(network.nodes[NODE].home.root))
    hand = Hand(network, tmp_path)
    assert len(COMMANDS) > 20
    for line in COMMANDS:
        if line.split()[0] in ELSEWHERE:
            continue
        if line.startswith("decide DIGEST approved --key ina.key"):
            (work / "two.toml").write_text("yearly_epsilon = 100\napprovers = 2\n")
            hand.run("policy", "set", "two.toml")
        network.clock.forward(days=366 if line.startswith("open-period") else 0, minutes=1)
        hand.sample(line)
    assert '"left"' in hand.run("status")


def test_the_list_of_what_is_left_to_do(network: Network) -> None:
    node = network.nodes[NODE]
    todo = {each["what"]: each["command"] for each in node.steward.doctor() if not each["done"]}
    assert todo["1 steward has a key of their own"].startswith("cairn-node steward")
    assert todo["a backup of the last 7 days"] == "cairn-node backup FILE"
    assert "records are imported" not in todo
    node.steward.pause()
    network.clock.forward(days=400)
    todo = {each["what"]: each["command"] for each in node.steward.doctor() if not each["done"]}
    assert todo["a period is open"] == "cairn-node open-period"
    assert todo["the node answers"] == "cairn-node resume"
    assert len(node.steward.status()["next"]) == 3
