"""One round of a logistic regression over 10 million members, next to a bare numpy loop.

In one process of its own: members are imported from Parquet, then the engine's rounds and a loop
that streams the same columns of the same members out of the same file, and adds up the plain
gradient (for Newton's method the information too), run in turn. The loop bounds no member's part.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from models.cohort.parse import parse_cohort
from models.dictionary_file import load_dictionary
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.regression.choosing import Way
from models.regression.request import Regression
from models.streamed import Streamed
from node.engine import total
from node.importer import import_folder
from node.records import Records
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Dictionary
from privacy.mechanism import plan_mechanism

TODAY = date(2026, 3, 1)
COVARIATES = 10
NODES = 3
DICTIONARY = '[tables.members]\nkey = "id"\nrows = "one"\n[tables.members.columns]\n' + "".join(
    [f'x{at} = {{ type = "number", lower = 0, upper = 100 }}\n' for at in range(COVARIATES)]
    + ['y = { type = "boolean" }\n']
)
_CONSENT = (
    '"consent:all" AND ("consent-from:all" IS NULL OR "consent-from:all" <= DATE \'2026-03-01\') '
    'AND ("consent-until:all" IS NULL OR "consent-until:all" >= DATE \'2026-03-01\')'
)
_READ = ", ".join(f'"members.x{at}"' for at in range(COVARIATES))
BARE = f'SELECT {_READ}, CAST("members.y" AS DOUBLE) AS y FROM members WHERE {_CONSENT}'
_SOURCE = "COPY (SELECT range AS id, {columns}, hash(range * 5) % 10 < 9 AS consent FROM range(?))"
_NUMBER = "(hash(range * {prime}) % 100000) / 1000 AS x{at}"
_YES = "hash(range * 17) % 100000 < 20000 + 300 * ((hash(range * 3) % 100000) / 1000) AS y"
_PRIMES = (3, 7, 11, 13, 19, 23, 29, 31, 37, 41)
LOOP_BATCH = 65_536


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Rows for the table. `quick` takes 1 instead of 10 million members."""
    members = 1_000_000 if quick else 10_000_000
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), members)
        command = [sys.executable, "-m", "bench.bench_fit_round", folder, "3" if quick else "5"]
        root = Path(__file__).parent.parent
        one = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # the loop is quicker so
        done = subprocess.run(
            command, cwd=root, check=True, capture_output=True, text=True, env=one
        )
    return _rows(f"{members // 10**6} M members", json.loads(done.stdout.splitlines()[-1]))


def _write(folder: Path, members: int) -> None:
    columns = [_NUMBER.format(prime=prime, at=at) for at, prime in enumerate(_PRIMES)]
    source = _SOURCE.format(columns=", ".join([*columns, _YES]))
    (folder / "files").mkdir()
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"{source} TO '{folder / 'files' / 'members.parquet'}'", [members])


def _rows(label: str, found: dict[str, float]) -> list[dict[str, Any]]:
    rows = []
    for way in ("gradient", "newton"):
        took, bare = found[way], found[f"bare {way}"]
        ratio, name = took / bare, f"{way} round, {label}"
        rows.append(_row(name, took, "s", "", None))
        rows.append(_row(f"{name}, bare numpy loop", bare, "s", "", None))
        target, ok = ("<= 3", bool(ratio <= 3)) if way == "gradient" else ("", None)
        rows.append(_row(f"{name}, times the loop", ratio, "", target, ok))
    peak = found["peak_bytes"] / 2**30
    return [*rows, _row(f"peak memory, {label}", peak, "GiB", "<= 3", bool(peak <= 3))]


def _row(what: str, value: float, unit: str, target: str, ok: bool | None) -> dict[str, Any]:
    return {"what": what, "value": round(value, 4), "unit": unit, "target": target, "ok": ok}


def _measure(folder: Path, repetitions: int) -> dict[str, float]:
    """Import, then medians of the rounds and the loops, asked in turn."""
    dictionary = load_dictionary(DICTIONARY, "dictionary.toml")
    records = Records.open(folder / "records.duckdb")
    import_folder(records, dictionary, folder / "files", consent_purposes=["research"])
    questions = _questions(records, dictionary)
    times: dict[str, list[float]] = {name: [] for name in questions}
    for _ in range(repetitions):
        for name, ask in questions.items():
            start = time.perf_counter()
            ask()
            times[name].append(time.perf_counter() - start)
    records.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {name: statistics.median(each) for name, each in times.items()} | {"peak_bytes": peak}


def _questions(records: Records, dictionary: Dictionary) -> dict[str, Callable[[], object]]:
    found: dict[str, Callable[[], object]] = {}
    ways: tuple[Way, ...] = ("gradient", "newton")
    for way in ways:
        shape, theta = _second_round(records, dictionary, way)
        found[way] = lambda shape=shape: _asked(records, shape)
        newton = way == "newton"
        found[f"bare {way}"] = lambda newton=newton, theta=theta: bare(records, theta, newton)
    return found


def _second_round(records: Records, dictionary: Dictionary, way: Way) -> tuple[Streamed, Any]:
    """The first round with coefficients, after the one that learns the covariates' scale."""
    terms = " + ".join(f"x{at}" for at in range(COVARIATES))
    asked = Regression(formula=f"y ~ {terms}", family="binomial", way=way).normalised(dictionary)
    shares = asked.shares(dictionary)
    rho = rho_of_epsilon(parse_epsilon("1"), Fraction(1, 10**6))
    part = type(rho)(rho.units * shares[0] // sum(shares))
    law = NoiseLaw(plan_mechanism(part, NODES, 1), NODES)
    first = asked.contribution_at(dictionary, law.mechanism.delta_grid, 0, b"")
    opened = [Opening(tuple(_asked(records, first).tolist()), law, b"")]
    state = asked.state(dictionary, opened)
    shape = asked.contribution_at(dictionary, law.mechanism.delta_grid, 1, state)
    return shape, np.frombuffer(state, dtype="<f8")[: COVARIATES + 1]


def _asked(records: Records, shape: Streamed) -> Any:
    everyone = parse_cohort("", records_dictionary())
    return total(records, shape, everyone, purpose="research", today=TODAY)


def records_dictionary() -> Dictionary:
    return load_dictionary(DICTIONARY, "dictionary.toml")


def bare(records: Records, theta: Any, newton: bool) -> Any:
    """The gradient, and the information for Newton's method, as one would write them by hand."""
    size = COVARIATES + 1
    gradient, information = np.zeros(size), np.zeros((size, size))
    with records.snapshot() as cursor:
        for batch in cursor.sql(BARE).to_arrow_reader(LOOP_BATCH):
            columns = [column.to_numpy(zero_copy_only=False) for column in batch.columns]
            x = np.ones((len(columns[0]), size))
            x[:, 1:] = np.stack(columns[:-1], axis=1)
            x[:, 1:] = (x[:, 1:] - 50.0) / 50.0
            p = 1.0 / (1.0 + np.exp(-(x @ theta)))
            gradient += x.T @ (columns[-1] - p)
            if newton:
                information += x.T @ (x * (p * (1 - p))[:, None])
    return gradient, information


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]), int(sys.argv[2]))))
