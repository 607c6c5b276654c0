"""A real network for the benchmarks: made-up members as Parquet, processes, and their memory."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deploy.layout import read_layout
from deploy.network import Network, start
from deploy.prepared import prepare, utc_now

STUDY = "bench"
ORGANISATIONS = ("alpha", "beta", "gamma")
Row = dict[str, Any]

_DICTIONARY = """
[tables.members]
key = "member"
rows = "one"

[tables.members.columns.age]
type = "integer"
lower = 18
upper = 90
bins = [18, 30, 40, 50, 60, 70, 80, 90]

[tables.members.columns.condition]
type = "categorical"
levels = ["als", "ms", "mood"]

[tables.members.columns.treatment]
type = "categorical"
levels = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]

[tables.members.columns.score]
type = "number"
lower = 0
upper = 48
bins = [0, 12, 24, 36, 48]
"""
_POLICY = """
[policy]
min_cohort = 20
"""


def study_text(title: str) -> str:
    """study.toml with an allowance that no benchmark uses up."""
    return f"""
[[study]]
id = "{STUDY}"
title = "{title}"
purpose = "research"
consent = "required"
period = ["2025-01-01", "2099-12-31"]
epsilon_allowance = 100000
"""


def write_members(folder: Path, members: int, seed: int = 1) -> None:
    """dictionary.toml, study.toml and three organisations of `members` rows each."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dictionary.toml").write_text(_DICTIONARY, "utf-8")
    (folder / "study.toml").write_text(study_text("Questions of a benchmark") + _POLICY, "utf-8")
    for number, name in enumerate(ORGANISATIONS):
        rng = np.random.default_rng([seed, number])
        (folder / name).mkdir()
        pq.write_table(_members(rng, members), folder / name / "members.parquet")


def _members(rng: np.random.Generator, members: int) -> pa.Table:
    return pa.table(
        {
            "member": [f"m{number:07d}" for number in range(members)],
            "age": rng.integers(18, 91, members),
            "condition": rng.choice(["als", "ms", "mood"], members),
            "treatment": rng.choice(list("abcdefghij"), members),
            "score": np.round(rng.uniform(0, 48, members), 1),
            "consent": rng.choice(["yes", "no"], members, p=[0.9, 0.1]),
        }
    )


@contextmanager
def running(folder: Path, *, researchers: int = 1) -> Iterator[Network]:
    """The network of a folder, ready for questions, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="cairn-bench-") as state:
        layout = read_layout(folder, utc_now().date())
        network = start(prepare(layout, Path(state), researchers=researchers))
        try:
            network.wait_ready()
            yield network
        finally:
            network.stop()


@contextmanager
def benchmark_network(members: int, *, researchers: int = 1) -> Iterator[Network]:
    """Three organisations of `members` members each, ready for questions."""
    with tempfile.TemporaryDirectory(prefix="cairn-bench-") as folder:
        write_members(Path(folder), members)
        with running(Path(folder), researchers=researchers) as network:
            yield network


def processes(network: Network) -> dict[str, int]:
    """Every process of a network by a name: web, bridge and each node."""
    web = network.coordinator.pid
    found = {"web": web}
    for number, pid in enumerate(_children(web)):
        found["bridge" if number == 0 else f"bridge {number}"] = pid
    return {**found, **{f"node {name}": process.pid for name, process in network.nodes.items()}}


def _children(parent: int) -> list[int]:
    lists = Path(f"/proc/{parent}/task").glob("*/children")
    return sorted(int(pid) for one in lists for pid in one.read_text().split())


def pss_mb(pid: int, part: str = "Pss") -> float:
    """Proportional set size of a process: shared pages are divided among those sharing them.

    `part` "Pss_Anon" is what the process wrote itself: files that others map do not move it.
    """
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{part}:"))) / 1024


def memory(network: Network, part: str = "Pss") -> dict[str, float]:
    """PSS of every process of a network, in MB."""
    return {name: pss_mb(pid, part) for name, pid in processes(network).items()}


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def at_most(what: str, value: float, unit: str, target: float) -> Row:
    """A row whose value should be at most its target."""
    return {
        "what": what,
        "value": round(value, 3),
        "unit": unit,
        "target": f"<= {target:g}",
        "ok": value <= target,
    }


def exactly(what: str, value: int, target: int) -> Row:
    """A row whose value must be its target."""
    return {
        "what": what,
        "value": value,
        "unit": "",
        "target": f"= {target}",
        "ok": value == target,
    }


def observed(what: str, value: float | str, unit: str = "") -> Row:
    """A row without a target."""
    shown = value if isinstance(value, str) else round(value, 3)
    return {"what": what, "value": shown, "unit": unit}
