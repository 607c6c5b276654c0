"""A top-up on a real network: every node charges it, and only the same nodes can be combined."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coordinator.api.combining import check_tops_up, combined_view
from models.changed import changed
from privacy.errors import Code, Refused
from tests.support.net_data import MORE_NODES
from tests.support.network import Network

COUNT = {"kind": "count"}


def test_each_node_charges_the_sum_and_the_answers_combine(network: Network) -> None:
    first = network.ask(COUNT, epsilon="0.5")
    assert first.release is not None
    once, _ = network.spent("als-union")
    second = network.ask(COUNT, epsilon="0.5", tops_up=[first.release])
    assert second.release not in (None, first.release)
    assert network.spent("als-union") == (2 * once, 0)
    (principal,) = network.store.people.all()
    made = combined_view(network.store, principal, str(second.release))
    (row,) = made.result["rows"]
    (alone,) = network.result(first)["rows"]
    assert row["se"] == pytest.approx(alone["se"] / 2**0.5, rel=1e-6)
    assert [each.digest for each in made.releases] == [first.release, second.release]
    middle = sum(network.estimates(run)[()] for run in (first, second)) / 2
    assert row["estimate"] == pytest.approx(middle, abs=1e-3)


def test_another_node_set_or_month_is_not_combined(make: Callable[..., Network]) -> None:
    network = make(nodes=MORE_NODES[:4])
    first = network.ask(COUNT, epsilon="0.5")
    question = network.question(COUNT, epsilon="0.5", tops_up=[first.release])
    (principal,) = network.store.people.all()
    spent = network.spent("als-union")
    fewer = network.plan(question, MORE_NODES[:3]).plan
    for plan, differs in (
        (fewer, "nodes"),
        (changed(fewer, participants=first.plan.participants, epoch="1999-01"), "data epoch"),
    ):
        with pytest.raises(Refused) as refused:
            check_tops_up(network.store, principal, plan)
        assert refused.value.code is Code.NOT_COMBINABLE
        assert refused.value.public_fields["differs"] == differs
    assert network.spent("als-union") == spent
