"""People in several organisations, counted once, over a whole network in one process."""

from __future__ import annotations

import pytest

from coordinator.store.facts import LinkageState
from node.linkage_records import linked_numbers
from privacy.linkage.dummies import COST
from tests.support import net_data
from tests.support.linked_clinic import (
    DICTIONARY,
    FIELDS,
    MEMBERSHIPS,
    PERSONS,
    linking,
    overlapping,
    symptoms,
)
from tests.support.network import Network
from tests.support.network_fixtures import Make

pytestmark = pytest.mark.usefixtures("few_dummies")
COUNT = {"kind": "count", "by": []}
AGREED = {name: linking(name) for name in net_data.NODES}


def clinic(make: Make, **shape: object) -> Network:
    frames = overlapping()
    usual = {
        "dictionary": DICTIONARY,
        "frames": frames,
        "symptoms": symptoms(frames),
        "linking": AGREED,
        "linked": True,
        "yearly_epsilon": "1000000",
        "epsilon_allowance": "100000",
    }
    return make(**(usual | shape))


def counted(network: Network) -> float:
    run = network.ask(COUNT, epsilon="10000")
    return next(iter(network.estimates(run).values()))


def test_each_person_is_counted_once_and_paid_for_once(make: Make) -> None:
    network = clinic(make, max_memberships=2)
    before = {name: network.spent(name)[0] for name in network.nodes}
    facts = network.link_members(FIELDS)
    assert facts.state is LinkageState.LINKED, facts.code
    for name in network.nodes:
        assert network.spent(name)[0] - before[name] == COST.units
    assert abs(counted(network) - PERSONS) < 1
    here = [linked_numbers(node.parts.records) for node in network.nodes.values()]
    assert sum(each["linked"] for each in here) == MEMBERSHIPS
    assert sum(each["counted_here"] for each in here) == PERSONS
