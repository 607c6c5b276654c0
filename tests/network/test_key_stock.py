"""Mask keys ahead of a run: enough of them, never twice, and the next batch in good time."""

from __future__ import annotations

from collections.abc import Callable

from coordinator import key_stock
from coordinator.key_stock import KeyStock, Margin, PreparedSet
from privacy.contract.messages import Ask
from tests.support.network import Network

Work = Callable[[], None]


def stocked(network: Network) -> tuple[KeyStock, list[Work], tuple[str, ...], Margin]:
    """A stock whose background work waits in a list."""
    waiting: list[Work] = []
    study = network.study
    margin = Margin(network.store.network.roster.digest, study.t_drop, study.t_collude)
    return KeyStock(network.link, waiting.append), waiting, tuple(sorted(network.nodes)), margin


def name(taken: PreparedSet) -> tuple[object, ...]:
    return taken.index, *taken.sessions


def test_a_batch_that_runs_low_is_followed_by_the_next_while_it_is_used(network: Network) -> None:
    stock, waiting, group, margin = stocked(network)
    taken = [stock.take(group, margin) for _ in range(key_stock.SETS - 1)]
    assert len(waiting) == 1  # asked for once, though it has run low since
    waiting.pop()()
    assert stock.left(group, margin) == key_stock.SETS + 1
    taken += [stock.take(group, margin) for _ in range(3)]
    assert len({name(each) for each in taken}) == len(taken)
    assert len({each.sessions for each in taken}) == 2


def test_a_long_run_finds_its_keys_made(network: Network) -> None:
    stock, _, group, margin = stocked(network)
    stock.provide(group, margin, 50)
    prepared = len(network.wire.asked(Ask.PREPARE_KEYS))
    assert len({name(stock.take(group, margin)) for _ in range(50)}) == 50
    assert len(network.wire.asked(Ask.PREPARE_KEYS)) == prepared
    stock.provide(group, margin, 0)
    assert len(network.wire.asked(Ask.PREPARE_KEYS)) == prepared


def test_a_batch_that_cannot_be_made_is_asked_for_again(network: Network) -> None:
    stock, waiting, group, margin = stocked(network)
    stock.provide(group, margin, 1)
    network.nodes["ms-league"].stop()
    while stock.left(group, margin) > 1:
        stock.take(group, margin)
    waiting.pop()()
    stock.take(group, margin)
    assert len(waiting) == 1


def test_keys_written_down_are_the_keys_read(network: Network) -> None:
    stock, _, group, margin = stocked(network)
    taken = stock.take(group, margin)
    assert PreparedSet.from_json(taken.to_json()) == taken
