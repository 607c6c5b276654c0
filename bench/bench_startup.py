"""From an empty folder to the first answer of the whole demonstration network, and its memory.

The clock runs while the three made-up organisations are written, keys made, data imported,
studies approved, five processes started, and until a first question is answered. Files of the
installation are in the page cache (one start is not counted). Memory is the PSS of every
process after the demonstration's questions.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from bench.net_support import Row, at_most, memory, observed, running
from coordinator.client import connect
from deploy.example import write_example
from deploy.network import Network

STUDY = "als-progression"
SECONDS = 15.0
MEGABYTES = 900.0


def run(quick: bool = False) -> list[Row]:
    """Rows of what was measured, each with its target."""
    _start()
    starts = [_start() for _ in range(1 if quick else 3)]
    seconds = statistics.median(taken for taken, _ in starts)
    used = {name: statistics.median(mb[name] for _, mb in starts) for name in starts[0][1]}
    name = "demonstration network"
    return [
        at_most(f"{name}: empty folder to first answer", seconds, "s", SECONDS),
        *(observed(f"memory of {process} (PSS)", mb, "MB") for process, mb in used.items()),
        at_most(f"{name}: memory of all processes (PSS)", sum(used.values()), "MB", MEGABYTES),
    ]


def _start() -> tuple[float, dict[str, float]]:
    """Seconds to the first answer, and each process' memory after the first answers."""
    with tempfile.TemporaryDirectory(prefix="cairn-bench-") as folder:
        began = time.perf_counter()
        write_example(Path(folder))
        with running(Path(folder)) as network:
            return _first_answers(network, began)


def _first_answers(network: Network, began: float) -> tuple[float, dict[str, float]]:
    net = connect(network.prepared.url, token=network.prepared.tokens.researcher.text)
    try:
        study = net.study(STUDY)
        treated = study.where("condition == 'als' and age >= 18").count(by="treatment")
        treated.run(epsilon=0.3)
        seconds = time.perf_counter() - began
        study.histogram("severity").run(epsilon=0.5)
        study.where("condition == 'als'").mean("alsfrs_r").run(epsilon=0.5)
        return seconds, memory(network)
    finally:
        net.close()
