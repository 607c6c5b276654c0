"""The coordinator's log in a bundle: what is told otherwise than it was witnessed is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.audit.bundle_facts import LogFacts
from coordinator.audit.documents import Release
from coordinator.audit.held import HeldBy
from coordinator.audit.log import Log, check_publications
from coordinator.audit.verify import Pinned, verify_bundle
from privacy.checkpoint import Checkpoint, log_origin, sign_checkpoint
from privacy.contract.canonical import parse_canonical
from privacy.contract.signing import Envelope
from privacy.contract.study_life import Act, Signer, StudyStep
from privacy.contract.time import instant_text
from privacy.errors import VerificationFailed
from privacy.log import LogEntry, Logged
from privacy.merkle import Tree, root_of
from tests.support.bundle_factory import COORDINATOR, NODES, RESEARCHER, Network
from tests.support.ledger_factory import NETWORK, signing_key

NODE = NODES[0]


def where(folder: Path, pinned: Pinned | None = None) -> str:
    """What a verification that fails says about where."""
    with pytest.raises(VerificationFailed) as failed:
        verify_bundle(folder, pinned=pinned)
    return failed.value.where


def numbered(entry: LogEntry, seq: int, **changes: str) -> LogEntry:
    return LogEntry.from_json({**entry.to_json(), "seq": seq, **changes})


def _relogged(network: Network, folder: Path, change: Callable[[list[LogEntry]], None]) -> str:
    """A bundle whose log the coordinator itself wrote otherwise; where its verification ends."""
    honest = network.facts().log
    entries = [LogEntry.from_bytes(line) for line in honest.lines]
    change(entries)
    entries = [numbered(each, seq) for seq, each in enumerate(entries)]
    head = Checkpoint(log_origin(NETWORK), len(entries), root_of(each.leaf for each in entries))
    lines = tuple(each.data for each in entries)
    log = LogFacts(lines, sign_checkpoint(head, COORDINATOR), honest.held, len(entries))
    return where(network.write(folder, log=log))


def test_a_log_told_otherwise_names_its_entry(tmp_path: Path) -> None:
    network = Network()
    network.ask()
    honest = network.write(tmp_path / "honest")
    assert verify_bundle(honest).log.lines == 9
    place = "log/lines.jsonl: entry"
    other = LogEntry(seq=0, kind=Logged.PLAN, statement="0" * 64, subject="made up")
    assert _relogged(network, tmp_path / "added", lambda e: e.append(other)) == f"{place} 9"
    dropped = _relogged(network, tmp_path / "dropped", lambda e: e.__delitem__(7))
    assert dropped.startswith("plans/")
    out_of_turn = _relogged(network, tmp_path / "swapped", lambda e: e.insert(2, e.pop(4)))
    assert out_of_turn.startswith("steps.jsonl")
    network.witness_log(NODES[0])
    for name, change in {
        "later": lambda e: e.append(e.pop(7)),
        "renamed": lambda e: e.append(numbered(e.pop(), 8, subject="another")),
    }.items():
        assert _relogged(network, tmp_path / name, change).startswith(place), name


def test_a_log_shorter_than_a_node_saw_it_is_found(tmp_path: Path) -> None:
    network = Network()
    network.ask()
    network.witness_log(NODES[0])
    network.plans, network.releases = [], []
    assert where(network.write(tmp_path / "b", ledgers=[])) == "log/lines.jsonl: entry 7"


def test_decisions_that_no_ledger_holds_are_found(tmp_path: Path) -> None:
    network = Network()
    network.tick()
    at = instant_text(network.now)
    network.tick()
    network.ask()
    step = StudyStep.of(
        network.study, Act.WITHDRAW, Signer.ORGANISATION, at, by=NODE,
        number=1,
    )  # fmt: skip
    steps = (*network.steps, step.sealed(signing_key(NODE)))
    named = where(network.write(tmp_path / "b", steps=steps))
    assert named == f"steps.jsonl: als-progression version 1, withdraw by {NODE}"
    forged = (*network.steps[:-1], StudyStep.from_json(
        parse_canonical(network.steps[-1].body)
    ).sealed(COORDINATOR))  # fmt: skip
    assert (
        where(network.write(tmp_path / "c", steps=forged))
        == f"steps.jsonl: entry {len(NODES)}: als-progression"
    )


def test_an_auditors_cosignature_needs_the_auditors_key(tmp_path: Path) -> None:
    network = Network()
    network.witness("auditor/p-1", NODE)
    assert where(network.write(tmp_path / "unknown")).startswith(f"nodes/{NODE}/witnesses.jsonl")
    network.auditors["auditor/p-1"] = signing_key("auditor/p-1").public
    report = verify_bundle(network.write(tmp_path / "known"))
    assert "auditor/p-1" in report.unpinned
    wrong = Pinned(nodes={"auditor/p-1": signing_key("x").public})
    assert where(tmp_path / "known", pinned=wrong) == "network.json"


def test_a_witness_whose_time_goes_back_is_named(tmp_path: Path) -> None:
    network = Network()
    network.witness(NODES[1], NODE)
    network.ask()
    network.now -= timedelta(hours=1)
    network.witness(NODES[1], NODE)
    assert where(network.write(tmp_path / "b")) == f"nodes/{NODE}/witnesses.jsonl"


def _published(network: Network, *releases: str) -> tuple[Envelope, ...]:
    """The study's steps with its end and what it published."""
    at = instant_text(network.now)
    ended = StudyStep.of(network.study, Act.CLOSE, Signer.RESEARCHER, at)
    told = StudyStep.of(
        network.study, Act.PUBLISH, Signer.RESEARCHER, at, note="It helps.", releases=releases
    )
    return (*network.steps, ended.sealed(RESEARCHER), told.sealed(RESEARCHER))


def test_what_is_published_was_released_before(tmp_path: Path) -> None:
    network = Network()
    network.ask()
    [release] = [each.envelope.digest for each in network.releases]
    too_early = _published(network, release)
    place = f"steps.jsonl: {too_early[-1].digest}"
    assert where(network.write(tmp_path / "early", steps=too_early)) == place
    network = Network()
    network.ask()
    network.facts()  # the log has the release by now
    [release] = [each.envelope.digest for each in network.releases]
    honest = network.write(tmp_path / "honest", steps=_published(network, release))
    assert verify_bundle(honest).releases == 1
    none = _published(network, "1" * 64)
    named = where(network.write(tmp_path / "none", steps=none))
    assert named == f"steps.jsonl: {none[-1].digest}"


def test_what_is_published_is_of_the_study() -> None:
    network = Network()
    plan = network.ask()
    [release] = [each.envelope.digest for each in network.releases]
    *_, published = _published(network, release)
    step = StudyStep.from_json(parse_canonical(published.body))
    stands = [(Logged.RELEASE, release), (Logged.STEP, published.digest)]
    entries = tuple(
        LogEntry(seq=seq, kind=kind, statement=statement, subject="x")
        for seq, (kind, statement) in enumerate(stands)
    )
    log = Log(Tree(), entries, (step,), HeldBy(), {published.digest: step})
    releases = {release: Release("p", "", (), ())}
    check_publications(log, {"p": plan}, releases)
    check_publications(log, {"p": plan}, {})
    other = plan.model_copy(update={"study": "another"})
    with pytest.raises(VerificationFailed, match="another study"):
        check_publications(log, {"p": other}, releases)
