"""With noise made negligible, the network answers what pandas answers on the pooled members."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support import net_data
from tests.support.network import Network

HUGE = {"epsilon_allowance": "1000000000000000", "yearly_epsilon": "1000000000000000"}
EPSILON = "100000000000000"  # a tenth of the allowance: each test asks a few questions


@pytest.fixture
def rich(make: Callable[..., Network]) -> Network:
    return make(**HUGE)


def _cells(frame: pd.DataFrame, *columns: str) -> dict[tuple[str, ...], float]:
    counted = frame.groupby(list(columns)).size()
    return {key if isinstance(key, tuple) else (key,): float(n) for key, n in counted.items()}


def _agrees(got: dict[tuple[str, ...], float], wanted: dict[tuple[str, ...], float]) -> None:
    for cell, value in got.items():
        assert value == pytest.approx(wanted.get(cell, 0.0), rel=1e-5, abs=0.02), cell
    assert set(wanted) <= set(got)


def test_a_count_by_two_columns_of_a_cohort(rich: Network) -> None:
    asked = {"kind": "count", "by": ["treatment", "condition"]}
    run = rich.ask(asked, "age >= 40 and condition != 'mood'", epsilon=EPSILON)
    people = rich.pooled[(rich.pooled["age"] >= 40) & (rich.pooled["condition"] != "mood")]
    _agrees(rich.estimates(run), _cells(people, "treatment", "condition"))


def test_a_plain_count(rich: Network) -> None:
    run = rich.ask({"kind": "count"}, epsilon=EPSILON)
    assert list(rich.estimates(run).values()) == [pytest.approx(len(rich.pooled), abs=0.02)]


def test_histograms_of_a_one_row_and_a_many_row_table(rich: Network) -> None:
    run = rich.ask({"kind": "histogram", "column": "age"}, epsilon=EPSILON)
    wanted = np.histogram(rich.pooled["age"], [0, 18, 40, 65, 110])[0]
    assert list(rich.estimates(run).values()) == pytest.approx(list(wanted), abs=0.02)
    run = rich.ask({"kind": "histogram", "column": "severity"}, epsilon=EPSILON)
    rows = rich.pooled_symptoms
    binned = pd.cut(rows["severity"], [0, 4, 7, 10], right=False, labels=False)
    members = rows.assign(bin=binned).drop_duplicates(["member", "bin"]).groupby("bin").size()
    assert list(rich.estimates(run).values()) == pytest.approx(list(members), abs=0.02)


def test_a_mean_and_a_sum_with_missing_and_clamped_values(rich: Network) -> None:
    scores = rich.pooled["score"].clip(-20, 60)
    [mean] = rich.estimates(rich.ask({"kind": "mean", "column": "score"}, epsilon=EPSILON)).values()
    assert mean == pytest.approx(scores.mean(), rel=1e-4)
    [total] = rich.estimates(rich.ask({"kind": "sum", "column": "score"}, epsilon=EPSILON)).values()
    assert total == pytest.approx(scores.sum(), rel=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_any_split_of_the_members_gives_the_same_answer(
    make: Callable[..., Network], seed: int
) -> None:
    everyone = net_data.members(100, 90)
    rows = net_data.symptoms(everyone, 100)
    rng = np.random.default_rng(seed)
    place = rng.choice(3, len(everyone), p=[[1, 0, 0], [0.9, 0.1, 0], [0.2, 0.3, 0.5]][seed])
    frames = {n: everyone[place == i] for i, n in enumerate(net_data.NODES)}
    split: dict[str, Any] = {
        "frames": frames,
        "symptoms": {n: rows[rows["member"].isin(f["member"])] for n, f in frames.items()},
    }
    network = make(**HUGE, **split)
    run = network.ask({"kind": "count", "by": ["condition"]}, epsilon=EPSILON)
    pooled = everyone[everyone["consent"] == "yes"]
    _agrees(network.estimates(run), _cells(pooled, "condition"))


def test_the_same_question_is_answered_from_the_store_and_costs_once(network: Network) -> None:
    first, again = network.ask({"kind": "count"}), network.ask({"kind": "count"})
    assert (first.repeat, again.repeat) == (False, True)
    assert first.release == again.release
    assert all(node.kinds("commit") == ["commit"] for node in network.nodes.values())


def test_the_same_question_asked_twice_at_once_costs_once(network: Network) -> None:
    runs = [network.queue(network.plan(network.question({"kind": "count"}))) for _ in range(4)]
    for run in runs:
        network.execution.execute(run.id)
    for run in runs:
        assert network.execution.wait(run.id, 30)
        network.execution.over(run.id)
    releases = {network.store.runs.get(run.id).release for run in runs}
    assert len(releases) == 1
    assert None not in releases
    assert all(node.kinds("commit") == ["commit"] for node in network.nodes.values())


def test_a_run_queued_while_the_bridge_was_away_starts_when_somebody_waits_for_it(
    network: Network,
) -> None:
    run = network.queue(network.plan(network.question({"kind": "count"})))
    assert network.execution.wait(run.id, 30)
    assert network.store.runs.get(run.id).release
    network.execution.over(run.id)


def test_what_left_the_building_is_readable_with_its_hash_and_cost(network: Network) -> None:
    run = network.ask({"kind": "count", "by": ["treatment"]})
    [line] = network.nodes["ms-league"].steward.left_the_building()
    assert line["plan"] == run.plan_digest
    assert line["bytes"] == 3 * 8
    assert "treatment" in line["sentence"].lower()
    assert 0.99 < line["epsilon"] <= 1.0
