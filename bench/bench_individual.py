"""Members charged one by one: how many more questions that answers, and what it adds to a query.

Questions are counts of cohorts that two or three of six columns describe, of about a given share of
all members. Levels are asked about alike (evenly), or some far more often than others (unevenly).
Every question costs the same in public, a fortieth of what one member may lose. They end with
the first cohort of which more than a twentieth sits out.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from bench.bench_ledger import COST, MECHANISM, prepared, question
from models.cohort.expression import Everyone, Expression
from models.cohort.parse import parse_cohort
from models.contribution import BoundedValue, CellCounts, Contribution, Summary
from models.dictionary_file import load_dictionary
from node.balances import Balances
from node.charges import Charge
from node.engine import prepare, total
from node.engines.protocol import Account
from node.importer import import_folder
from node.ledger_store import LedgerStore
from node.records import Records, RecordsSettings
from privacy.contract.signing import SigningKey

TODAY = date(2026, 3, 1)
FITS = 40  # questions that the public filter lets through
LEAST_GAIN = {0.05: 4.0, 0.1: 4.0}
MOST_MISSING = 0.05  # of a cohort; beyond, an answer is not one about the cohort
SHARES = (0.05, 0.1, 0.3, 1.0)
LEVELS = {"sex": 2, "stage": 3, "therapy": 4, "region": 5, "decade": 8, "condition": 10}
NEAR = 0.2  # how far a cohort's share may be from the one that is wanted
DELTA_GRID = MECHANISM.event.delta_grid
_COLUMNS = "\n".join(
    f"{name} = {{ levels = {[f'{name}{each}' for each in range(count)]} }}".replace("'", '"')
    for name, count in LEVELS.items()
)
DICTIONARY = load_dictionary(
    f"""
[tables.people]
key = "id"
rows = "one"
[tables.people.columns]
age = {{ type = "number", lower = 0, upper = 100 }}
days = {{ type = "number", lower = 0, upper = 60 }}
{_COLUMNS}
""",
    "dictionary.toml",
)
_SPREAD = """'{name}' || least(floor(power((hash(range * {seed}) % 1003) / 1003, 1.3) * {count}),
    {count} - 1)::INT AS {name}"""
_PEOPLE = """
COPY (SELECT range AS id, (hash(range * 7) % 1000000) / 10000 AS age,
    exp((hash(range * 13) % 1009 + hash(range * 17) % 1009) / 1009 * 2.4 - 1) AS days,
    {levels}
FROM range({members})) TO '{path}'
"""


@dataclass
class World:
    """Records, a ledger and balances, as a node has them."""

    records: Records
    ledger: LedgerStore
    balances: Balances
    asked: int = 0

    def ask(self, shape: Contribution, cohort: Expression) -> tuple[list[int], float]:
        """One question from its reservation to its end; the total, and the seconds it took."""
        reserve, commit, released = question(self.asked)
        self.asked += 1
        self.ledger.append(reserve, cut="0 bench")
        began = time.perf_counter()
        charge = Charge(reserve.plan, 0, 0, MECHANISM.event)
        with self.balances.account(charge, self.records) as account:
            found = self.total(shape, cohort, account)
        took = time.perf_counter() - began
        self.ledger.append(commit, outbox=bytes(commit.bytes))
        self.ledger.append(released)
        return found, took

    def total(
        self, shape: Contribution, cohort: Expression, account: Account | None = None
    ) -> list[int]:
        found = total(self.records, shape, cohort, purpose=None, today=TODAY, account=account)
        return [int(each) for each in found]


def run(*, quick: bool) -> list[dict[str, Any]]:
    members, large = (4_000, 100_000) if quick else (10_000, 1_000_000)
    seeds = range(1 if quick else 3)
    rows = [_gain(members, share, seeds, even=even) for even in (True, False) for share in SHARES]
    return [*rows, *_by_norm(members), *_time_added(large, 5 if quick else 9)]


# How many more questions


def _world(folder: Path, members: int, *, individual: bool = True) -> World:
    files = folder / "files"
    files.mkdir()
    levels = ",\n    ".join(
        _SPREAD.format(name=name, count=count, seed=101 + at)
        for at, (name, count) in enumerate(LEVELS.items())
    )
    with duckdb.connect() as made:
        path = files / "people.parquet"
        made.execute(_PEOPLE.format(levels=levels, members=members, path=path))
    settings = RecordsSettings(memory_limit_bytes=2_000_000_000)
    records = Records.open(folder / "records.duckdb", settings)
    import_folder(records, DICTIONARY, files)
    ledger = prepared(folder, SigningKey(bytes(32)), bound=COST * FITS if individual else None)
    return World(records, ledger, Balances(records, ledger))


def _cohorts(
    records: Records, share: float, rng: np.random.Generator, *, even: bool
) -> Callable[[], str]:
    """Makes cohorts of about that share of all members."""
    listed = ", ".join(f'"people.{name}"' for name in LEVELS)
    with records.snapshot() as cursor:
        found = cursor.execute(f"SELECT {listed} FROM members").fetchnumpy()
    codes = dict(zip(LEVELS, (np.asarray(each) for each in found.values()), strict=True))

    def one() -> str:
        while True:
            names = rng.choice(list(LEVELS), rng.integers(2, 4), replace=False)
            chosen = {name: _levels(LEVELS[name], rng, even=even) for name in names}
            inside = [np.isin(codes[name], levels) for name, levels in chosen.items()]
            if abs(np.logical_and.reduce(inside).mean() / share - 1) <= NEAR:
                return " and ".join(_in_words(*each) for each in chosen.items())

    return one


def _levels(count: int, rng: np.random.Generator, *, even: bool) -> list[int]:
    weights = np.ones(count) if even else 1 / np.arange(1, count + 1)
    some = rng.integers(1, count)
    return sorted(rng.choice(count, some, replace=False, p=weights / weights.sum()).tolist())


def _in_words(name: str, levels: list[int]) -> str:
    return f"{name} in [{', '.join(repr(f'{name}{each}') for each in levels)}]"


def _gain(members: int, share: float, seeds: range, *, even: bool) -> dict[str, Any]:
    """Questions answered, over those that the public filter lets through; median of the seeds."""
    found = [_answered(members, share, seed, even=even) for seed in seeds]
    gain = statistics.median(found) / FITS
    how = "evenly" if even else "unevenly"
    row: dict[str, Any] = {
        "what": f"questions ÷ {FITS}, cohorts of {share:.0%}, asked {how}",
        "value": gain,
    }
    if share in LEAST_GAIN and even:
        least = LEAST_GAIN[share]
        row |= {"target": f">= {least:g}", "ok": gain >= least}
    return row


def _answered(members: int, share: float, seed: int, *, even: bool) -> int:
    with tempfile.TemporaryDirectory() as folder:
        world = _world(Path(folder), members)
        with closing(world.records), closing(world.ledger):
            cohorts = _cohorts(world.records, share, np.random.default_rng(seed), even=even)
            answered = 0
            while _missing(world, _parsed(cohorts(), share)) <= MOST_MISSING:
                answered += 1
    return answered


def _parsed(text: str, share: float) -> Expression:
    return Everyone() if share == 1.0 else parse_cohort(text, DICTIONARY)


def _missing(world: World, cohort: Expression) -> float:
    """Ask for a count; the share of the cohort that was not in it."""
    shape = CellCounts((), DELTA_GRID, 1)
    [whole] = world.total(shape, cohort)
    [found], _ = world.ask(shape, cohort)
    return 1 - found / whole


def _by_norm(members: int) -> list[dict[str, Any]]:
    """Sums of a skewed number over everybody: most vectors are far shorter than the bound."""
    column = DICTIONARY.resolve("days")
    shape = BoundedValue(column, Summary.VALUE, 0.0, 60.0, DELTA_GRID, 0, False)
    with tempfile.TemporaryDirectory() as folder:
        world = _world(Path(folder), members)
        with closing(world.records), closing(world.ledger):
            world.ask(shape, Everyone())
            world.balances.settle()
            with world.records.snapshot() as cursor:
                paid = cursor.execute("SELECT avg(spent) FROM member_balances").fetchone()[0]
    what = "what a member pays for a sum ÷ its bound"
    return [{"what": what, "value": float(paid) / COST.units}]


# What it adds


def _time_added(members: int, rounds: int) -> list[dict[str, Any]]:
    """One cohort's counts with and without, medians of runs in turn."""
    rows = []
    prepare()
    with tempfile.TemporaryDirectory() as folder:
        world = _world(Path(folder), members)
        with closing(world.records), closing(world.ledger):
            for text, name in (("age < 5", "5 %"), ("age < 10", "10 %"), ("age >= 0", "all")):
                bare, charged = _in_turn(world, parse_cohort(text, DICTIONARY), rounds)
                what = f"counts of {name} of {members:,} members"
                rows += [_milliseconds(f"{what}, everybody charged alike", bare)]
                rows += [_milliseconds(f"{what}, added one by one", charged - bare)]
    return rows


def _milliseconds(what: str, seconds: float) -> dict[str, Any]:
    return {"what": what, "value": 1000 * seconds, "unit": "ms"}


def _in_turn(world: World, cohort: Expression, rounds: int) -> tuple[float, float]:
    shape = CellCounts((DICTIONARY.resolve("condition"),), DELTA_GRID, 1)
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        began = time.perf_counter()
        world.total(shape, cohort)
        taken[0].append(time.perf_counter() - began)
        taken[1].append(world.ask(shape, cohort)[1])
    return statistics.median(taken[0][1:]), statistics.median(taken[1][1:])
