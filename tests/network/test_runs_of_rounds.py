"""Runs of several rounds: what a round is asked with, what it costs, and what may interrupt it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coordinator import key_stock
from coordinator.planning import Compiled
from coordinator.store.facts import RunFacts, RunState
from models.aggregates.requests import parse_analysis
from privacy.accounting.conversion import epsilon_of_rho
from privacy.contract.messages import Ask
from privacy.contract.packet import Packet
from privacy.errors import Code
from privacy.units import Rho
from tests.support import net_data
from tests.support.adaptive import add_halving, interval
from tests.support.killing import When, kill, lose, payload
from tests.support.network import Network

LATE = "stroke-club"
FIVE = {"nodes": net_data.MORE_NODES, "t_drop": 1, "t_collude": 1}
HALVING = {"kind": "halving", "column": "age"}
ROUNDS = 5


@pytest.fixture(autouse=True)
def _halving(monkeypatch: pytest.MonkeyPatch) -> None:
    add_halving(monkeypatch)


def planned(network: Network, **changes: Any) -> Compiled:
    parts = changes.pop("parts", (1,) * ROUNDS)
    return network.plan(network.question({**HALVING, "parts": parts}, **changes))


def statement(network: Network, run: RunFacts) -> dict[str, Any]:
    assert run.release is not None, (run.code, run.fields)
    return dict(network.store.releases.get(run.release).envelope.to_json()["body"])


def cost(compiled: Compiled, *rounds: int) -> int:
    """Units of rho of one attempt of these rounds, or of all."""
    chosen = [compiled.plan.rounds[each] for each in rounds] if rounds else compiled.plan.rounds
    return sum(Rho.parse(each.rho).units for each in chosen)


def until_killed(network: Network, run: RunFacts) -> None:
    """Start a run whose coordinator will not see its end."""
    network.execution.execute(run.id)
    network.execution.over(run.id)
    network.wire.heal()


def kinds(network: Network, node: str) -> list[str]:
    return network.nodes[node].kinds("reserve", "commit", "lost", "released", "aborted")


# what it asks and costs


def test_every_round_is_asked_with_what_the_ones_before_it_opened(network: Network) -> None:
    run = network.run(planned(network, epsilon="8"))
    median = network.pooled["age"].clip(0, 110).median()
    assert abs(network.estimates(run)[()] - median) <= 110 / 8
    openings = network.store.openings.of(run.plan_digest)
    widths = [high - low for low, high in (interval(each.state) for each in openings)]
    assert widths == [16, 8, 4, 2, 1]
    assert run.opened == ROUNDS
    said = statement(network, run)
    assert len({each["state"] for each in said["rounds"]}) == ROUNDS
    assert all(set(each["receipts"]) == set(network.nodes) for each in said["rounds"])


def test_a_real_search_runs_over_the_network(network: Network) -> None:
    run = network.ask({"kind": "quantiles", "column": "age", "q": ["0.5"]}, epsilon="8")
    analysis = parse_analysis(run.plan.analysis)
    assert run.opened == len(run.plan.rounds) == len(analysis.shares(network.dictionary))
    [row] = network.result(run)["rows"]
    assert row["low"] <= network.pooled["age"].median() <= row["high"]


def test_the_run_costs_the_sum_of_its_rounds_at_every_node(network: Network) -> None:
    compiled = planned(network, parts=(4, 1, 1, 1, 1))
    first, *others = [Rho.parse(each.rho).units for each in compiled.plan.rounds]
    assert first == pytest.approx(4 * others[0], rel=1e-6)
    assert network.run(compiled).release
    for name in network.nodes:
        assert network.spent(name) == (cost(compiled), 0)
        assert kinds(network, name) == ["reserve", *["commit"] * ROUNDS, "released"]
    total = Rho(cost(compiled))
    assert epsilon_of_rho(total, network.study.delta_fraction) <= 1


def test_rounds_of_other_lengths_of_time_outlast_the_question(network: Network) -> None:
    """A question is signed for ten minutes; its plan lasts as long as its rounds may take."""
    compiled = planned(network)

    def later(packet: Packet) -> Packet:
        network.clock.forward(minutes=11)
        return packet

    network.wire.outbound.append(When(Ask.CONTRIBUTE, later, round_=2))
    assert network.run(compiled).release


def test_keys_never_run_out(network: Network) -> None:
    compiled = planned(network, parts=(1,) * 50, epsilon="5")
    assert network.run(compiled).release
    asked = [payload(each.request)["attempt"] for each in network.wire.asked(Ask.CONTRIBUTE)]
    used = {(*each["sessions"], each["set_index"]) for each in asked}
    assert len(used) == 50 > key_stock.SETS


# what interrupts it

CUTS = [
    (Ask.RESERVE, 2, None),
    (Ask.CONTRIBUTE, 1, 0),
    (Ask.CONTRIBUTE, 1, 2),
    (Ask.CONTRIBUTE, 3, 2),
    (Ask.SIGN_SURVIVORS, 1, 2),
    (Ask.SIGN_SURVIVORS, 3, 2),
    (Ask.REVEAL, 1, 4),
    (Ask.REVEAL, 3, 2),
]


@pytest.mark.parametrize(("ask", "nth", "round_"), CUTS)
def test_a_coordinator_killed_in_the_middle_goes_on_and_nothing_is_charged_twice(
    network: Network, ask: Ask, nth: int, round_: int | None
) -> None:
    compiled = planned(network)
    run = network.queue(compiled)
    network.wire.outbound.append(When(ask, kill, nth, round_=round_))
    until_killed(network, run)
    assert network.store.runs.get(run.id).state is RunState.RUNNING
    network.restart_coordinator()
    network.execution.resume()
    assert network.execution.wait(run.id, 30)
    network.execution.over(run.id)
    assert statement(network, network.store.runs.get(run.id))["rounds"]
    for name in network.nodes:
        assert network.spent(name) == (cost(compiled), 0)
        assert kinds(network, name) == ["reserve", *["commit"] * ROUNDS, "released"]


@pytest.mark.parametrize(
    ("ask", "round_"), [(Ask.RESERVE, None), (Ask.CONTRIBUTE, 0), (Ask.SIGN_SURVIVORS, 2)]
)
def test_a_coordinator_that_is_told_to_stop_leaves_its_runs_to_the_next(
    network: Network, ask: Ask, round_: int | None
) -> None:
    """Its link ends under a run, as if all nodes were lost: the run is not."""
    compiled, gone = planned(network), list[Ask]()

    def stop(_packet: Packet) -> None:
        network.execution.close()
        gone.append(ask)

    def ended(_node: str, _ask: Ask, packet: Packet) -> Packet | None:
        return None if gone else packet

    run = network.queue(compiled)
    network.wire.outbound += [When(ask, stop, round_=round_), ended]
    until_killed(network, run)
    assert gone
    assert network.store.runs.get(run.id).state is RunState.RUNNING
    network.restart_coordinator()
    network.execution.resume()
    assert network.execution.wait(run.id, 30)
    network.execution.over(run.id)
    assert network.store.runs.get(run.id).release
    for name in network.nodes:
        assert network.spent(name) == (cost(compiled), 0)
        assert kinds(network, name) == ["reserve", *["commit"] * ROUNDS, "released"]


def test_a_node_that_was_asked_and_forgot_costs_an_attempt_after_a_restart(
    network: Network,
) -> None:
    """The keys of the interrupted attempt are gone at one node: only another attempt can open."""
    compiled = planned(network, max_attempts=2)
    run = network.queue(compiled)
    network.wire.outbound.append(When(Ask.SIGN_SURVIVORS, kill, 1, round_=2))
    until_killed(network, run)
    network.nodes["ms-league"].restart()
    network.restart_coordinator()
    network.settle()
    network.execution.resume()
    assert network.execution.wait(run.id, 30)
    network.execution.over(run.id)
    assert network.store.runs.get(run.id).release
    for name in network.nodes:
        assert network.spent(name) == (cost(compiled) + cost(compiled, 2), 0)


def test_a_node_lost_in_one_round_is_back_in_the_next(make: Callable[..., Network]) -> None:
    network = make(**FIVE)
    compiled = planned(network)

    def restart(_packet: Packet) -> None:
        network.nodes[LATE].restart()
        network.settle()  # its peers witness its ledger again

    network.wire.outbound.append(When(Ask.CONTRIBUTE, restart, node=LATE, round_=1))
    run = network.run(compiled)
    survivors = [each["survivors"] for each in statement(network, run)["rounds"]]
    there = [LATE in each for each in survivors]
    assert there == [True, False, True, True, True]
    assert kinds(network, LATE) == ["reserve", *["commit"] * 4, "released"]
    assert network.spent(LATE) == (cost(compiled, 0, 2, 3, 4), 0)
    assert network.spent("als-union") == (cost(compiled), 0)


def test_a_node_that_stays_away_does_not_end_the_run(make: Callable[..., Network]) -> None:
    network = make(**FIVE)
    compiled = planned(network)

    def away(_packet: Packet) -> None:
        network.nodes[LATE].stop()

    network.wire.outbound.append(When(Ask.CONTRIBUTE, away, node=LATE, round_=1))
    run = network.run(compiled)
    survivors = [each["survivors"] for each in statement(network, run)["rounds"]]
    assert [LATE in each for each in survivors] == [True] + [False] * 4


def test_without_a_margin_a_lost_node_costs_another_attempt_of_that_round(
    network: Network,
) -> None:
    compiled = planned(network, max_attempts=2)
    network.wire.outbound.append(When(Ask.CONTRIBUTE, lose, node="ms-league", round_=3))
    assert network.run(compiled).release
    assert network.spent("ms-league") == (cost(compiled), 0)
    assert network.spent("als-union") == (cost(compiled) + cost(compiled, 3), 0)


def test_a_round_that_is_lost_ends_the_run_and_what_was_charged_stays(network: Network) -> None:
    compiled = planned(network)
    network.wire.outbound.append(When(Ask.SIGN_SURVIVORS, lose, node="ms-league", round_=2))
    run = network.run(compiled)
    assert (run.state, run.code) == (RunState.LOST, Code.ATTEMPT_LOST)
    charged = Rho(cost(compiled, 0, 1, 2))
    epsilon = repr(epsilon_of_rho(charged, network.study.delta_fraction))
    cost_of_it = {"rho": charged.text, "epsilon": epsilon}
    assert run.fields == {"attempts": 1, "round": 2, "rounds": ROUNDS, **cost_of_it}
    for name in network.nodes:
        assert network.spent(name) == (charged.units, 0)


def test_a_cohort_too_small_is_known_after_the_first_round(make: Callable[..., Network]) -> None:
    network = make(min_cohort=1000)
    compiled = planned(network)
    run = network.run(compiled)
    assert (run.state, run.code) == (RunState.REFUSED, Code.COHORT_TOO_SMALL)
    assert run.opened == 1
    for name in network.nodes:
        assert network.spent(name) == (cost(compiled, 0), 0)


# stopping it


def cancelled(network: Network, ask: Ask, round_: int) -> tuple[Compiled, RunFacts]:
    """A run that is asked to stop while `ask` of that round is under way."""
    compiled = planned(network)
    run = network.queue(compiled)

    def stop(packet: Packet) -> Packet:
        assert network.store.runs.ask_to_cancel(run.id)
        return packet

    network.wire.outbound.append(When(ask, stop, round_=round_))
    network.execution.execute(run.id)
    assert network.execution.wait(run.id, 30)
    network.execution.over(run.id)
    return compiled, network.store.runs.get(run.id)


@pytest.mark.parametrize(("ask", "round_"), [(Ask.CONTRIBUTE, 2), (Ask.REVEAL, 2), (Ask.REVEAL, 1)])
def test_a_cancelled_run_says_what_it_cost_and_frees_the_rest(
    network: Network, ask: Ask, round_: int
) -> None:
    compiled, run = cancelled(network, ask, round_)
    charged = cost(compiled, *range(round_ + 1))
    assert (run.state, run.code) == (RunState.CANCELLED, Code.CANCELLED)
    opened = round_ if ask is Ask.CONTRIBUTE else round_ + 1
    delta = network.study.delta_fraction
    assert run.fields == {
        "rho": Rho(charged).text,
        "epsilon": repr(epsilon_of_rho(Rho(charged), delta)),
        "round": opened,
        "rounds": ROUNDS,
    }
    for name in network.nodes:
        assert network.spent(name) == (charged, 0)
        assert kinds(network, name)[-1] == "aborted"


def test_a_run_stopped_while_the_bridge_was_away_stays_stopped(network: Network) -> None:
    run = network.queue(planned(network))
    network.wire.outbound.append(When(Ask.CONTRIBUTE, kill, 1, round_=1))
    until_killed(network, run)
    assert network.store.runs.ask_to_cancel(run.id)
    network.restart_coordinator()
    network.execution.resume()
    assert network.execution.wait(run.id, 30)
    assert network.store.runs.get(run.id).state is RunState.CANCELLED
