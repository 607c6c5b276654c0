"""Somebody lowers an organisation's floors in the file, where no ledger entry shows it."""

from __future__ import annotations

from typing import Any

import pytest

from node.setup import read_policy
from privacy.contract.canonical import canonical_bytes
from privacy.errors import VerificationFailed
from tests.support.network import Network

CHANGES: list[dict[str, Any]] = [
    {"max_drop": 5},
    {"min_nodes": 2},
    {"min_collude": 0},
    {"min_cohort": 7},
    {"max_memberships": 2},
    {"by_organisation": False},
    {"yearly_epsilon": "1000"},
    {"delta": "1/2"},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_a_node_does_not_start_with_a_policy_that_its_ledger_does_not_record(
    network: Network, change: dict[str, Any]
) -> None:
    node = network.nodes["als-union"]
    node.stop()
    policy = read_policy(node.home).to_json()
    node.home.policy_file.write_bytes(canonical_bytes({**policy, **change}))
    assert read_policy(node.home).to_json() != policy, "who only reads the file goes by it"
    with pytest.raises(VerificationFailed) as found:
        node.start()
    assert found.value.where == str(node.home.policy_file)
    node.home.policy_file.write_bytes(canonical_bytes(policy))
    node.start()
    network.settle()
    assert network.ask({"kind": "count"}).release
