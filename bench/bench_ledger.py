"""How much a durable, signed ledger costs beside a plain durable insert, and how fast it verifies.

The plain insert writes the same bytes (the entry's line, and for a charge what leaves) with the
same durability and driver (Python's sqlite3, WAL, synchronous=FULL, one transaction each, one
table with an integer key and nothing else) on the same disk in the same run, interleaved with the
ledger's appends so that both see the same disk. An append adds 0.05 ms of work to the insert
(rules, encoding, tree, seal), and more where caches are cold, so the ratio is near 1 on a disk
that takes milliseconds to flush, and above 2 only on one that takes less than 0.08 ms. A head is
signed when it is first shown, as it is after every charge: the row beside says what that takes.
"""

from __future__ import annotations

import itertools
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

from node.ledger_store import LedgerStore
from privacy.checkpoint import Checkpoint, node_origin
from privacy.contract.canonical import rational, sha256_hex
from privacy.contract.signing import SigningKey
from privacy.contract.time import instant_text
from privacy.ledger.chain import verify_entries
from privacy.ledger.entry import (
    Approval,
    Body,
    Commit,
    DictionaryAdopted,
    Entry,
    Genesis,
    Mechanism,
    PolicySet,
    Released,
    Reserve,
    ReservedRound,
)
from privacy.ledger.fold import step
from privacy.ledger.state import LedgerState
from privacy.ledger.steward_entry import PeriodOpened, Signed
from privacy.mechanism import GaussianSum
from privacy.merkle import Frontier
from privacy.units import Rho

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STEWARD = SigningKey(b"the steward of the benchmark    ")
MECHANISM = Mechanism.of(GaussianSum(delta_grid=1000, nodes=3, margin=1))
COST = MECHANISM.event.rho
PAYLOAD = bytes(800)
THREADS = 8
TURN = 40  # questions


def _digest(text: str) -> str:
    return sha256_hex(text.encode())


def prepared(folder: Path, key: SigningKey, bound: Rho | None = None) -> LedgerStore:
    """A ledger before its first question; with a `bound`, members are charged one by one."""
    store = LedgerStore.create(
        folder / "ledger.sqlite",
        key,
        lambda: NOW,
        node="bench",
        network="bench",
        delta=Fraction(1, 10**6),
        steward=STEWARD.public,
    )
    for body in first_bodies(bound):
        store.append(body)
    return store


def first_bodies(bound: Rho | None = None) -> list[Body]:
    budget = (COST * 10**9).text
    year = PeriodOpened(
        starts=instant_text(NOW),
        ends=instant_text(NOW + timedelta(days=365)),
        budget_rho=budget,
        by="bench",
    )
    signed = Signed.of(STEWARD, "bench", "bench", year.starts, year.word)
    return [
        PolicySet(
            yearly_rho=budget if bound is None else bound.text,
            ceiling_rho=None if bound is None else budget,
            min_nodes=3,
            min_collude=1,
            max_drop=0,
            min_cohort=0,
            max_memberships=1,
            by="bench",
        ),
        year.model_copy(update={"signed": signed}),
        DictionaryAdopted(dictionary=_digest("dictionary")),
        Approval(
            study="bench",
            study_digest=_digest("study"),
            rho=budget,
            decision="approved",
            by="bench",
            reason="",
        ),
    ]


def question(number: int) -> tuple[Reserve, Commit, Released]:
    plan = _digest(f"plan {number}")
    return (
        Reserve(
            plan=plan,
            question=_digest(f"question {number}"),
            study="bench",
            study_digest=_digest("study"),
            researcher=SigningKey(bytes(32)).public.text,
            identity=_digest(f"identity {number}"),
            sentence="How many members take each treatment, among those aged 18 or more?",
            dictionary=_digest("dictionary"),
            rounds=(ReservedRound(mechanism=MECHANISM, rho=COST.text),),
            max_attempts=1,
            rho=COST.text,
            expires=instant_text(NOW + timedelta(minutes=10)),
        ),
        Commit(
            plan=plan,
            round=0,
            attempt=0,
            mechanism=MECHANISM,
            rho=COST.text,
            masked_sha256=sha256_hex(PAYLOAD),
            length=100,
            bytes=len(PAYLOAD),
        ),
        Released(plan=plan, release=_digest(f"release {number}")),
    )


def _plain(folder: Path) -> sqlite3.Connection:
    db = sqlite3.connect(folder / "plain.sqlite", isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")
    return db


def _insert(db: sqlite3.Connection, data: bytes) -> float:
    start = time.perf_counter()
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO rows (data) VALUES (?)", (data,))
    db.execute("COMMIT")
    return time.perf_counter() - start


def _append(store: LedgerStore, body: Body) -> float:
    start = time.perf_counter()
    store.append(body, outbox=PAYLOAD if isinstance(body, Commit) else None)
    return time.perf_counter() - start


def _shown(store: LedgerStore) -> float:
    start = time.perf_counter()
    store.checkpoint()
    return time.perf_counter() - start


@dataclass(frozen=True)
class _Alone:
    """Seconds of every plain insert, of every append, and of signing the head after a charge."""

    plain: list[float]
    ledger: list[float]
    shown: list[float]
    store: LedgerStore


def _appends(folder: Path, questions: int) -> _Alone:
    store, db = prepared(folder, SigningKey(bytes(32))), _plain(folder)
    found = _Alone([], [], [], store)
    for number in range(questions):
        for body in question(number):
            found.ledger.append(_append(store, body))
            line = store.entries(store.size - 1)[0]
            if isinstance(body, Commit):
                found.shown.append(_shown(store))
                line += PAYLOAD
            found.plain.append(_insert(db, line))
    db.close()
    return found


def _together(folder: Path, questions: int) -> float:
    """How many times as long the ledger takes where `THREADS` threads write at the same time.

    In turns of some questions each, so that both see the same disk; the median of all turns.
    """
    store, db = prepared(folder, SigningKey(bytes(32))), _plain(folder)
    lock = threading.Lock()

    def insert(lines: Sequence[bytes]) -> None:
        for line in lines:
            with lock:
                _insert(db, line)

    def ask(bodies: Sequence[Body]) -> None:
        for body in bodies:
            _append(store, body)

    ratios = []
    with ThreadPoolExecutor(THREADS) as pool:
        for first in range(0, questions, TURN):
            asked = [question(number) for number in range(first, first + TURN)]
            ledger = _timed(pool, ask, asked)
            rows = store.entries(store.size - 3 * TURN)
            rows = [row + PAYLOAD if b'"kind":"commit"' in row else row for row in rows]
            plain = _timed(pool, insert, list(zip(*[iter(rows)] * 3, strict=True)))
            ratios.append(ledger / plain)
    store.close()
    db.close()
    return statistics.median(ratios)


def _timed(pool: ThreadPoolExecutor, work: Callable[[Any], None], parts: Sequence[Any]) -> float:
    start = time.perf_counter()
    list(pool.map(work, parts))
    return time.perf_counter() - start


def _long(path: Path, questions: int) -> tuple[float, float, int]:
    """Seconds to verify a ledger of three entries a question from its file, and for one proof."""
    head = _write_long(path, questions)
    start = time.perf_counter()
    with path.open("rb") as file:
        tree = verify_entries((line[:-1] for line in file), head).tree
    verified = time.perf_counter() - start
    times = []
    for number in range(1_000):
        start = time.perf_counter()
        tree.inclusion_proof(number * tree.size // 1_000, tree.size)
        times.append(time.perf_counter() - start)
    return verified, statistics.median(times), tree.size


def _write_long(path: Path, questions: int) -> Checkpoint:
    """Entries as a node would write them, without its disk: one line each, and their head."""
    key, origin = SigningKey(bytes(32)), node_origin("bench", "bench")
    genesis = Genesis(
        node="bench",
        key=key.public.text,
        steward=STEWARD.public.text,
        network="bench",
        delta=rational(Fraction(1, 10**6)),
    )
    state, frontier = LedgerState(), Frontier()
    asked = itertools.chain.from_iterable(question(number) for number in range(questions))
    with path.open("wb") as file:
        for body in itertools.chain([genesis, *first_bodies()], asked):
            entry = Entry(seq=state.size, prev=state.head, at=instant_text(NOW), body=body)
            state, frontier = step(state, entry), frontier.append(entry.leaf)
            file.write(entry.data + b"\n")
    return Checkpoint(origin, frontier.size, frontier.root)


def _row(what: str, value: float, unit: str, target: str, ok: bool) -> dict[str, Any]:
    return {"what": what, "value": value, "unit": unit, "target": target, "ok": ok}


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Rows of what was measured, each with its target."""
    with tempfile.TemporaryDirectory() as name:
        alone = _appends(Path(name), 100 if quick else 1_000)
        lines = alone.store.entries()
        start = time.perf_counter()
        alone.store.verify()
        opened = time.perf_counter() - start
        alone.store.close()
        crowd = Path(name) / "crowd"
        crowd.mkdir()
        crowd_ratio = _together(crowd, 200 if quick else 2_000)
        verified, proof, size = _long(Path(name) / "long.jsonl", 10_000 if quick else 333_400)
    plain, ledger = statistics.median(alone.plain), statistics.median(alone.ledger)
    ratio = ledger / plain
    speed, whole = len(lines) / opened, 1e6 * verified / size
    many = f"the same from {THREADS} threads at once, each row"
    long = f"verification of {size:,} entries from a file, for a million"
    return [
        _row("durable append beside a plain durable insert", ratio, "x", "<= 2", ratio <= 2),
        _row("plain durable insert, median", 1e3 * plain, "ms", "", True),
        _row("durable append, median", 1e3 * ledger, "ms", "", True),
        _row(
            "signing a head when it is shown", 1e3 * statistics.median(alone.shown), "ms", "", True
        ),
        _row(many, crowd_ratio, "x", "<= 2", crowd_ratio <= 2),
        _row("ledger verified, from disk", speed, "entries/s", ">= 5000", speed >= 5_000),
        _row(long, whole, "s", "<= 90", whole <= 90),
        _row("inclusion proof of one of them, median", 1e3 * proof, "ms", "<= 10", proof <= 0.01),
    ]


if __name__ == "__main__":
    for row in run():
        print(row)
