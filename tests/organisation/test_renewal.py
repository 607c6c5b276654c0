"""The next year's budget at the command line and through the node's own door: somebody signs."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from node.cli import app
from node.steward_keys import signing_hand
from privacy.errors import BadInput, Code, Refused
from privacy.ledger.steward_entry import PeriodOpened
from tests.support.network import Network, Node
from tests.support.stewards import join_stewards, open_period

NODE = "als-union"


@pytest.fixture
def later(network: Network, monkeypatch: pytest.MonkeyPatch) -> Node:
    """A node that does not run, a year and a day later; its commands have the network's clock."""
    network.clock.forward(days=366)
    network.nodes[NODE].stop()
    monkeypatch.setattr("node.program.utc_now", network.clock)
    return network.nodes[NODE]


def run(node: Node, *line: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, line), "--dir", str(node.home.root)])


def periods(node: Node) -> list[PeriodOpened]:
    node.restart()
    found = [body for body in node.bodies if isinstance(body, PeriodOpened)]
    node.stop()
    return found


def test_the_folders_key_opens_the_year_until_a_steward_joins(
    later: Node, network: Network, tmp_path: Path
) -> None:
    first = run(later, "open-period", "--by", "Ada")
    assert first.exit_code == 0, first.stderr
    assert first.stdout == "opened until 2028-03-11T12:00:00Z\n"
    assert run(later, "open-period").exit_code == 3
    invited, key = tmp_path / "invitation", tmp_path / "ina.key"
    assert run(later, "steward", "invite", "Ina", "--out", invited).exit_code == 0
    assert run(later, "steward", "join", invited, "--key", key).exit_code == 0
    network.clock.forward(days=366)
    without = run(later, "open-period")
    assert (without.exit_code, without.stdout) == (2, "")
    assert "sign with the key that you joined with: --key FILE" in without.stderr
    assert run(later, "open-period", "--key", key).exit_code == 0
    made, by_ada, by_ina = periods(later)
    assert (made.by, by_ada.by, by_ina.by) == ("steward", "Ada", "Ina")
    assert None not in (made.signed, by_ada.signed, by_ina.signed)


def test_a_running_node_takes_no_year_that_nobody_signed(network: Network) -> None:
    network.clock.forward(days=366)
    node = network.nodes[NODE]
    (ina,) = join_stewards(node, "Ina")
    with pytest.raises(Refused) as refused:
        node.steward.open_period(node.steward.next_period()["starts"], None)
    assert refused.value.code is Code.NOT_PERMITTED
    with pytest.raises(Refused):
        open_period(node)
    with pytest.raises(Refused, match="another name"):
        open_period(node, ina)
    assert node.kinds("period") == ["period"], "the one of the beginning"


def test_the_folders_key_signs_until_somebody_joined(later: Node, network: Network) -> None:
    key = later.home.steward_file
    with signing_hand(later.home, "Ada", key, network.clock) as (hand, sign):
        assert sign(hand.next_period()) is not None
    later.restart()
    join_stewards(later, "Ina")
    later.stop()
    with (
        pytest.raises(BadInput, match="no steward's key here"),
        signing_hand(later.home, "Ada", key, network.clock),
    ):
        pass
