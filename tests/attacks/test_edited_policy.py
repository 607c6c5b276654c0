"""Somebody lowers an organisation's limits in a file, where no ledger entry shows it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from privacy.errors import VerificationFailed
from privacy.ledger.entry import PolicySet
from tests.support.network import Network


def test_a_node_goes_by_the_policy_of_its_ledger_alone(network: Network) -> None:
    node = network.nodes["als-union"]
    node.stop()
    planted = node.home.documents / "policy.json"
    planted.write_text('{"yearly_epsilon": "1000", "min_nodes": 2}')
    node.start()
    assert node.service.policy == next(b for b in node.bodies if isinstance(b, PolicySet))
    assert node.service.facts().policy is node.service.ledger.state.policy


def test_a_policy_edited_in_the_ledgers_file_is_noticed(network: Network) -> None:
    node = network.nodes["als-union"]
    node.stop()
    with closing(sqlite3.connect(node.home.ledger_file)) as ledger, ledger:
        rows = ledger.execute("SELECT seq, data FROM entries").fetchall()
        ((seq, data),) = [row for row in rows if b'"kind":"policy"' in row[1]]
        edited = data.replace(b'"min_nodes":3', b'"min_nodes":2')
        assert edited != data
        ledger.execute("UPDATE entries SET data = ? WHERE seq = ?", (edited, seq))
    with pytest.raises(VerificationFailed):
        node.start()
