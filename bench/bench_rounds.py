"""What a round costs in time, in runs of several rounds over a whole network.

Real processes on this machine, as in `bench.bench_network`: coordinator, bridge and three nodes
with TLS. A quantile is searched in rounds, each asked with what the ones before it opened; every
question has a cohort of its own, so that none is answered from the store. Time is taken at the
client around `run` and divided by the rounds. A round waits for the nodes' public slot of 100 ms.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice, pairwise, product

from bench.net_support import STUDY, Row, at_most, benchmark_network, observed, percentile
from coordinator.client import connect
from coordinator.client.study import Study

EPSILON = 4
RUNS = 20


def run(quick: bool = False) -> list[Row]:
    """Rows of what was measured, each with its target."""
    members = 10_000 if quick else 100_000
    with benchmark_network(members) as network:
        net = connect(network.prepared.url, token=network.prepared.tokens.researcher.text)
        try:
            return _measure(net.study(STUDY), members, 6 if quick else RUNS)
        finally:
            net.close()


def _measure(study: Study, members: int, runs: int) -> list[Row]:
    cohorts = _cohorts()
    _ask(study, next(cohorts))
    began = time.perf_counter()
    taken = [_ask(study, cohort) for cohort in islice(cohorts, runs)]
    whole = time.perf_counter() - began
    each = [1000 * seconds / rounds for seconds, rounds in taken]
    rounds = sum(count for _, count in taken)
    name = f"quantile, 3 nodes x {members:,}"
    return [
        at_most(f"{name}, one round, p50", percentile(each, 50), "ms", 300),
        at_most(f"{name}, one round of the slowest run", max(each), "ms", 600),
        observed(f"{name}, {rounds} rounds one after another", whole, "s"),
    ]


def _ask(study: Study, cohort: str) -> tuple[float, int]:
    """Seconds of a run, and its rounds."""
    question = study.where(cohort).quantiles("score", [0.5])
    began = time.perf_counter()
    result = question.run(epsilon=EPSILON)
    return time.perf_counter() - began, result.rounds


def _cohorts() -> Iterator[str]:
    edges = list(pairwise(range(18, 90, 3)))
    for (low, high), condition in product(edges, ("als", "ms", "mood")):
        yield f"age between {low} and {high} and condition == '{condition}'"
