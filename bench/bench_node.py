"""A node's time and memory for grouped counts, a mean and survival over 10 million members.

In one process of its own: the members are imported from Parquet, then the engine and the same
SQL, with cohort and consent filter and written by hand, run in turn on the same database.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from models.aggregates.requests import Survival
from models.cohort.parse import parse_cohort
from models.contribution import BoundedValue, CellCounts, Contribution, Summary
from models.dictionary_file import load_dictionary
from node.engine import total
from node.importer import import_folder
from node.records import Records
from privacy.contract.dictionary import Dictionary

TODAY = date(2026, 3, 1)
DICTIONARY = """
[tables.members]
key = "id"
rows = "one"
[tables.members.columns]
treatment = { levels = ["drug", "placebo", "none", "other"] }
severity = { levels = ["none", "mild", "moderate", "severe", "extreme"] }
age = { type = "integer", lower = 0, upper = 120 }
score = { type = "number", lower = 0, upper = 100, bins = 10 }
months = { type = "number", lower = 0, upper = 120, bins = 10 }
died = { type = "boolean" }
"""
COHORT = "age >= 30 and treatment != 'other'"
_CONSENT = (
    '"consent:all" AND ("consent-from:all" IS NULL OR "consent-from:all" <= DATE \'2026-03-01\') '
    'AND ("consent-until:all" IS NULL OR "consent-until:all" >= DATE \'2026-03-01\')'
)
BARE_COUNT = (
    'SELECT "members.treatment", "members.severity", count(*) FROM members '
    f'WHERE {_CONSENT} AND "members.age" >= 30 AND "members.treatment" <> 3 GROUP BY 1, 2'
)
BARE_MEAN = (
    'SELECT count(*), sum(CAST(floor(("members.score" - 50e0) / 50e0 * 1000000e0 + 0.5e0) AS '
    f'BIGINT)) FROM members WHERE {_CONSENT} AND "members.age" >= 30 '
    'AND "members.treatment" <> 3 AND "members.score" IS NOT NULL'
)
BARE_TABLE = (
    'SELECT "members.treatment", "members.severity", "bin:members.score", count(*) '
    f'FROM members WHERE {_CONSENT} AND "members.age" >= 30 AND "members.treatment" <> 3 '
    'AND "bin:members.score" IS NOT NULL GROUP BY 1, 2, 3'
)
BARE_SURVIVAL = (
    'SELECT "members.treatment", CAST(least(floor("members.months" / 5e0), 12) AS UTINYINT), '
    f'"members.died", count(*) FROM members WHERE {_CONSENT} AND "members.age" >= 30 '
    'AND "members.treatment" <> 3 AND "members.months" IS NOT NULL '
    'AND "members.died" IS NOT NULL GROUP BY 1, 2, 3'
)
EDGES = tuple(str(month) for month in range(0, 61, 5))  # others than the declared bins
_SOURCE = """
COPY (SELECT range AS id,
    ['drug', 'placebo', 'none', 'other'][1 + (hash(range) % 4)::INT] AS treatment,
    ['none', 'mild', 'moderate', 'severe', 'extreme'][1 + (hash(range + 7) % 5)::INT] AS severity,
    18 + (hash(range * 3) % 70)::INT AS age,
    (hash(range * 11) % 100000) / 1000 AS score,
    (hash(range * 13) % 12000) / 100 AS months,
    hash(range * 17) % 3 = 0 AS died,
    hash(range * 5) % 10 < 9 AS consent
FROM range(?)) TO '{path}'
"""


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Rows for the table. `quick` takes 1 instead of 10 million members."""
    members = 1_000_000 if quick else 10_000_000
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "files"
        files.mkdir()
        with duckdb.connect() as connection:
            connection.execute(_SOURCE.format(path=files / "members.parquet"), [members])
        command = [sys.executable, "-m", "bench.bench_node", folder, "5" if quick else "15"]
        root = Path(__file__).parent.parent
        done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return _rows(f"{members // 10**6} M members", found)


def _rows(label: str, found: dict[str, float]) -> list[dict[str, Any]]:
    rows = []
    for name, bare in (("count by two columns", "bare_count"), ("mean", "bare_mean")):
        took, limit = found[name], 1.5 * found[bare] + 0.05
        rows.append(
            _row(
                f"{name}, {label}",
                took,
                "s",
                f"<= 1.5 x bare SQL + 50 ms = {limit:.3f}",
                took <= limit,
            )
        )
        rows.append(_row(f"{name}, {label}, the same SQL run bare", found[bare], "s", "", None))
    for name, bare in (("table of three columns", "bare_table"), ("survival", "bare_survival")):
        ratio = found[name] / found[bare]
        rows.append(_row(f"{name}, {label}, the same SQL run bare", found[bare], "s", "", None))
        rows.append(
            _row(f"{name}, {label}, times the bare SQL", ratio, "", "<= 2", bool(ratio <= 2))
        )
    peak = found["peak_bytes"] / 2**30
    rows.append(_row(f"peak memory, {label}", peak, "GiB", "<= 2", peak <= 2))
    rows.append(_row(f"import from Parquet, {label}", found["import"], "s", "", None))
    return rows


def _row(what: str, value: float, unit: str, target: str, ok: bool | None) -> dict[str, Any]:
    return {"what": what, "value": round(value, 4), "unit": unit, "target": target, "ok": ok}


def _measure(folder: Path, repetitions: int) -> dict[str, float]:
    """Import, then medians of all questions, asked in turn."""
    dictionary = load_dictionary(DICTIONARY, "dictionary.toml")
    records = Records.open(folder / "records.duckdb")
    began = time.perf_counter()
    import_folder(records, dictionary, folder / "files", consent_purposes=["research"])
    took = time.perf_counter() - began
    questions = _questions(records, dictionary)
    times: dict[str, list[float]] = {name: [] for name in questions}
    for round_number in range(repetitions + 1):
        for name, ask in questions.items():
            start = time.perf_counter()
            ask()
            if round_number:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    records.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    medians = {name: statistics.median(each) for name, each in times.items()}
    return {**medians, "import": took, "peak_bytes": float(peak)}


def _questions(records: Records, dictionary: Dictionary) -> dict[str, Callable[[], object]]:
    dims = (dictionary.resolve("treatment"), dictionary.resolve("severity"))
    count = CellCounts(dims, 2**20, 1)
    mean = BoundedValue(dictionary.resolve("score"), Summary.VALUE, 50.0, 50.0, 10**6, 10**5, False)
    table = CellCounts((*dims, dictionary.resolve("score")), 2**20, 1)
    survival = Survival(time="months", event="died", by=("treatment",), edges=EDGES)
    curves = survival.normalised(dictionary).contribution(dictionary, 2**20)
    cohort = parse_cohort(COHORT, dictionary)

    def asked(shape: Contribution) -> object:
        return total(records, shape, cohort, purpose="research", today=TODAY)

    def bare(sql: str) -> object:
        with records.snapshot() as cursor:
            return cursor.execute(sql).fetchall()

    return {
        "count by two columns": lambda: asked(count),
        "bare_count": lambda: bare(BARE_COUNT),
        "mean": lambda: asked(mean),
        "bare_mean": lambda: bare(BARE_MEAN),
        "table of three columns": lambda: asked(table),
        "bare_table": lambda: bare(BARE_TABLE),
        "survival": lambda: asked(curves),
        "bare_survival": lambda: bare(BARE_SURVIVAL),
    }


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]), int(sys.argv[2]))))
