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
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

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
from privacy.accounting.individual import MemberCost, has_room
from privacy.contract.signing import SigningKey

TODAY = date(2026, 3, 1)
FITS = 40  # questions that the public filter lets through
LEAST_GAIN = {0.05: 4.0, 0.1: 4.0}
MOST_MISSING = 0.05  # of a cohort; beyond, an answer is not one about the cohort
SHARES = (0.05, 0.1, 0.3, 1.0)
LEVELS = {"sex": 2, "stage": 3, "therapy": 4, "region": 5, "decade": 8, "condition": 10}
NEAR = 0.2  # how far a cohort's share may be from the one that is wanted
DELTA_GRID = MECHANISM.event.delta_grid
DICTIONARY = load_dictionary(
    """
[tables.people]
key = "id"
rows = "one"
[tables.people.columns]
age = { type = "number", lower = 0, upper = 100 }
days = { type = "number", lower = 0, upper = 60 }
condition = { levels = ["als", "ms", "sma", "other"] }
""",
    "dictionary.toml",
)
_PEOPLE = """
COPY (SELECT range AS id, (hash(range * 7) % 1000000) / 10000 AS age,
    exp((hash(range * 13) % 1009 + hash(range * 17) % 1009) / 1009 * 2.4 - 1) AS days,
    ['als', 'ms', 'sma', 'other'][1 + (hash(range * 11) % 4)::INT] AS condition
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
    members, seeds = (4_000, range(3)) if quick else (20_000, range(15))
    rows = [_gain(members, share, seeds, even=even) for even in (True, False) for share in SHARES]
    rows += _by_norm(members)
    return rows + _time_added(100_000 if quick else 1_000_000, 5 if quick else 9)


# How many more questions


def _gain(members: int, share: float, seeds: range, *, even: bool) -> dict[str, Any]:
    """Questions answered, over those that the public filter lets through; median of the seeds."""
    found = [_answered(members, share, np.random.default_rng(seed), even=even) for seed in seeds]
    gain = statistics.median(found) / FITS
    how = "evenly" if even else "unevenly"
    row: dict[str, Any] = {
        "what": f"questions ÷ {FITS}, cohorts of {share:.0%}, asked {how}",
        "value": gain,
    }
    if share in LEAST_GAIN and even:
        row |= {"target": f">= {LEAST_GAIN[share]:g}", "ok": gain >= LEAST_GAIN[share]}
    return row


def _answered(members: int, share: float, rng: np.random.Generator, *, even: bool) -> int:
    """How many counts are answered until more than a twentieth of a cohort sits out."""
    codes = [_skewed(members, count, rng) for count in LEVELS.values()]
    bound, need = COST * FITS, MECHANISM.event.rho
    paid = MemberCost.of(MECHANISM.event).of_norm(DELTA_GRID**2)
    times = np.zeros(members, dtype=np.int64)  # in how many questions each member was
    fits = next(n for n in range(FITS, -1, -1) if has_room(bound, paid * n, need)) + 1
    for answered in count():
        cohort = _cohort(codes, share, rng, even=even)
        inside = cohort & (times < fits)
        if inside.sum() < (1 - MOST_MISSING) * cohort.sum():
            return answered
        times += inside
    return 0


def _skewed(members: int, levels: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return np.floor(rng.random(members) ** 1.3 * levels).astype(np.int64)


def _cohort(
    codes: list[NDArray[np.int64]], share: float, rng: np.random.Generator, *, even: bool
) -> NDArray[np.bool_]:
    """Who is in a cohort of about that share of all members."""
    if share == 1.0:
        return np.ones(len(codes[0]), dtype=bool)
    while True:
        chosen = rng.choice(len(codes), rng.integers(2, 4), replace=False)
        inside = [_among(codes[at], rng, even=even) for at in chosen]
        cohort: NDArray[np.bool_] = np.logical_and.reduce(inside)
        if abs(cohort.mean() / share - 1) <= NEAR:
            return cohort


def _among(codes: NDArray[np.int64], rng: np.random.Generator, *, even: bool) -> NDArray[np.bool_]:
    """Who has one of some levels."""
    count = int(codes.max()) + 1
    weights = np.ones(count) if even else 1 / np.arange(1, count + 1)
    some = rng.choice(count, rng.integers(1, count), replace=False, p=weights / weights.sum())
    return np.isin(np.arange(count), some)[codes]


# What each pays


def _world(folder: Path, members: int) -> World:
    files = folder / "files"
    files.mkdir()
    with duckdb.connect() as made:
        made.execute(_PEOPLE.format(members=members, path=files / "people.parquet"))
    settings = RecordsSettings(memory_limit_bytes=2_000_000_000)
    records = Records.open(folder / "records.duckdb", settings)
    import_folder(records, DICTIONARY, files)
    ledger = prepared(folder, SigningKey(bytes(32)), bound=COST * FITS)
    return World(records, ledger, Balances(records, ledger))


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
