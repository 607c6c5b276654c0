"""2,000 pairs of a drug and an event, screened in one release over three running nodes.

Time is taken at the client around `run`: from the question to odds ratios, proportional ratios
and information components of every pair with their intervals. Run as `python -m bench pairs`.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.net_support import ORGANISATIONS, STUDY, Row, at_most, observed, running, study_text
from coordinator.client import connect
from coordinator.client.study import Study

DRUGS, EVENTS, REPORTS = 40, 50, 3
MEMBERS = 20_000
SECONDS = 3.0


def run(quick: bool = False) -> list[Row]:
    """Rows of what was measured, each with its target."""
    members = 5_000 if quick else MEMBERS
    with tempfile.TemporaryDirectory(prefix="cairn-bench-") as folder:
        _write(Path(folder), members)
        with running(Path(folder)) as network:
            net = connect(network.prepared.url, token=network.prepared.tokens.researcher.text)
            try:
                study = net.study(STUDY)
                study.count().run(epsilon=1)
                seconds, pairs = zip(*(_screened(study, at) for at in range(5)), strict=True)
            finally:
                net.close()
    name = f"{pairs[0]:,} pairs in one release, 3 nodes x {members:,} members"
    return [
        at_most(f"{name}, median of {len(seconds)}", statistics.median(seconds), "s", SECONDS),
        observed("slowest of them", max(seconds), "s"),
    ]


def _screened(study: Study, at: int) -> tuple[float, int]:
    question = study.disproportionality(drug="reports.drug", event="reports.event")
    began = time.perf_counter()
    result = question.run(epsilon=1 + at / 100)
    seconds = time.perf_counter() - began
    table = result.table
    figure = table[table.columns[0]]
    return seconds, int((figure == figure.iloc[0]).sum())


def _write(folder: Path, members: int) -> None:
    levels = {"drug": _names("drug", DRUGS), "event": _names("event", EVENTS)}
    columns = (
        f'[tables.reports.columns.{name}]\ntype = "categorical"\nlevels = {list(each)}\n'
        for name, each in levels.items()
    )
    head = (
        '[tables.members]\nkey = "member"\nrows = "one"\n\n'
        '[tables.members.columns.age]\ntype = "integer"\nlower = 18\nupper = 90\n\n'
        f'[tables.reports]\nkey = "member"\nrows = "many"\nmax_rows_per_member = {REPORTS}\n'
    )
    (folder / "dictionary.toml").write_text("\n".join([head, *columns]), "utf-8")
    (folder / "study.toml").write_text(study_text("Pairs"), "utf-8")
    for number, organisation in enumerate(ORGANISATIONS):
        (folder / organisation).mkdir()
        for table, rows in _tables(np.random.default_rng([3, number]), members, levels).items():
            pq.write_table(rows, folder / organisation / f"{table}.parquet")


def _names(kind: str, many: int) -> tuple[str, ...]:
    return tuple(f"{kind}{at:02d}" for at in range(many))


def _tables(
    rng: np.random.Generator, members: int, levels: dict[str, tuple[str, ...]]
) -> dict[str, pa.Table]:
    named = np.array([f"m{number:06d}" for number in range(members)])
    reporting = np.repeat(named, REPORTS)
    drawn = {name: rng.choice(each, len(reporting)) for name, each in levels.items()}
    one = {"member": named, "age": rng.integers(18, 91, members), "consent": ["yes"] * members}
    return {"members": pa.table(one), "reports": pa.table({"member": reporting, **drawn})}
