"""Nodes that are lost, refuse or break: what it costs, and to whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coordinator import execution
from models.noise_law import NoiseLaw
from models.result import Z95
from node.engine import TotalTooLargeError
from privacy.contract.messages import Ask
from privacy.errors import Code, Refused
from privacy.ledger.entry import Commit, Lost
from privacy.mechanism import GaussianSum
from privacy.secure_sum.transcript import Transcript, verify_transcript
from privacy.units import Rho
from tests.support import net_data
from tests.support.net_steps import Steps, codes, field
from tests.support.network import Network

ASKED = {"kind": "count"}
FIVE: dict[str, Any] = {"nodes": net_data.MORE_NODES, "t_drop": 1}
LATE = "stroke-club"


def _statement(network: Network, release: str | None) -> dict[str, Any]:
    return dict(network.store.releases.get(release or "").envelope.to_json()["body"])


def test_a_node_lost_after_masking_is_within_the_margin(make: Callable[..., Network]) -> None:
    network = make(**FIVE)
    network.wire.lose_reply(LATE, Ask.CONTRIBUTE)
    run = network.ask(ASKED)
    said = _statement(network, run.release)
    assert said["rounds"][0]["survivors"] == [name for name in net_data.MORE_NODES if name != LATE]
    mechanism = GaussianSum.from_json(said["rounds"][0]["mechanism"])
    law = NoiseLaw(mechanism, survivors=4)
    [row] = network.result(run)["rows"]
    assert row["se_noise"] == pytest.approx(law.sd_grid / mechanism.delta_grid, rel=1e-6)
    assert row["high"] - row["low"] == pytest.approx(2 * Z95 * row["se_noise"])
    charged = {name: network.spent(name)[0] for name in network.nodes}
    assert len(set(charged.values())) == 1, "the lost node had committed: it pays too"
    assert charged[LATE] > 0


def test_the_total_without_the_lost_node_is_exact_up_to_the_noise(
    make: Callable[..., Network],
) -> None:
    huge = "1000000000000000"
    network = make(**FIVE, epsilon_allowance=huge, yearly_epsilon=huge)
    network.wire.lose_reply(LATE, Ask.CONTRIBUTE)
    [estimate] = network.estimates(network.ask(ASKED, epsilon=huge)).values()
    people = [network.shape.people(name) for name in net_data.MORE_NODES if name != LATE]
    assert round(estimate) == sum((frame["consent"] == "yes").sum() for frame in people)


def test_anybody_recomputes_the_total_with_a_lost_node_from_the_transcript(
    make: Callable[..., Network],
) -> None:
    network = make(**FIVE)
    network.wire.lose_reply(LATE, Ask.CONTRIBUTE)
    compiled = network.plan(network.question(ASKED))
    opened = network.open(compiled)
    again = Transcript.from_json(opened.transcript.to_json())
    total = verify_transcript(again, network.store.network.roster.keys)
    assert total.tolist() == opened.total.tolist()


def test_a_node_lost_after_its_claim_still_counts(make: Callable[..., Network]) -> None:
    network = make(**FIVE)
    network.wire.lose_reply(LATE, Ask.SIGN_SURVIVORS)
    run = network.ask(ASKED)
    assert _statement(network, run.release)["rounds"][0]["survivors"] == list(net_data.MORE_NODES)


def test_one_loss_more_than_the_margin_is_a_lost_attempt(make: Callable[..., Network]) -> None:
    network = make(**FIVE)
    network.wire.lose_reply(LATE, Ask.CONTRIBUTE)
    network.wire.lose_reply("ms-league", Ask.CONTRIBUTE)
    assert network.ask(ASKED).code == Code.ATTEMPT_LOST.value


@pytest.mark.parametrize("ask", [Ask.CONTRIBUTE, Ask.SIGN_SURVIVORS, Ask.REVEAL])
@pytest.mark.parametrize("way", ["lose_request", "lose_reply"])
def test_among_three_a_loss_is_a_lost_attempt_charged_where_it_was_committed(
    network: Network, ask: Ask, way: str
) -> None:
    getattr(network.wire, way)("ms-league", ask)
    run = network.ask(ASKED)
    assert (run.state.value, run.code) == ("lost", Code.ATTEMPT_LOST.value)
    silent = ask is Ask.CONTRIBUTE and way == "lose_request"
    for name, node in network.nodes.items():
        committed = 0 if silent and name == "ms-league" else 1
        assert len(node.kinds("commit")) == committed
        assert network.spent(name)[1] == 0, "nothing stays set aside"
        assert len(node.kinds("lost")) == committed
        assert node.kinds("aborted") == ["aborted"]


def test_a_second_attempt_recovers_with_new_noise_and_a_second_charge(network: Network) -> None:
    network.wire.lose_reply("ms-league", Ask.CONTRIBUTE, times=1)
    run = network.ask(ASKED, max_attempts=2)
    assert run.release
    for name, node in network.nodes.items():
        commits = [body for body in node.bodies if isinstance(body, Commit)]
        assert [commit.attempt for commit in commits] == [0, 1]
        assert commits[0].masked_sha256 != commits[1].masked_sha256
        assert [b.attempt for b in node.bodies if isinstance(b, Lost)] == [0]
        assert network.spent(name)[1] == 0


def test_attempts_that_were_not_needed_are_refunded(network: Network) -> None:
    one = network.ask(ASKED, max_attempts=5)
    assert one.release
    plan = one.plan
    for name, node in network.nodes.items():
        state = node.service.ledger.state
        assert state.total_charged.text == plan.rho
        assert network.spent(name)[1] == 0


def test_a_refusal_at_reserving_costs_nobody_anything(network: Network) -> None:
    network.nodes["ms-league"].steward.pause()
    run = network.ask(ASKED)
    assert (run.state.value, run.code) == ("refused", Code.PAUSED.value)
    for name, node in network.nodes.items():
        assert network.spent(name) == (0, 0)
        assert node.kinds("commit") == []
        if name != "ms-league":
            assert node.kinds("reserve", "aborted") == ["reserve", "aborted"]


def test_a_node_that_is_offline_at_the_start_costs_nobody_anything(network: Network) -> None:
    network.nodes["ms-league"].stop()
    run = network.ask(ASKED)
    assert run.code == Code.NODE_OFFLINE.value
    assert all(network.spent(n) == (0, 0) for n in ("als-union", "mood-circle"))
    network.nodes["ms-league"].start()
    network.settle()
    assert network.ask(ASKED, nonce="again").release


def test_a_reservation_ends_with_its_plan(network: Network) -> None:
    steps = Steps(network, network.plan(network.question(ASKED)))
    assert codes(steps.reserve()) == {None}
    assert all(network.spent(name)[1] > 0 for name in network.nodes)
    network.clock.forward(minutes=11)
    network.settle()
    for name, node in network.nodes.items():
        assert network.spent(name) == (0, 0)
        assert node.kinds("expired") == ["expired"]
    keys = steps.keys()
    assert codes(steps.contribute(steps.attempt(keys), keys)) == {Code.ATTEMPT_LOST}


def test_an_expired_plan_is_not_answered_even_before_it_is_swept(network: Network) -> None:
    steps = Steps(network, network.plan(network.question(ASKED)))
    steps.reserve()
    keys = steps.keys()
    network.clock.forward(minutes=11)
    assert codes(steps.contribute(steps.attempt(keys), keys)) == {Code.EXPIRED}


def test_a_pause_between_reserving_and_contributing_lets_nothing_leave(network: Network) -> None:
    steps = Steps(network, network.plan(network.question(ASKED)))
    steps.reserve()
    keys = steps.keys()
    network.nodes["ms-league"].steward.pause()
    answers = steps.contribute(steps.attempt(keys), keys)
    assert codes({"": answers["ms-league"]}) == {Code.PAUSED}
    assert network.spent("ms-league")[0] == 0


def test_telling_that_it_was_released_or_lost_before_anything_was_is_refused(
    network: Network,
) -> None:
    steps = Steps(network, network.plan(network.question(ASKED)))
    steps.reserve()
    assert codes(steps.outcome(released="0" * 64)) == {Code.CONFLICT}
    assert codes(steps.outcome(lost=0, round=0)) == {Code.CONFLICT}
    assert codes(steps.outcome(aborted="made up")) == {Code.INTERNAL}
    keys = steps.keys()
    assert codes(steps.contribute(steps.attempt(keys), keys)) == {None}


def test_an_abort_after_the_commit_refunds_nothing(network: Network) -> None:
    steps = Steps(network, network.plan(network.question(ASKED)))
    steps.reserve()
    keys = steps.keys()
    attempt = steps.attempt(keys)
    claims = field(steps.contribute(attempt, keys), "claim")
    before = {name: network.spent(name)[0] for name in network.nodes}
    steps.outcome(aborted="cancelled")
    assert {name: network.spent(name)[0] for name in network.nodes} == before
    assert codes(steps.sign(attempt, claims)) == {Code.ATTEMPT_LOST}, "and nothing is opened"


# What breaks inside

FAILURES: list[Exception] = [
    ValueError("member m1-7 has 17 twice"),
    TotalTooLargeError("a total exceeds 2^62"),
    MemoryError(),
    ZeroDivisionError(),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda error: type(error).__name__)
def test_a_failure_while_reading_looks_like_a_lost_node_and_is_charged(
    network: Network, failure: Exception
) -> None:
    def broken(*_: Any) -> Any:
        raise failure

    network.nodes["ms-league"].service.runner.engine = broken
    run = network.ask(ASKED)
    assert (run.state.value, run.code) == ("lost", Code.ATTEMPT_LOST.value)
    charged = {name: network.spent(name) for name in network.nodes}
    assert len(set(charged.values())) == 1, "exactly as if its answer had been lost on the way"
    [commit] = [b for b in network.nodes["ms-league"].bodies if isinstance(b, Commit)]
    assert commit.bytes == 0


def abort(network: Network, plan: str) -> None:
    network.nodes["ms-league"].service.runner.aborted(plan, Code.CANCELLED.value)


def run_out(network: Network, plan: str) -> None:
    network.clock.forward(minutes=11)


def sweep(network: Network, plan: str) -> None:
    network.clock.forward(minutes=11)
    network.nodes["ms-league"].service.runner.sweep()


def pause(network: Network, plan: str) -> None:
    network.nodes["ms-league"].steward.pause()


def refuse(network: Network, plan: str) -> None:
    raise Refused(Code.ATTEMPT_LOST)


@pytest.mark.parametrize("meanwhile", [abort, run_out, sweep, pause, refuse])
def test_what_was_read_is_charged_whatever_happens_meanwhile(
    network: Network, meanwhile: Callable[[Network, str], None]
) -> None:
    """Else how long a node reads could be asked for any number of times, at no cost."""
    runner = network.nodes["ms-league"].service.runner
    steps = Steps(network, network.plan(network.question(ASKED)))
    steps.reserve()
    keys = steps.keys()
    attempt = steps.attempt(keys)
    engine = runner.engine

    def slow(*asked: Any) -> Any:
        meanwhile(network, steps.digest)
        return engine(*asked)

    runner.engine = slow
    answers = steps.contribute(attempt, keys, ["ms-league"])
    assert None not in codes(answers), "nothing leaves"
    runner.engine = engine
    [commit] = [b for b in network.nodes["ms-league"].bodies if isinstance(b, Commit)]
    assert commit.bytes == 0
    assert network.spent("ms-league")[0] == Rho.parse(steps.plan.rho).units
    again = steps.contribute(steps.attempt(keys), keys, ["ms-league"])
    assert None not in codes(again), "and not a second time"
    assert len([b for b in network.nodes["ms-league"].bodies if isinstance(b, Commit)]) == 1


def test_one_opening_is_not_read_twice_at_once(network: Network) -> None:
    runner = network.nodes["ms-league"].service.runner
    steps = Steps(network, network.plan(network.question(ASKED)))
    steps.reserve()
    keys, others = steps.keys(), steps.keys()
    engine, inner = runner.engine, []

    def twice(*asked: Any) -> Any:
        runner.engine = engine
        inner.append(steps.contribute(steps.attempt(others), others, ["ms-league"]))
        return engine(*asked)

    runner.engine = twice
    assert codes(steps.contribute(steps.attempt(keys), keys, ["ms-league"])) == {None}
    assert codes(inner[0]) == {Code.ATTEMPT_LOST}
    assert len([b for b in network.nodes["ms-league"].bodies if isinstance(b, Commit)]) == 1


def test_a_failure_is_answered_in_the_same_slot_as_an_answer(network: Network) -> None:
    """Slots of ten seconds, and a clock that shows which replies waited for theirs."""
    from node.slots import Slots

    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(round(now[0] + seconds, 6))

    service = network.nodes["ms-league"].service
    service.slots = Slots(10.0, lambda: now[0], sleep)
    real = service.runner.engine

    def slow(*asked: Any) -> Any:
        now[0] += 3.0
        return real(*asked)

    def slow_and_broken(*asked: Any) -> Any:
        now[0] += 12.5
        raise ValueError

    def refusing(*asked: Any) -> Any:
        now[0] += 1.0
        raise Refused(Code.ATTEMPT_LOST)

    for engine, cohort in ((slow, "age > 1"), (slow_and_broken, "age > 2"), (refusing, "age > 3")):
        now[0], service.runner.engine = 0.0, engine
        network.ask(ASKED, cohort)
    assert slept == [10.0, 20.0, 10.0]


def test_slots_are_kept_to_the_next_multiple() -> None:
    from node.slots import Slots

    now, slept = [100.0], []
    slots = Slots(0.25, lambda: now[0], slept.append)
    for elapsed, wanted in ((0.0, 0.25), (0.125, 0.125), (0.25, 0.25), (0.625, 0.125)):
        slot = slots.arrive()
        now[0] += elapsed
        slot.wait()
        assert slept.pop() == pytest.approx(wanted)
    Slots(0.0, lambda: now[0], slept.append).arrive().wait()
    assert slept == []


def test_a_total_that_comes_out_too_small_is_not_shown(make: Callable[..., Network]) -> None:
    network = make(min_cohort=50, epsilon_allowance="1000", yearly_epsilon="1000")
    small = network.ask(ASKED, "age > 108", epsilon="100")
    assert (small.state.value, small.code) == ("refused", Code.COHORT_TOO_SMALL.value)
    assert small.fields == {"least": 50}
    assert small.release is None
    assert all(node.kinds("aborted") == ["aborted"] for node in network.nodes.values())
    assert network.ask(ASKED, epsilon="100").release


@pytest.mark.parametrize(("least", "state"), [(0, "released"), (1, "refused")])
def test_without_a_least_cohort_an_answer_below_zero_is_shown(
    make: Callable[..., Network], monkeypatch: pytest.MonkeyPatch, least: int, state: str
) -> None:
    monkeypatch.setattr(execution, "members_at", lambda *_: -5.0)
    network = make(min_cohort=least)
    assert network.ask(ASKED).state.value == state


def test_a_cut_off_run_goes_on_and_a_queued_one_starts_when_the_bridge_is_back(
    network: Network,
) -> None:
    cut = network.queue(network.plan(network.question(ASKED)))
    assert network.store.runs.start(cut.id)
    waiting = network.queue(network.plan(network.question({"kind": "count", "by": ["treatment"]})))
    network.execution.resume()
    assert network.execution.wait(waiting.id, 30)
    network.execution.over(waiting.id)
    assert network.store.runs.get(waiting.id).release
    assert network.execution.wait(cut.id, 30)
    assert network.store.runs.get(cut.id).release
