"""200 questions from four researchers at once, with a node killed (SIGKILL) in the middle.

The network's keeper starts the node again, as a service manager would. Every question must end
in an answer or in a refusal with a catalogue code. Afterwards the books are read: each node's
ledger from disk, verified entry by entry, must charge exactly what its commits cost, to the
last bit; every released question has exactly one commit at each participant; no opening is
charged twice; and the audit bundle verifies offline and says the same.

A researcher whose question is refused because nodes are away waits a moment before the next.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench.net_support import (
    STUDY,
    Row,
    at_most,
    benchmark_network,
    exactly,
    observed,
    percentile,
)
from coordinator.audit.report import Report
from coordinator.audit.verify import Pinned, verify_bundle
from coordinator.client import connect
from coordinator.client.auditing import pull_bundle
from coordinator.client.result import Result
from coordinator.client.transport import Transport
from deploy.network import Network
from deploy.prepared import utc_now
from node import setup
from privacy.errors import Code, Refused
from privacy.ledger.entry import Commit, Entry, Lost
from privacy.ledger.state import LedgerState
from privacy.units import Rho

RESEARCHERS = 4
EPSILON = 0.5
PAUSE_SECONDS = 0.25
RECOVERY_SECONDS = 10.0


@dataclass(frozen=True)
class Outcome:
    """How one question ended, on the clock of `time.monotonic`."""

    began: float
    ended: float
    code: str  # "" for an answer
    result: Result | None = None


@dataclass
class Killer:
    """Kills a node once enough questions have ended."""

    network: Network
    node: str
    after: int
    killed_at: float = 0.0
    _ended: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self) -> None:
        with self._lock:
            self._ended += 1
            if self._ended == self.after:
                os.kill(self.network.nodes[self.node].pid, signal.SIGKILL)
                self.killed_at = time.monotonic()


@dataclass(frozen=True)
class Books:
    """One node's ledger, read from disk after everything stopped."""

    node: str
    state: LedgerState
    entries: tuple[Entry, ...]

    @property
    def commits(self) -> list[Commit]:
        return [entry.body for entry in self.entries if isinstance(entry.body, Commit)]

    @property
    def lost(self) -> int:
        return sum(isinstance(entry.body, Lost) for entry in self.entries)

    def off_by(self) -> int:
        """Charged in all minus the sum of the commits' rho, in units of 2^-60."""
        return self.state.total_charged.units - _sum(self.commits).units


def run(quick: bool = False) -> list[Row]:
    """Rows of what was measured, each with its target."""
    questions = 60 if quick else 200
    members = 5_000 if quick else 20_000
    with benchmark_network(members, researchers=RESEARCHERS) as network:
        killer = Killer(network, "beta", questions // 2)
        began = time.monotonic()
        outcomes = _ask(network, killer, questions // RESEARCHERS)
        seconds = time.monotonic() - began
        report = _audit(network)
        network.stop()
        books = _read_books(network)
    return [
        *_answers(outcomes, questions, seconds),
        *_recovery(outcomes, killer.killed_at),
        *_budgets(books, outcomes, report),
    ]


def _ask(network: Network, killer: Killer, each: int) -> list[Outcome]:
    with ThreadPoolExecutor(RESEARCHERS) as pool:
        asked = [pool.submit(_research, network, who, each, killer) for who in range(RESEARCHERS)]
        return [outcome for one in asked for outcome in one.result()]


def _research(network: Network, who: int, each: int, killer: Killer) -> list[Outcome]:
    """One researcher's questions, one after the other, no two researchers' the same."""
    net = connect(network.prepared.url, token=network.prepared.tokens.researchers[who].text)
    outcomes = []
    try:
        study = net.study(STUDY)
        for number in range(each):
            cohort = f"age >= {18 + number % 50} and score >= {1 + who + 4 * (number // 50)}"
            question = study.where(cohort).count(by=["condition", "treatment"])
            outcomes.append(_outcome(question.run))
            killer.count()
            if outcomes[-1].code:
                time.sleep(PAUSE_SECONDS)
    finally:
        net.close()
    return outcomes


def _outcome(ask: Callable[..., Result]) -> Outcome:
    began = time.monotonic()
    try:
        result = ask(epsilon=EPSILON)
    except Refused as refused:
        return Outcome(began, time.monotonic(), refused.code.value)
    return Outcome(began, time.monotonic(), "", result)


def _audit(network: Network) -> Report:
    """The audit bundle, pulled with the auditor's token and verified against pinned keys."""
    prepared = network.prepared
    transport = Transport(prepared.url, prepared.tokens.auditor.bearer)
    try:
        with tempfile.TemporaryDirectory(prefix="cairn-bench-") as folder:
            bundle = Path(folder) / "bundle"
            pull_bundle(transport, bundle)
            nodes = {one.organisation.id: one.home.identity().public for one in prepared.nodes}
            return verify_bundle(bundle, pinned=Pinned(prepared.home.identity().public, nodes))
    finally:
        transport.close()


def _read_books(network: Network) -> list[Books]:
    """Every ledger, opened from disk: opening verifies it from the first entry to the last."""
    books = []
    for node in network.prepared.nodes:
        ledger = setup.open_ledger(node.home, utc_now)
        try:
            entries = tuple(Entry.from_bytes(line) for line in ledger.entries())
            books.append(Books(node.organisation.id, ledger.state, entries))
        finally:
            ledger.close()
    return books


def _answers(outcomes: Sequence[Outcome], questions: int, seconds: float) -> list[Row]:
    codes = Counter(outcome.code for outcome in outcomes)
    answered = codes.pop("", 0)
    known = {code.value for code in Code}
    uncoded = questions - answered - sum(n for code, n in codes.items() if code in known)
    spread = [outcome.ended - outcome.began for outcome in outcomes if not outcome.code]
    said = ", ".join(f"{code} {n}" for code, n in sorted(codes.items())) or "none"
    return [
        exactly(f"of {questions} questions, neither answered nor refused with a code", uncoded, 0),
        observed("answered", answered, "questions"),
        observed("refused, by code", said),
        observed(f"all questions, {RESEARCHERS} researchers at once", seconds, "s"),
        observed("answered questions, p50", percentile(spread, 50), "s"),
        observed("answered questions, p95", percentile(spread, 95), "s"),
    ]


def _recovery(outcomes: Sequence[Outcome], killed_at: float) -> list[Row]:
    """From the kill to the first answer of a question that was asked after it."""
    later = [one.ended for one in outcomes if one.began > killed_at and not one.code]
    seconds = min(later) - killed_at if later else float("inf")
    return [at_most("from SIGKILL of a node to the next answer", seconds, "s", RECOVERY_SECONDS)]


def _budgets(books: Sequence[Books], outcomes: Sequence[Outcome], report: Report) -> list[Row]:
    released = [one.result for one in outcomes if one.result is not None]
    audited = {node.node: node.spent.rho for node in report.nodes}
    held = sum(one.state.total_held.units for one in books)
    return [
        exactly("charges off the sum of commits, 2^-60", sum(abs(b.off_by()) for b in books), 0),
        exactly("openings charged twice", sum(_twice(one) for one in books), 0),
        exactly("answers without exactly one commit per node", _unpaid(books, released), 0),
        exactly("audited spending off the ledgers, 2^-60", _gap(books, audited), 0),
        exactly("releases missing from the audit bundle", len(released) - report.releases, 0),
        observed("commits that led to no answer", _wasted(books, released), "commits"),
        observed("openings marked lost", sum(one.lost for one in books), "openings"),
        observed("still set aside, until plans expire", held / 2**60, "rho"),
    ]


def _sum(commits: Sequence[Commit]) -> Rho:
    return sum((Rho.parse(commit.rho) for commit in commits), Rho.ZERO)


def _twice(books: Books) -> int:
    openings = Counter((one.plan, one.round, one.attempt) for one in books.commits)
    return sum(times - 1 for times in openings.values())


def _unpaid(books: Sequence[Books], released: Sequence[Result]) -> int:
    """Answers whose receipts are not one commit each, of the answer's rho, of one same plan."""
    found = {one.node: {entry.leaf.hex(): entry.body for entry in one.entries} for one in books}
    plans = {one.node: Counter(commit.plan for commit in one.commits) for one in books}
    return sum(not _paid_once(result, found, plans) for result in released)


def _paid_once(
    result: Result,
    found: Mapping[str, Mapping[str, object]],
    plans: Mapping[str, Counter[str]],
) -> bool:
    bodies = [found[receipt.node].get(receipt.leaf) for receipt in result.receipts]
    commits = [body for body in bodies if isinstance(body, Commit)]
    if not len(commits) == len(found) == len({receipt.node for receipt in result.receipts}):
        return False
    plan = commits[0].plan
    same = all(one.plan == plan and Rho.parse(one.rho).fraction == result.rho for one in commits)
    return same and all(plans[node][plan] == 1 for node in found)


def _gap(books: Sequence[Books], audited: Mapping[str, Rho]) -> int:
    return sum(abs(audited[one.node].units - one.state.total_charged.units) for one in books)


def _wasted(books: Sequence[Books], released: Sequence[Result]) -> int:
    return sum(len(one.commits) - len(released) for one in books)
