"""A logistic regression over a real network, beside federated averaging by stock Flower.

Three nodes with 100,000 members each and ten covariates; TLS between real processes on both
sides. Ours is one question to convergence, under privacy, with secure sums; Flower's averages
weights of local mini-batch descent and hides nothing. Both are judged on the same members not
used in training. Run as `python -m bench regression`.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.curves import auc
from bench.net_support import ORGANISATIONS, STUDY, Row, at_most, observed, study_text
from bench.net_support import running as our_network
from bench.peers.stock_flower import running as stock_flower
from coordinator.client import connect

Floats = NDArray[np.float64]
COVARIATES = tuple(f"x{at}" for at in range(10))
MEMBERS, HELD_OUT = 100_000, 50_000
EPSILON = 1.0
SECONDS, RATIO = 10.0, 0.2
ROUNDS, EPOCHS = 10, 1
WARM_UP = 8.0  # seconds until stock nodes have announced themselves


def run(quick: bool = False) -> list[Row]:
    """Rows of what was measured, each with its target."""
    members = 10_000 if quick else MEMBERS
    truth = np.random.default_rng(11).normal(0, 0.5, len(COVARIATES) + 1)
    sites = [_drawn([13, number], members, truth) for number in range(len(ORGANISATIONS))]
    held_out = _drawn([13, 99], HELD_OUT, truth)
    with tempfile.TemporaryDirectory(prefix="cairn-bench-") as folder:
        _write(Path(folder), sites)
        seconds, ours = _ours(Path(folder), len(ORGANISATIONS) * members)
    name = f"logistic regression, 10 covariates, 3 x {members:,}"
    middle = statistics.median(seconds)
    rows = [
        at_most(f"{name}, eps = {EPSILON:g}, median of {len(seconds)}", middle, "s", SECONDS),
        observed("its AUC on others", auc(_risk(held_out[0], ours), held_out[1] == 1)),
        observed("AUC of the truth", auc(_risk(held_out[0], truth), held_out[1] == 1)),
    ]
    return [*rows, *([] if quick else _beside(sites, held_out, seconds, ours))]


def _drawn(seed: list[int], members: int, truth: Floats) -> tuple[Floats, Floats]:
    """Covariates in [-1, 1] with a leading one, and outcomes."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(members), rng.uniform(-1, 1, (members, len(COVARIATES)))])
    return x, (rng.random(members) < _risk(x, truth)).astype(float)


def _risk(x: Floats, weights: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x @ weights)))


def _write(folder: Path, sites: Sequence[tuple[Floats, Floats]]) -> None:
    columns = (
        f'[tables.members.columns.{name}]\ntype = "number"\nlower = -1\nupper = 1\n'
        for name in COVARIATES
    )
    outcome = '[tables.members.columns.improved]\ntype = "boolean"\n'
    head = '[tables.members]\nkey = "member"\nrows = "one"\n'
    (folder / "dictionary.toml").write_text("\n".join([head, *columns, outcome]), "utf-8")
    (folder / "study.toml").write_text(study_text("A regression"), "utf-8")
    for name, (x, y) in zip(ORGANISATIONS, sites, strict=True):
        (folder / name).mkdir()
        rows: dict[str, Any] = {"member": [f"m{number:07d}" for number in range(len(y))]}
        rows |= {column: x[:, at] for at, column in enumerate(COVARIATES, start=1)}
        rows |= {"improved": y == 1, "consent": ["yes"] * len(y)}
        pq.write_table(pa.table(rows), folder / name / "members.parquet")


def _ours(folder: Path, members: int) -> tuple[list[float], Floats]:
    """Seconds of every run, and the coefficients of the last, the intercept first."""
    seconds = []
    with our_network(folder) as network:
        net = connect(network.prepared.url, token=network.prepared.tokens.researcher.text)
        try:
            study = net.study(STUDY)
            study.count().run(epsilon=1)
            for at in range(3):
                formula = "improved ~ " + " + ".join(COVARIATES)
                question = study.glm(formula, family="binomial", members=members)
                began = time.perf_counter()
                fit = question.run(epsilon=EPSILON + at / 1000)
                seconds.append(time.perf_counter() - began)
        finally:
            net.close()
    return seconds, _coefficients(fit.table)


def _coefficients(table: Any) -> Floats:
    found = table[table["figure"] == "coefficient"].set_index("term")["estimate"]
    return np.array([found["Intercept"], *(found[name] for name in COVARIATES)])


def _beside(
    sites: Sequence[tuple[Floats, Floats]],
    held_out: tuple[Floats, Floats],
    seconds: Sequence[float],
    ours: Floats,
) -> list[Row]:
    name = f"FedAvg by stock Flower, {ROUNDS} rounds of {EPOCHS} epoch"
    try:
        taken, weights = _averaged(sites)
    except (OSError, subprocess.SubprocessError) as error:
        return [observed(name, f"not measured: {type(error).__name__}")]
    x, y = held_out
    gain = auc(_risk(x, ours), y == 1) - auc(_risk(x, weights), y == 1)
    return [
        observed(name, taken, "s"),
        at_most("ours ÷ Flower's", statistics.median(seconds) / taken, "", RATIO),
        {
            "what": "AUC of ours less that of Flower's",
            "value": round(gain, 4),
            "unit": "",
            "target": ">= -0.001",
            "ok": gain >= -0.001,
        },
    ]


def _averaged(sites: Sequence[tuple[Floats, Floats]]) -> tuple[float, Floats]:
    with tempfile.TemporaryDirectory(prefix="cairn-peer-") as folder:
        paths = [Path(folder) / f"site{number}.npy" for number in range(len(sites))]
        for path, (x, y) in zip(paths, sites, strict=True):
            np.save(path, np.column_stack([x, y]))
        with stock_flower(Path(folder), paths) as peer:
            time.sleep(WARM_UP)
            taken, weights = peer.fit(len(COVARIATES) + 1, ROUNDS, EPOCHS)
    return taken, np.array(weights)
