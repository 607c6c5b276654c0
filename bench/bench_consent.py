"""Consent inside a cohort's query: 10 million members, with and without it, on one database.

Members consent under eight different terms, some of them to end on a day; one in ten refuses.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from models.cohort.parse import parse_cohort
from models.contribution import CellCounts
from models.dictionary_file import load_dictionary
from node.engine import prepare, total
from node.importer import import_folder
from node.records import Records, RecordsSettings
from privacy.contract.duo import Research, Use

TODAY = date(2026, 3, 1)
MOST = 1.2
DICTIONARY = load_dictionary(
    """
[tables.members]
key = "id"
rows = "one"
[tables.members.columns]
age = { type = "integer", lower = 0, upper = 110, bins = [0, 18, 40, 65, 110] }
condition = { levels = ["als", "ms", "sma", "other"] }
score = { type = "number", lower = 0, upper = 48, bins = 8 }
""",
    "dictionary.toml",
)
_MEMBERS = """
COPY (SELECT range AS id, (hash(range * 7) % 100)::INT AS age,
    ['als', 'ms', 'sma', 'other'][1 + (hash(range * 11) % 4)::INT] AS condition,
    ((hash(range * 13) % 480) / 10)::DOUBLE AS score
FROM range({members})) TO '{path}'
"""
_CONSENT = """
COPY (SELECT range AS id, 'all' AS purpose,
    CASE WHEN hash(range * 17) % 10 = 0 THEN 'refused' ELSE 'given' END AS state,
    CASE WHEN hash(range * 23) % 5 = 0 THEN DATE '2027-01-01' END AS until,
    {terms}[1 + (hash(range * 19) % 8)::INT] AS terms
FROM range({members})) TO '{path}'
"""
TERMS = (
    "GRU",
    "HMB",
    "HMB NPU",
    "HMB NCU PUB",
    "DS=MONDO:0004976",
    "DS=MONDO:0005301 NPUNCU",
    "GRU GS=CH,DE",
    "GRU ASK",
)
USE = Use(
    study="a-study",
    research=Research.DISEASE,
    conditions=("MONDO:0004976",),
    for_profit=False,
    commercial=False,
    countries=("CH",),
    publishes=True,
)
COHORT = "age >= 40 and condition in ['als', 'ms'] and score < 40"


def run(*, quick: bool) -> list[dict[str, Any]]:
    """Wall time of one cohort's counts, medians of runs in turn."""
    members, rounds = (1_000_000, 7) if quick else (10_000_000, 15)
    with tempfile.TemporaryDirectory() as folder:
        records = _records(Path(folder), members)
        prepare()
        with_consent, without = _in_turn(_ask(records, True), _ask(records, False), rounds)
        records.close()
    ratio = with_consent / without
    what = f"cohort of {members:,} members"
    return [
        {"what": f"{what}, no consent asked", "value": 1000 * without, "unit": "ms"},
        {"what": f"{what}, consent under 8 terms", "value": 1000 * with_consent, "unit": "ms"},
        {"what": "with consent / without", "value": ratio, "target": MOST, "ok": ratio <= MOST},
    ]


def _records(folder: Path, members: int) -> Records:
    with duckdb.connect() as made:
        made.execute(_MEMBERS.format(members=members, path=folder / "members.parquet"))
        path = folder / "consent.parquet"
        made.execute(_CONSENT.format(members=members, path=path, terms=list(TERMS)))
    settings = RecordsSettings(memory_limit_bytes=3_000_000_000)
    records = Records.open(folder / "records.duckdb", settings)
    import_folder(records, DICTIONARY, folder, consent_purposes=["research"])
    records.close()
    return Records.open(folder / "records.duckdb", settings)


def _ask(records: Records, consent: bool) -> Callable[[], object]:
    cohort = parse_cohort(COHORT, DICTIONARY)
    by = DICTIONARY.resolve("condition")
    shape = CellCounts((by,), 1, 1)

    def once() -> object:
        return total(
            records,
            shape,
            cohort,
            purpose="research" if consent else None,
            today=TODAY,
            use=USE,
        )

    return once


def _in_turn(
    first: Callable[[], object], second: Callable[[], object], rounds: int
) -> tuple[float, float]:
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for each, times in zip((first, second), taken, strict=True):
            began = time.perf_counter()
            each()
            times.append(time.perf_counter() - began)
    return statistics.median(taken[0][1:]), statistics.median(taken[1][1:])
