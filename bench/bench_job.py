"""One real job: count, mean, standard deviation and a 20-bin histogram of eleven columns.

Three organisations with 100,000 members each, over real processes and TLS, with differential
privacy and secure sums: 22 different plans, asked by a few threads as an analyst's script would.
Each plan is paid for and answered on its own; then all of it again as one question (`describe`),
which costs the same for the same noise. Beside it, in the same run and on the same rows:
the loop that a program with all the data in its hands would write, and a Flower simulation of
the same job, which hides nothing and adds no noise, in an environment of its own.
Run as `python -m bench job`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.net_support import ORGANISATIONS, STUDY, Row, at_most, observed, running, study_text
from coordinator.client import connect
from coordinator.client.study import Study
from deploy.network import Network

COLUMNS = tuple(f"x{at:02d}" for at in range(11))
BINS, LOW, HIGH = 20, 0.0, 100.0
MEMBERS = 100_000
ASKERS = 4
EPSILON = 0.2  # of each of the 22 questions
RUNNING, STARTING = 2.5, 12.0
PEERS = Path(__file__).parent / "peers"
ENVIRONMENT = Path(__file__).parents[1] / ".venv-peers"
FLOWER = ("flwr[simulation]==1.41.*", "pandas>=2.2,<3", "pyarrow>=17")
PATIENCE = 540.0


def run(quick: bool = False) -> list[Row]:
    """Rows of what was measured, each with its target."""
    members = 10_000 if quick else MEMBERS
    with tempfile.TemporaryDirectory(prefix="cairn-bench-") as folder:
        write(Path(folder), members)
        rows = _ours(Path(folder), members, times=1 if quick else 5)
        rows.append(_plain(Path(folder), members))
        return [*rows, *([] if quick else _flower(Path(folder), members))]


def write(folder: Path, members: int) -> None:
    """dictionary.toml, study.toml and three organisations of `members` rows each."""
    (folder / "dictionary.toml").write_text(_dictionary(), "utf-8")
    (folder / "study.toml").write_text(study_text("Eleven columns"), "utf-8")
    for number, name in enumerate(ORGANISATIONS):
        rng = np.random.default_rng([7, number])
        (folder / name).mkdir()
        pq.write_table(_members(rng, members), folder / name / "members.parquet")


def _dictionary() -> str:
    step = (HIGH - LOW) / BINS
    bins = ", ".join(f"{LOW + at * step:g}" for at in range(BINS + 1))
    columns = (
        f'[tables.members.columns.{name}]\ntype = "number"\nlower = {LOW:g}\nupper = {HIGH:g}\n'
        f"bins = [{bins}]\n"
        for name in COLUMNS
    )
    return "\n".join(['[tables.members]\nkey = "member"\nrows = "one"\n', *columns])


def _members(rng: np.random.Generator, members: int) -> pa.Table:
    middles = np.linspace(30, 70, len(COLUMNS))
    drawn = {
        name: np.round(np.clip(rng.normal(middle, 15, members), LOW, HIGH), 2)
        for name, middle in zip(COLUMNS, middles, strict=True)
    }
    named = [f"m{number:07d}" for number in range(members)]
    return pa.table({"member": named, **drawn, "consent": ["yes"] * members})


def _ours(folder: Path, members: int, times: int) -> list[Row]:
    name = f"11 columns, 3 nodes x {members:,}: count, mean, sd, histogram"
    starts = [_started(folder) for _ in range(1 if times == 1 else 3)]
    with running(folder) as network:
        seconds = [_seconds(network, offset) for offset in range(times + 1)][1:]
        described = [_described(network, offset) for offset in range(times)]
    return [
        at_most(f"{name}, on a running network", statistics.median(seconds), "s", RUNNING),
        at_most(f"{name}, as one question", statistics.median(described), "s", RUNNING),
        at_most(f"{name}, with start-up", statistics.median(starts), "s", STARTING),
    ]


def _started(folder: Path) -> float:
    """From files to the last answer: import, keys, processes and the job itself."""
    began = time.perf_counter()
    with running(folder) as network:
        _job(network, 0)
        return time.perf_counter() - began


def _seconds(network: Network, offset: int) -> float:
    began = time.perf_counter()
    _job(network, offset)
    return time.perf_counter() - began


def _described(network: Network, offset: int) -> float:
    net = connect(network.prepared.url, token=network.prepared.tokens.researcher.text)
    try:
        began = time.perf_counter()
        net.study(STUDY).describe(*COLUMNS).run(epsilon=2 + offset / 1000)
        return time.perf_counter() - began
    finally:
        net.close()


def _job(network: Network, offset: int) -> None:
    """All 22 answers. `offset` makes each cohort new, so that no stored release answers."""
    net = connect(network.prepared.url, token=network.prepared.tokens.researcher.text)
    try:
        study = net.study(STUDY).where(f"{COLUMNS[0]} >= {LOW - offset / 1000:g} or {_all()}")
        with ThreadPoolExecutor(ASKERS) as pool:
            list(pool.map(lambda ask: ask(), _questions(study, offset)))
    finally:
        net.close()


def _all() -> str:
    return f"{COLUMNS[0]} <= {HIGH:g}"


def _questions(study: Study, offset: int) -> list[Callable[[], object]]:
    epsilon = EPSILON + offset / 1000
    asked = [ask(name) for name in COLUMNS for ask in (study.variance, study.histogram)]
    return [lambda question=question: question.run(epsilon=epsilon) for question in asked]


def _plain(folder: Path, members: int) -> Row:
    """Everything in one program's hands: no network, no privacy."""
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        for name in ORGANISATIONS:
            table = pq.read_table(folder / name / "members.parquet")
            for column in COLUMNS:
                values = table[column].to_numpy()
                _ = len(values), values.mean(), values.std()
                np.histogram(values, bins=BINS, range=(LOW, HIGH))
        seconds.append(time.perf_counter() - began)
    return observed(
        f"the same from 3 x {members:,} rows in one program", statistics.median(seconds), "s"
    )


def _flower(folder: Path, members: int) -> list[Row]:
    """The same job as a Flower simulation (Ray), start included; its environment is made once."""
    name = f"the same as a Flower simulation, 3 x {members:,}, nothing hidden"
    try:
        python = _environment()
        found = [_simulated(python, folder) for _ in range(3)]
    except (OSError, subprocess.SubprocessError) as error:
        return [observed(name, f"not measured: {type(error).__name__}")]
    return [observed(name, statistics.median(found), "s")]


def _environment() -> Path:
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
    install = [str(python), "-m", "pip", "install", "-q", *FLOWER]
    subprocess.run(install, check=True, timeout=PATIENCE, capture_output=True)
    return python


def _simulated(python: Path, folder: Path) -> float:
    job = {"folder": str(folder), "organisations": ORGANISATIONS, "columns": COLUMNS}
    job |= {"bins": BINS, "low": LOW, "high": HIGH}
    began = time.perf_counter()
    subprocess.run(
        [str(python), str(PEERS / "flower_job.py"), json.dumps(job)],
        check=True,
        timeout=PATIENCE,
        capture_output=True,
    )
    return time.perf_counter() - began
