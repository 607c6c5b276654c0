"""Whoever lies between the rounds of a run: a coordinator about the state, a node about its
members, an insider about what happened. Each story is first won against a part left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import select

from coordinator.audit import verify
from coordinator.audit.verify import verify_bundle
from coordinator.node_link import Body
from coordinator.planning import Compiled
from coordinator.statement import totals_digest
from coordinator.store.facts import RunFacts, RunState
from coordinator.store.tables import LogRow, ReleaseRow, RunRow
from models.contribution import CellCounts, Contribution
from models.derivation import Derivation
from node.cut import Beginning
from node.importer import import_folder
from privacy.contract.canonical import canonical_bytes, parse_canonical, sha256_hex
from privacy.contract.messages import Ask
from privacy.contract.packet import Packet
from privacy.contract.signing import Envelope
from privacy.contract.study import ConsentRule
from privacy.errors import Code, ProtocolError, VerificationFailed
from privacy.log import LogEntry
from tests.support.adaptive import Halving, add_halving
from tests.support.killing import When
from tests.support.net_bundle import bundle
from tests.support.net_steps import Steps, codes, field
from tests.support.network import PURPOSE, Network

HALVING = {"kind": "halving", "column": "age"}
ROUNDS = 5
RICH = {"epsilon_allowance": "1000000000000000", "yearly_epsilon": "1000000000000000"}
EXACT = "10000000000000"
NODE = "als-union"
FIRST = canonical_bytes([0, 16])
OTHER = canonical_bytes([4, 8])


@pytest.fixture(autouse=True)
def _halving(monkeypatch: pytest.MonkeyPatch) -> None:
    add_halving(monkeypatch)


def planned(network: Network, **changes: Any) -> Compiled:
    return network.plan(network.question(HALVING, **changes))


def charged(network: Network, compiled: Compiled, node: str = NODE) -> int:
    """How many openings of the plan a node was charged for."""
    return len(network.nodes[node].service.ledger.state.plans[compiled.envelope.digest].committed)


# a coordinator that asks different nodes different things


def asked_apart(network: Network) -> tuple[Steps, dict[str, Any]]:
    """The second round, in which one node is told another state than the others, honestly named."""
    steps = Steps(network, planned(network))
    steps.reserve()
    keys = steps.keys()
    others = [name for name in steps.plan.participants if name != NODE]
    one, two = (steps.attempt(keys, round=1, state=sha256_hex(state)) for state in (FIRST, OTHER))
    given = steps.contribute(one, keys, others, FIRST)
    given |= steps.contribute(two, keys, [NODE], OTHER)
    return steps, {"one": one, "two": two, "given": given, "keys": keys}


def test_nodes_told_different_states_open_nothing(network: Network) -> None:
    steps, told = asked_apart(network)
    claims = field(told["given"], "claim")
    assert set(claims) == set(network.nodes)  # each of them answered what it was asked
    for attempt in (told["one"], told["two"]):
        lists = field(steps.sign(attempt, claims), "list")
        assert lists == {}
        with pytest.raises(ProtocolError):
            steps.open(attempt, told["keys"], told["given"], lists, {})


def test_a_state_that_is_not_the_attempts_reads_nothing_and_looks_like_a_lost_node(
    network: Network,
) -> None:
    read: list[Any] = []
    compiled = planned(network)
    steps = Steps(network, compiled)
    steps.reserve()
    for node in network.nodes.values():
        node.service.runner.engine = lambda *asked: read.append(asked)  # type: ignore[assignment]
    keys = steps.keys()
    attempt = steps.attempt(keys, round=1, state=sha256_hex(FIRST))
    assert codes(steps.contribute(attempt, keys, state=OTHER)) == {Code.ATTEMPT_LOST}
    assert read == []
    assert charged(network, compiled) == 1
    assert codes(steps.contribute(attempt, steps.keys(), state=FIRST)) == {Code.ATTEMPT_LOST}
    assert (read, charged(network, compiled)) == ([], 1)


@pytest.mark.parametrize(
    ("round_", "state"),
    [(0, OTHER), (0, b""), (1, b""), (1, b"[0,99]"), (1, b"[0, 16]"), (1, b"\xff" * 10)],
)
def test_bytes_that_are_no_state_of_the_analysis_read_nothing(
    network: Network, round_: int, state: bytes
) -> None:
    """The first state every node knows; a later one has at least to be one."""
    compiled = planned(network)
    steps = Steps(network, compiled)
    steps.reserve()
    keys = steps.keys()
    attempt = steps.attempt(keys, round=round_, state=sha256_hex(state))
    assert codes(steps.contribute(attempt, keys, state=state)) == {Code.ATTEMPT_LOST}
    assert network.nodes[NODE].service.ledger.entries()[-1].count(b'"bytes":0') == 1


def test_a_round_is_not_asked_again_with_another_state_under_the_same_attempt(
    network: Network,
) -> None:
    compiled = planned(network)
    steps = Steps(network, compiled)
    steps.reserve()
    keys = steps.keys()
    attempt = steps.attempt(keys, round=1, state=sha256_hex(FIRST))
    first = steps.contribute(attempt, keys, state=FIRST)
    again = steps.contribute(attempt, keys, state=FIRST)
    for node, answer in first.items():
        assert cast(Body, answer).blob == cast(Body, again[node]).blob
    more = steps.keys()
    changed = steps.attempt(more, round=1, state=sha256_hex(OTHER))
    assert codes(steps.contribute(changed, more, state=OTHER)) == {Code.ATTEMPT_LOST}
    earlier = steps.attempt(more, round=0, state=sha256_hex(FIRST))
    assert codes(steps.contribute(earlier, more, state=FIRST)) == {Code.ATTEMPT_LOST}
    assert charged(network, compiled) == 1


def louder(
    self: Halving, _dictionary: Any, delta_grid: int, _number: int, state: bytes
) -> Contribution:
    """An analysis with a fault: for one state, members move the total by twice the bound."""
    honest = REAL(self, _dictionary, delta_grid, _number, state)
    assert isinstance(honest, CellCounts)
    return replace(honest, weight=2 * delta_grid) if state == OTHER else honest


REAL = Halving.contribution_at


def unchecked(self: Derivation, number: int, state: bytes) -> Contribution:
    delta_grid = self.rounds[number].mechanism.delta_grid
    return self.analysis.contribution_at(self.dictionary, delta_grid, number, state)


@pytest.mark.parametrize("checked", [True, False])
def test_a_state_for_which_a_contribution_is_too_large_reads_nothing(
    network: Network, monkeypatch: pytest.MonkeyPatch, checked: bool
) -> None:
    """The bound is checked for the very state that came: without that the bytes leave."""
    compiled = planned(network)
    steps = Steps(network, compiled)
    steps.reserve()
    monkeypatch.setattr(Halving, "contribution_at", louder)
    if not checked:
        monkeypatch.setattr(Derivation, "contribution_at", unchecked)
    keys = steps.keys()
    attempt = steps.attempt(keys, round=1, state=sha256_hex(OTHER))
    assert codes(steps.contribute(attempt, keys, state=OTHER)) == (
        {Code.ATTEMPT_LOST} if checked else {None}
    )


# members may leave, never join


@pytest.fixture
def rich(make: Callable[..., Network]) -> Network:
    return make(**RICH)


def between(network: Network, do: Callable[[], object], round_: int = 2) -> RunFacts:
    """A run in which something happens before a round is asked for."""

    def happen(packet: Packet) -> Packet:
        do()
        return packet

    network.wire.outbound.append(When(Ask.CONTRIBUTE, happen, round_=round_))
    return network.run(planned(network, epsilon=EXACT))


def members(network: Network, run: RunFacts) -> list[int]:
    """How many members were in each round; the noise is far below one of them."""
    openings = network.store.openings.of(run.plan_digest)
    deltas = [each.mechanism["delta_grid"] for each in run.plan.rounds]
    return [round(sum(o.totals) / delta) for o, delta in zip(openings, deltas, strict=False)]


def someone(network: Network, consents: bool) -> str:
    people = network.shape.people(NODE)
    return str(people[people["consent"] == ("yes" if consents else "no")]["member"].iloc[0])


def say(network: Network, state: str, *, consents: bool, since: date | None = None) -> None:
    member = someone(network, consents)
    network.nodes[NODE].steward.consent(member, PURPOSE, state, since, None)


@pytest.fixture(params=["kept", "forgotten"])
def joins(request: pytest.FixtureRequest, rich: Network) -> bool:
    """Whether members can join, as one node forgets when the run began."""
    runner = rich.nodes[NODE].service.runner
    real = runner.engine

    def forgetful(*asked: Any) -> Any:
        *question, today, _began, charge = asked
        return real(*question, today, Beginning(today, runner.cut()), charge)

    if request.param == "forgotten":
        runner.engine = forgetful
    return request.param == "forgotten"


def test_consent_given_during_a_run_counts_from_the_next_run_on(rich: Network, joins: bool) -> None:
    run = between(rich, lambda: say(rich, "given", consents=False))
    before = len(rich.pooled)
    assert members(rich, run) == [before] * 2 + [before + joins] * 3
    again = rich.ask(HALVING, "age >= 0", epsilon=EXACT)
    assert members(rich, again) == [before + 1] * ROUNDS


def test_consent_that_begins_during_a_run_counts_from_the_next_run_on(
    rich: Network, joins: bool
) -> None:
    tomorrow = rich.clock().date() + timedelta(days=1)
    say(rich, "given", consents=False, since=tomorrow)
    rich.clock.forward(hours=11, minutes=50)
    before = len(rich.pooled)
    run = between(rich, lambda: rich.clock.forward(minutes=20))
    assert members(rich, run) == [before] * 2 + [before + joins] * 3


def test_whoever_withdraws_during_a_run_is_out_of_every_later_round(rich: Network) -> None:
    run = between(rich, lambda: say(rich, "withdrawn", consents=True))
    before = len(rich.pooled)
    assert members(rich, run) == [before] * 2 + [before - 1] * 3


def test_whoever_comes_back_during_a_run_stays_out_of_it(rich: Network) -> None:
    def leave_and_return() -> None:
        say(rich, "withdrawn", consents=True)
        say(rich, "given", consents=True)

    run = between(rich, leave_and_return)
    before = len(rich.pooled)
    assert members(rich, run) == [before] * 2 + [before - 1] * 3


@pytest.mark.parametrize("rule", list(ConsentRule))
def test_records_imported_during_a_run_end_a_nodes_part_in_it(
    make: Callable[..., Network], tmp_path: Path, rule: ConsentRule
) -> None:
    network = make(**RICH, consent=rule)
    parts = network.nodes[NODE].parts
    folder = next(tmp_path.glob("*/files")) / NODE

    def read_again() -> None:
        import_folder(parts.records, network.dictionary, folder, consent_purposes={PURPOSE})
        parts.guard.imported()

    run = between(network, read_again)
    assert (run.state, run.code) == (RunState.LOST, Code.ATTEMPT_LOST)
    assert len(members(network, run)) == 2
    commits = network.nodes[NODE].kinds("commit")
    assert len(commits) == 2  # a node that takes no part is not charged for it


# an insider who tells auditors another story


@pytest.fixture
def finished(network: Network) -> RunFacts:
    """A run whose nodes never heard of its release, so that another can be told of it."""
    for name in network.nodes:
        network.wire.lose_request(name, Ask.OUTCOME)
    run = network.run(planned(network, epsilon="8"))
    network.settle()
    return run


def told_otherwise(
    network: Network, run: RunFacts, change: Callable[[list[dict[str, Any]]], None]
) -> None:
    """The release signed anew with other rounds in it, in place of the true one; in the log too."""
    release = network.store.releases.get(run.release or "")
    body = parse_canonical(release.envelope.body)
    change(body["rounds"])
    envelope = Envelope.seal("release", body, network.key)
    with network.store.database.write() as session:
        session.get(RunRow, run.number).release = None  # type: ignore[union-attr]
        session.flush()
        row = session.get(ReleaseRow, release.digest)
        assert row is not None
        row.digest, row.envelope = envelope.digest, envelope.to_bytes()
        line = session.scalars(select(LogRow).where(LogRow.digest == release.digest)).one()
        known = LogEntry.from_bytes(line.data).to_json()
        told = LogEntry.from_json({**known, "statement": envelope.digest})
        line.digest, line.data = envelope.digest, told.data


def verdict(network: Network, folder: Path) -> str:
    with pytest.raises(VerificationFailed) as failed:
        verify_bundle(bundle(network, folder))
    return failed.value.where


def told(network: Network, folder: Path) -> str:
    """Where an auditor finds it who has no log: with one, it is no log that the nodes witnessed."""
    assert verdict(network, folder).startswith("log/")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "check_log", lambda *_: None)
        with pytest.raises(VerificationFailed) as failed:
            verify_bundle(folder)
    return failed.value.where


def test_the_auditor_makes_every_state_and_every_total_again(
    network: Network, finished: RunFacts, tmp_path: Path
) -> None:
    report = verify_bundle(bundle(network, tmp_path / "bundle"))
    assert (report.releases, report.transcripts) == (1, ROUNDS)
    states = list((tmp_path / "bundle" / "states").iterdir())
    assert len(states) == ROUNDS


def test_rounds_told_in_another_order_are_found(
    network: Network, finished: RunFacts, tmp_path: Path
) -> None:
    def swap(rounds: list[dict[str, Any]]) -> None:
        rounds[1], rounds[2] = rounds[2], rounds[1]

    told_otherwise(network, finished, swap)
    assert told(network, tmp_path / "bundle").startswith("releases/")


def test_a_transcript_of_another_round_is_found(
    network: Network, finished: RunFacts, tmp_path: Path
) -> None:
    def swap(rounds: list[dict[str, Any]]) -> None:
        one, two = rounds[1], rounds[2]
        one["transcript"], two["transcript"] = two["transcript"], one["transcript"]

    told_otherwise(network, finished, swap)
    assert told(network, tmp_path / "bundle").startswith("transcripts/")


def test_a_total_that_the_vectors_do_not_give_is_found(
    network: Network, finished: RunFacts, tmp_path: Path
) -> None:
    told_otherwise(network, finished, lambda rounds: rounds[1].update(totals=totals_digest([1, 2])))
    assert told(network, tmp_path / "bundle").startswith("transcripts/")


REAL_STATE = Halving.state


def steered(self: Halving, dictionary: Any, opened: Any) -> bytes:
    """A coordinator that chooses by itself what is asked in the third round."""
    return OTHER if len(opened) == 2 else REAL_STATE(self, dictionary, opened)


@pytest.mark.parametrize("alike", [True, False])
def test_a_state_that_the_openings_do_not_give_is_found(
    network: Network, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, alike: bool
) -> None:
    """Whether two states differ is the analysis' to judge: floats may differ a little."""
    with monkeypatch.context() as patch:
        patch.setattr(Halving, "state", steered)
        run = network.run(planned(network, epsilon="8"))
    network.settle()
    state = network.store.openings.of(run.plan_digest)[2].state
    assert state == OTHER  # every node answered: to them it was a state like any other
    if alike:
        monkeypatch.setattr(Halving, "same_state", lambda _self, _stated, _own: True)
        assert verify_bundle(bundle(network, tmp_path / "bundle")).transcripts == ROUNDS
    else:
        assert verdict(network, tmp_path / "bundle") == f"states/{sha256_hex(OTHER)}.bin"
