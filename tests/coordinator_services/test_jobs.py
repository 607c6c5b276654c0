"""A run as a researcher follows it: progress, waiting, watching, stopping; also from the shell."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from typer.testing import CliRunner

from coordinator.cli.outcome import Exit
from coordinator.cli.researcher import app
from coordinator.client import BadInput, Job, Question, Refused, Stopped, connect
from coordinator.client.network import Network
from models.aggregates.requests import parse_analysis
from privacy.accounting.conversion import epsilon_of_rho
from privacy.contract.token import Role
from privacy.errors import Code
from privacy.units import Rho
from tests.support.api_calls import bearer
from tests.support.fake_executor import World


@dataclass
class Slow:
    """Lets a held run go on one round at a time."""

    world: World
    at: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    reached: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world.executor.hold = True
        self.world.executor.before_round = self._before

    def _before(self, _number: int) -> None:
        self.reached.release()
        assert self.at.acquire(timeout=30)

    def begin(self, run_id: str) -> None:
        """Start the run; it stands before its first round then."""
        thread = threading.Thread(target=self.world.executor.let_go, args=(run_id,))
        thread.start()
        self.threads.append(thread)
        assert self.reached.acquire(timeout=30)

    def rounds(self, number: int) -> None:
        """So many rounds more; the run stands before the next one then."""
        for _ in range(number):
            self.at.release()
            assert self.reached.acquire(timeout=30)

    def end(self) -> None:
        self.at.release(100)
        for thread in self.threads:
            thread.join(30)

    def end_cancelled(self, run_id: str) -> None:
        """Go on once somebody has asked for the run to stop."""
        until = time.monotonic() + 30
        while not self.world.store.runs.cancelling(run_id) and time.monotonic() < until:
            time.sleep(0.01)
        self.end()


@pytest.fixture
def net(url: str, token: str) -> Iterator[Network]:
    found = connect(url, token=token)
    assert isinstance(found, Network)
    yield found
    found.close()


@pytest.fixture
def slow(live_world: World) -> Iterator[Slow]:
    made = Slow(live_world)
    yield made
    made.end()


def median(net: Network) -> Question:
    return net.study("als-progression").quantiles("age", [0.5])


def rounds_of(net: Network, world: World) -> int:
    return len(parse_analysis(median(net).analysis_json).shares(world.dictionary))


def test_a_job_tells_how_far_it_is_and_then_its_result(
    net: Network, slow: Slow, live_world: World
) -> None:
    job = median(net).start(epsilon=2)
    of = rounds_of(net, live_world)
    assert str(job.progress) == f"queued: 0 of {of} rounds"
    slow.begin(job.run_id)
    slow.rounds(2)
    assert str(job.progress) == f"running: 2 of {of} rounds"
    assert not job.done
    with pytest.raises(BadInput, match="not over"):
        _ = job.result
    slow.end()
    result = job.wait(30)
    assert job.done
    assert result.table.equals(job.result.table)
    assert (result.rounds, len(result.receipts)) == (of, 3 * of)
    assert result.question == median(net)
    assert net.job(job.run_id).result.release == result.release
    [shown] = net.runs()
    assert (shown.id, shown.state, shown.round, shown.rounds) == (job.run_id, "released", of, of)


def test_a_job_is_watched_round_by_round(
    net: Network, slow: Slow, capsys: pytest.CaptureFixture[str]
) -> None:
    job = median(net).start(epsilon=2)
    slow.begin(job.run_id)
    threading.Timer(0.3, slow.end).start()
    assert job.watch(30).rounds > 1
    assert capsys.readouterr().out == ""


def test_a_cancelled_run_says_what_it_cost(net: Network, slow: Slow, live_world: World) -> None:
    job = median(net).start(epsilon=2)
    slow.begin(job.run_id)
    slow.rounds(2)
    threading.Thread(target=slow.end_cancelled, args=(job.run_id,)).start()
    stopped = job.cancel()
    plan = live_world.store.runs.get(job.run_id).plan
    charged = Rho.total(Rho.parse(each.rho) for each in plan.rounds[:2])
    epsilon = epsilon_of_rho(charged, live_world.study.delta_fraction)
    of = len(plan.rounds)
    assert stopped == Stopped(charged.fraction, epsilon, 2, of)
    assert f"stopped after 2 of {of} rounds; charged epsilon" in str(stopped)
    with pytest.raises(Refused) as over:
        job.wait(30)
    assert over.value.code is Code.CANCELLED
    assert over.value.public_fields["rho"] == charged.text
    with pytest.raises(Refused) as late:
        job.cancel()
    assert late.value.code is Code.CONFLICT


def test_a_run_that_waits_is_cancelled_at_no_cost(net: Network, slow: Slow) -> None:
    job = median(net).start(epsilon=2)
    stopped = job.cancel()
    assert (stopped.rho, stopped.epsilon, stopped.round) == (0, 0.0, 0)
    assert slow.threads == []


def test_cancelling_shows_while_the_message_is_under_way(
    url: str, net: Network, slow: Slow, live_world: World
) -> None:
    job = median(net).start(epsilon=2)
    slow.begin(job.run_id)
    headers = bearer(live_world.tokens[Role.RESEARCHER])
    with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60) as http:
        answer = http.post(f"/v1/runs/{job.run_id}/cancel", json={})
    said = answer.json()
    assert answer.status_code == 200
    assert (said["state"], said["cancelling"], said["round"]) == ("running", True, 0)


def test_made_up_members_answer_a_job_at_once(net: Network) -> None:
    job = net.study("als-progression").mock().quantiles("age", [0.5]).start(epsilon=2)
    assert job.done
    assert job.wait().mock
    assert job.progress.round == job.progress.of == job.result.rounds > 1
    with pytest.raises(Refused) as over:
        job.cancel()
    assert over.value.code is Code.CONFLICT


@pytest.fixture
def cairn(url: str, token: str) -> Callable[..., tuple[int, str, str]]:
    def run(*args: str) -> tuple[int, str, str]:
        env = {"CAIRN_URL": url, "CAIRN_TOKEN": token, "NO_COLOR": "1"}
        done = CliRunner().invoke(app, list(args), env=env, catch_exceptions=False)
        return done.exit_code, done.stdout, done.stderr

    return run


def test_runs_are_listed_watched_and_cancelled_from_the_shell(
    net: Network, slow: Slow, cairn: Callable[..., tuple[int, str, str]]
) -> None:
    first, second = (median(net).start(epsilon=each).run_id for each in (1, 2))
    code, out, _ = cairn("runs", "list", "--format", "json")
    assert code == 0
    assert [row["id"] for row in json.loads(out)] == [second, first]
    code, out, _ = cairn("runs", "cancel", second)
    assert (code, out) == (0, f"stopped after 0 of {_of(net, second)} rounds; charged epsilon 0 "
                              "(rho 0), the rest is free again\n")  # fmt: skip
    slow.begin(first)
    slow.end()
    code, out, _ = cairn("runs", "watch", first, "--format", "json")
    assert (code, json.loads(out)["run"]) == (0, first)
    assert cairn("runs", "watch", second)[0] == Exit.REFUSED
    code, _, err = cairn("runs", "cancel", first)
    assert code == Exit.REFUSED
    assert re.search("conflict", err)
    assert cairn("runs", "cancel", "../x")[0] != 0


def _of(net: Network, run_id: str) -> int:
    job: Job = net.job(run_id)
    return job.progress.of
