"""The opened total is the sum of the survivors' vectors, exactly, however they are split."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.errors import ProtocolError
from privacy.secure_sum.transcript import verify_transcript
from tests.support.secure_sum_network import Network, Stage, Vector, plain_total


def split_members(members: Vector, owners: list[int], names: tuple[str, ...]) -> dict[str, Vector]:
    """Each member's row goes to the node that owns it; a node sums its own rows."""
    vectors = {name: np.zeros(members.shape[1], dtype=np.uint64) for name in names}
    for row, owner in zip(members, owners, strict=True):
        vectors[names[owner]] += row
    return vectors


@given(
    nodes=st.integers(3, 6),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
@settings(max_examples=25, deadline=None)
def test_any_split_and_any_order_give_the_pooled_total(
    nodes: int, seed: int, data: st.DataObject
) -> None:
    draw = np.random.default_rng(seed)
    members = draw.integers(-(2**40), 2**40, (12, 5), dtype=np.int64).view(np.uint64)
    owners = data.draw(st.lists(st.integers(0, nodes - 1), min_size=12, max_size=12))
    network = Network(nodes, length=5, sets=1, seed=str(seed)).prepare()
    vectors = split_members(members, owners, network.names)
    order = data.draw(st.permutations(network.names))
    total, transcript = network.run({name: vectors[name] for name in order})
    np.testing.assert_array_equal(total, members.view(np.int64).sum(axis=0))
    np.testing.assert_array_equal(verify_transcript(transcript, network.keys), total)


def test_the_order_in_which_messages_arrive_does_not_matter() -> None:
    network = Network(5, t_drop=1).prepare()
    vectors = network.vectors()
    run = network.collect(vectors, lost={"node-02": Stage.CLAIM})
    total, _ = network.open(run)
    for field in (run.masked, run.claims, run.lists, run.reveals):
        backwards = dict(reversed(field.items()))
        field.clear()
        field.update(backwards)  # type: ignore[arg-type]
    np.testing.assert_array_equal(network.open(run)[0], total)


LOSSES = [
    (nodes, t_drop, t_collude, lost)
    for nodes, t_drop, t_collude in ((3, 0, 1), (4, 1, 1), (5, 1, 2), (10, 3, 3), (10, 4, 1))
    for count in range(t_drop + 1)
    for lost in list(combinations(range(nodes), count))[:: 1 + 60 * (nodes == 10)][:12]
]


@pytest.mark.parametrize(("nodes", "t_drop", "t_collude", "lost"), LOSSES)
def test_lost_nodes_are_subtracted_exactly(
    nodes: int, t_drop: int, t_collude: int, lost: tuple[int, ...]
) -> None:
    """Nodes lost after masking, first, last and in between."""
    network = Network(nodes, t_drop=t_drop, t_collude=t_collude, sets=1).prepare()
    vectors = network.vectors(seed=nodes)
    gone = {network.names[i]: Stage.CLAIM for i in lost}
    total, transcript = network.run(vectors, lost=gone)
    alive = [name for name in network.names if name not in gone]
    np.testing.assert_array_equal(total, plain_total(vectors, alive))
    assert transcript.survivors == tuple(alive)
    np.testing.assert_array_equal(verify_transcript(transcript, network.keys), total)


@pytest.mark.parametrize("stage", [Stage.MASK, Stage.CLAIM, Stage.SIGN, Stage.REVEAL])
def test_a_node_may_be_lost_at_any_stage(stage: Stage) -> None:
    """Lost before its claim a node is out of the total; afterwards it is in."""
    network = Network(5, t_drop=1).prepare()
    vectors = network.vectors()
    total, _ = network.run(vectors, lost={"node-04": stage})
    names = network.names[:4] if stage <= Stage.CLAIM else network.names
    np.testing.assert_array_equal(total, plain_total(vectors, names))


@pytest.mark.parametrize(("nodes", "t_drop"), [(3, 0), (4, 1), (5, 1)])
def test_more_losses_than_planned_end_the_attempt(nodes: int, t_drop: int) -> None:
    network = Network(nodes, t_drop=t_drop).prepare()
    gone = dict.fromkeys(network.names[: t_drop + 1], Stage.CLAIM)
    with pytest.raises(ProtocolError, match="fewer than"):
        network.collect(network.vectors(), lost=gone)


def test_too_few_holders_cannot_open() -> None:
    network = Network(5, t_drop=1).prepare()
    run = network.collect(network.vectors())
    for name in network.names[:2]:
        del run.reveals[name]
    with pytest.raises(ProtocolError, match="fewer than 4 holders"):
        network.open(run)
    del run.lists["node-03"], run.lists["node-04"]
    with pytest.raises(ProtocolError, match="fewer than 4 signatures"):
        network.open(run)


def test_sums_wrap_modulo_2_64_and_are_signed() -> None:
    network = Network(3, length=4).prepare()
    edge = np.array([2**63 - 1, -(2**63), -1, 0], dtype=np.int64).view(np.uint64)
    vectors = dict.fromkeys(network.names, edge)
    total, _ = network.run(vectors)
    assert total.dtype == np.int64
    np.testing.assert_array_equal(total, plain_total(vectors))
    np.testing.assert_array_equal(total[2:], [-3, 0])


def test_every_set_of_a_session_opens_once() -> None:
    network = Network(4, t_drop=1, sets=3).prepare()
    for index in (2, 0, 1):
        vectors = network.vectors(seed=index)
        total, _ = network.run(vectors, attempt=network.attempt(index, round=index))
        np.testing.assert_array_equal(total, plain_total(vectors))
    assert all(session.remaining == () for session in network.sessions.values())


def test_thirty_nodes() -> None:
    network = Network(30, t_drop=9, t_collude=5, sets=1).prepare()
    vectors = network.vectors()
    gone = dict.fromkeys(network.names[3:12], Stage.CLAIM)
    total, _ = network.run(vectors, lost=gone)
    np.testing.assert_array_equal(
        total, plain_total(vectors, [name for name in network.names if name not in gone])
    )
