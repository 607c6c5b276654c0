"""How long a researcher waits for an answer from a whole network, and what it leaves in memory.

Real processes on this machine: the coordinator's web and its bridge to Flower, and three nodes
with their own databases and ledgers; TLS and node authentication are on. Every question is a
different plan (its own cohort), so no answer comes from the store. Time is taken at the client
around `run`: signing, HTTP, planning, four rounds to the nodes with their durable ledgers, the
public slot of 100 ms that every node's reply waits for, opening, estimating, and back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise, product

from bench.net_support import (
    STUDY,
    Row,
    at_most,
    benchmark_network,
    memory,
    observed,
    percentile,
)
from coordinator.client import connect
from coordinator.client.question import Question
from coordinator.client.study import Study
from deploy.network import Network

EPSILON = 0.5
QUESTIONS = 100
WARM_UP = 20
ASKERS = 8
BATCH = 20
DRIFT_MB = 10.0


def run(quick: bool = False) -> list[Row]:
    """Rows of what was measured, each with its target."""
    members = 10_000 if quick else 100_000
    with benchmark_network(members) as network:
        net = connect(network.prepared.url, token=network.prepared.tokens.researcher.text)
        try:
            return _measure(network, net.study(STUDY), members, 1 if quick else 2)
        finally:
            net.close()


def _measure(network: Network, study: Study, members: int, hundreds: int) -> list[Row]:
    counts = _counts(study)
    _ask_all(islice(counts, WARM_UP))
    seconds, marks = [], [_Memory.of(network)]
    for _ in range(hundreds):
        seconds += _ask_all(islice(counts, QUESTIONS))
        marks.append(_Memory.of(network))
    name = f"count by two columns, 3 nodes x {members:,}"
    rows = [
        at_most(f"{name}, p50", percentile(seconds, 50), "s", 0.6),
        at_most(f"{name}, p95", percentile(seconds, 95), "s", 1.2),
        observed(f"{name}, slowest of {len(seconds)}", max(seconds), "s"),
    ]
    rows += [_other(what, question) for what, question in _others(study)]
    rows.append(observed(f"{BATCH} questions from {ASKERS} threads", *_together(counts)))
    for number, (before, after) in enumerate(pairwise(marks)):
        rows += _drift(
            before, after, f"questions {QUESTIONS * number + 1} to {QUESTIONS * (number + 1)}"
        )
    return [*rows, observed("memory of all processes (PSS)", sum(marks[-1].pss.values()), "MB")]


def _counts(study: Study) -> Iterator[Question]:
    """Counts by condition and treatment, each of another cohort."""
    for score, age in product(range(1, 40), range(18, 60)):
        cohort = study.where(f"age >= {age} and score >= {score}")
        yield cohort.count(by=["condition", "treatment"])


def _ask_all(questions: Iterator[Question]) -> list[float]:
    return [_seconds(question) for question in questions]


def _seconds(question: Question) -> float:
    began = time.perf_counter()
    question.run(epsilon=EPSILON)
    return time.perf_counter() - began


def _others(study: Study) -> Sequence[tuple[str, Callable[[int], Question]]]:
    def cohort(least: int) -> str:
        return f"condition != 'mood' and age >= {least}"

    return (
        ("histogram of one column", lambda n: study.where(cohort(n)).histogram("age")),
        ("mean of one column", lambda n: study.where(cohort(n)).mean("score")),
        ("sum of one column", lambda n: study.where(cohort(n)).sum("score")),
    )


def _other(what: str, question: Callable[[int], Question]) -> Row:
    seconds = [_seconds(question(least)) for least in range(20, 25)]
    return observed(f"{what}, median of {len(seconds)}", percentile(seconds, 50), "s")


def _together(questions: Iterator[Question]) -> tuple[float, str]:
    batch = list(islice(questions, BATCH))
    began = time.perf_counter()
    with ThreadPoolExecutor(ASKERS) as pool:
        list(pool.map(_seconds, batch))
    return BATCH / (time.perf_counter() - began), "questions/s"


@dataclass(frozen=True)
class _Memory:
    """What the processes hold, in MB: in all, and what each wrote itself."""

    pss: dict[str, float]
    own: dict[str, float]

    @classmethod
    def of(cls, network: Network) -> _Memory:
        return cls(memory(network), memory(network, "Pss_Anon"))


def _drift(before: _Memory, after: _Memory, when: str) -> list[Row]:
    """The growth. Only `own` is judged: PSS also moves when other programs share libraries."""
    grown = {name: after.own[name] - before.own[name] for name in before.own}
    pss = sum(after.pss.values()) - sum(before.pss.values())
    return [
        *(
            observed(f"memory growth of {name}, own pages, {when}", grown[name], "MB")
            for name in grown
        ),
        observed(f"memory growth of all processes, PSS, {when}", pss, "MB"),
        at_most(
            f"memory growth of all processes, own pages, {when}",
            sum(grown.values()),
            "MB",
            DRIFT_MB,
        ),
    ]
