"""The demonstration's shared people over real processes, linked by the commands that people use."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coordinator.cli import operator, researcher
from coordinator.client import connect
from deploy.layout import read_layout
from deploy.network import Network, start
from deploy.prepared import prepare, utc_now
from deploy.shared import (
    FIELDS,
    IN_TWO,
    MEMBERSHIPS,
    ORGANISATIONS,
    PEOPLE,
    write_shared_example,
)
from node import cli

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("processes")]
RUN = CliRunner()
NOISE = 0.35  # at epsilon 200 the noised total is within this, but for odds below 1e-9


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    root = tmp_path_factory.mktemp("shared")
    write_shared_example(root / "data")
    text = (root / "data" / "study.toml").read_text("utf-8")
    generous = text.replace("allowance = 20", "allowance = 1000").replace("= 100\n", "= 5000\n")
    (root / "data" / "study.toml").write_text(generous, "utf-8")
    running = start(prepare(read_layout(root / "data", utc_now().date()), root / "s"))
    try:
        running.wait_ready(120.0)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def linked(network: Network) -> Network:
    """The network, whose operator has linked its organisations."""
    fields = [word for name in FIELDS for word in ("--field", name)]
    ran = RUN.invoke(
        operator.app,
        [
            *("link", *ORGANISATIONS, *fields, "--ends", f"{utc_now().year}-12-31"),
            *("--dir", str(network.prepared.home.root)),
        ],
    )
    assert ran.exit_code == 0, ran.output
    assert ran.output.startswith("linked: ")
    return network


def test_the_example_holds_what_it_says(tmp_path: Path) -> None:
    write_shared_example(tmp_path)
    codes: Counter[str] = Counter()
    for name in ORGANISATIONS:
        with (tmp_path / name / "members.csv").open(encoding="utf-8") as file:
            codes.update(row["link_code"] for row in csv.DictReader(file))
    assert (len(codes), codes.total()) == (PEOPLE, MEMBERSHIPS)
    assert sum(times == 2 for times in codes.values()) == IN_TWO


def test_people_in_two_organisations_are_counted_once_over_real_processes(
    linked: Network,
) -> None:
    prepared = linked.prepared
    shown = RUN.invoke(operator.app, ["linkages", "--dir", str(prepared.home.root)])
    assert [each["state"] for each in json.loads(shown.output)] == ["linked"]
    here = 0
    for node in prepared.nodes:
        said = json.loads(
            RUN.invoke(cli.app, ["link", "show", "--dir", str(node.home.root)]).output
        )
        assert said["linked"] == said["opted_in"] == said["can_be_linked"] == MEMBERSHIPS // 3
        here += said["counted_here"]
    assert here == PEOPLE
    net = connect(prepared.url, token=prepared.tokens.researcher.text)
    counts = [net.study(name).count().run(epsilon=200) for name in ("everywhere", "each-once")]
    totals = [float(each.table["estimate"].iloc[0]) for each in counts]
    assert abs(totals[0] - MEMBERSHIPS) < 2 * NOISE
    assert abs(totals[1] - PEOPLE) < 2 * NOISE


def test_a_steward_ends_a_linkage_and_nothing_is_counted_by_it(linked: Network) -> None:
    node = linked.prepared.nodes[0]
    ended = RUN.invoke(cli.app, ["link", "end", "a partner left", "--dir", str(node.home.root)])
    assert ended.exit_code == 0, ended.output
    net = connect(linked.prepared.url, token=linked.prepared.tokens.researcher.text)
    with pytest.raises(Exception, match="not linked"):
        net.study("each-once").count().run(epsilon=201)
    again = RUN.invoke(cli.app, ["link", "end", "again", "--dir", str(node.home.root)])
    assert again.exit_code == 2


def test_whoever_is_signed_in_sees_which_organisations_are_linked(linked: Network) -> None:
    prepared = linked.prepared
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAIRN_URL", prepared.url)
        patch.setenv("CAIRN_TOKEN", prepared.tokens.auditor.text)
        shown = RUN.invoke(researcher.app, ["node", "linkages", "--format", "json"])
    assert shown.exit_code == 0, shown.output
    [one] = json.loads(shown.output)
    assert (one["state"], one["fields"]) == ("linked", list(FIELDS))
