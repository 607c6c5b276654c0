"""The ledger on disk: durable or refused, never half-written, never silently another one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from node.ledger_store import LedgerStore
from node.witness_book import Cosigned
from privacy.checkpoint import (
    Checkpoint,
    check_cosignature,
    node_origin,
    open_checkpoint,
    sign_checkpoint,
)
from privacy.contract.canonical import sha256_hex
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.chain import verify_entries
from privacy.ledger.entry import Aborted, Body, Lost, Paused, Released, Resumed
from privacy.merkle import Tree, verify_consistency, verify_inclusion
from privacy.units import Rho
from privacy.witness import Growth
from tests.support.ledger_factory import (
    BY,
    COST,
    NETWORK,
    SMALL,
    START,
    commit,
    digest_of,
    founder,
    opening_bodies,
    reserve,
    signing_key,
)

SOON = START + timedelta(minutes=10)
PAYLOAD = b"masked bytes" * 8
P = digest_of("p")
KEY = signing_key("alpha")


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[LedgerStore]:
    made = ready(path, clock)
    yield made
    made.close()


def ready(
    path: Path, clock: Clock, reached: Callable[[str], None] = lambda _step: None
) -> LedgerStore:
    """A store with a budget of ten openings."""
    made = LedgerStore.create(
        path,
        KEY,
        clock,
        node="alpha",
        network=NETWORK,
        delta=Fraction(1, 10**6),
        steward=founder("alpha").public,
        reached=reached,
    )
    for body in opening_bodies(COST * 10, {"als": COST * 10}):
        made.append(body)
    return made


def payment(plan: str = P, round_: int = 0, attempt: int = 0, data: bytes = PAYLOAD) -> Body:
    return commit(plan, round_, attempt, data, SMALL)


def refused(call: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value


def test_a_receipt_proves_its_entry(store: LedgerStore) -> None:
    store.append(reserve("p", "als", SOON))
    receipt = store.append(payment(), outbox=PAYLOAD)
    store.append(Released(plan=P, release=digest_of("r")))
    covering = store.checkpoint_at(receipt.seq + 1)
    head = open_checkpoint(covering, KEY.public, node_origin(NETWORK, "alpha"))
    assert head.size == receipt.seq + 1
    leaf = bytes.fromhex(receipt.leaf)
    proof = store.inclusion_proof(receipt.seq, head.size)
    verify_inclusion(leaf, receipt.seq, head.size, proof, head.root)
    newest = open_checkpoint(store.checkpoint(), KEY.public)
    path = store.consistency_proof(head.size, newest.size)
    verify_consistency(head.size, head.root, newest.size, newest.root, path)
    assert store.root_at(head.size) == head.root
    verify_entries(store.entries(), newest)


def test_what_was_appended_is_there_after_opening_again(
    store: LedgerStore, path: Path, clock: Clock
) -> None:
    store.append(reserve("p", "als", SOON, max_attempts=2))
    store.append(payment(), outbox=PAYLOAD)
    store.close()
    again = LedgerStore.open(path, KEY, clock)
    assert (again.state, again.checkpoint()) == (store.state, store.checkpoint())
    assert again.outbox(P, 0, 0) == PAYLOAD
    assert refused(lambda: again.append(payment(), outbox=PAYLOAD)).code is Code.REPLAYED
    assert again.state.knows(P)
    assert P in again.state.plans
    clock.now = SOON
    assert again.state.due(instant_text(SOON)) == (P,)
    again.append(Lost(plan=P, round=0, attempt=0))
    again.append(Aborted(plan=P, code="attempt_lost"))
    assert (again.state.spent, again.outbox(P, 0, 0)) == (COST, None)
    assert again.state.knows(P)
    assert P not in again.state.plans
    again.close()


def test_only_the_committed_bytes_can_leave(store: LedgerStore) -> None:
    store.append(reserve("p", "als", SOON))
    size = store.size
    for body, outbox in (
        (payment(), None),
        (payment(), PAYLOAD + b"x"),
        (payment(), PAYLOAD[:-1] + b"x"),
        (Paused(by=BY), PAYLOAD),
    ):
        with pytest.raises(BadInput):
            store.append(body, outbox=outbox)
    assert (store.size, store.outbox(P, 0, 0)) == (size, None)


def test_lines_are_read_in_parts(store: LedgerStore) -> None:
    assert store.entries() == list(store.lines())
    assert store.entries(2, 4) == store.entries()[2:4]
    assert store.entries(3, 10**6) == store.entries()[3:]
    assert store.entries(10**6) == []


def test_the_file_is_its_owners_alone(store: LedgerStore, path: Path) -> None:
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_there_is_one_ledger_at_a_place_and_it_has_one_key(
    store: LedgerStore, path: Path, clock: Clock
) -> None:
    with pytest.raises(BadInput):
        ready(path, clock)
    with pytest.raises(BadInput):
        LedgerStore.open(path.with_name("none"), KEY, clock)
    with pytest.raises(VerificationFailed, match="another key"):
        LedgerStore.open(path, signing_key("beta"), clock)


def test_a_file_that_is_no_ledger_is_refused(path: Path, clock: Clock) -> None:
    path.write_bytes(b"not a database at all" * 100)
    assert refused(lambda: LedgerStore.open(path, KEY, clock)).code is Code.LEDGER_STOPPED
    path.unlink()
    sqlite3.connect(path).execute("CREATE TABLE t (x)").close()
    with pytest.raises(VerificationFailed):
        LedgerStore.open(path, KEY, clock)


# crashes


class Killed(BaseException):
    """The process ends here."""


def copied(path: Path, to: Path) -> Path:
    """The database file and its journal as they stand: what a killed process leaves behind."""
    to.mkdir()
    for name in (path.name, path.name + "-wal"):
        if (path.parent / name).exists():
            shutil.copy(path.parent / name, to / name)
    return to / path.name


def story() -> list[tuple[Body, bytes | None]]:
    return [
        (reserve("p", "als", SOON, rounds=2), None),
        (payment(), PAYLOAD),
        (payment(round_=1), PAYLOAD),
        (Lost(plan=P, round=1, attempt=0), None),
        (Released(plan=P, release=digest_of("r")), None),
        (Paused(by=BY), None),
        (Resumed(by=BY), None),
    ]


def test_a_crash_at_any_step_loses_the_append_or_keeps_it_whole(
    path: Path, tmp_path: Path, clock: Clock
) -> None:
    stops: list[tuple[str, Path]] = []
    telling = [False]

    def reached(step: str) -> None:
        if telling[0]:
            stops.append((step, copied(path, tmp_path / f"stop {len(stops)}")))

    store = ready(path, clock, reached)
    states = {store.size: store.state}
    telling[0] = True
    for body, outbox in story():
        store.append(body, outbox=outbox)
        states[store.size] = store.state
    store.close()
    assert len(stops) == 2 * len(story())
    first = min(states)
    for number, (step, copy) in enumerate(stops):
        again = LedgerStore.open(copy, KEY, clock)
        durable = step.endswith("durable")
        assert again.size == first + number // 2 + durable
        assert again.state == states[again.size]
        body, outbox = story()[number // 2]
        if durable and outbox is not None:
            assert again.outbox(P, body.round, 0) == outbox  # type: ignore[union-attr]
        if not durable:
            again.append(body, outbox=outbox)
            assert again.state == states[again.size]
        again.close()


def test_a_step_that_dies_inside_the_transaction_writes_nothing(path: Path, clock: Clock) -> None:
    deadly: list[str] = []

    def reached(step: str) -> None:
        if step in deadly:
            raise Killed

    store = ready(path, clock, reached)
    deadly.append("reserve written")
    size = store.size
    with pytest.raises(Killed):
        store.append(reserve("p", "als", SOON))
    assert (store.size, store.state.spent) == (size, Rho.ZERO)
    deadly.clear()
    store.append(reserve("p", "als", SOON))
    deadly.append("commit durable")
    with pytest.raises(Killed):
        store.append(payment(), outbox=PAYLOAD)
    assert (store.state.total_charged, store.outbox(P, 0, 0)) == (COST, PAYLOAD)
    store.verify()
    store.close()


def test_a_full_disk_stops_the_ledger_and_leaves_it_whole(
    store: LedgerStore, path: Path, clock: Clock
) -> None:
    store.append(reserve("p", "als", SOON))
    state = store.state
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 1}")
    large = b"x" * 200_000
    body = payment(data=large)
    answer = refused(lambda: store.append(body, outbox=large))
    assert (answer.code, store.state) == (Code.LEDGER_STOPPED, state)
    assert store.outbox(P, 0, 0) is None
    store.verify()
    store._db.execute("PRAGMA max_page_count = 1000000")
    store.append(body, outbox=large)
    assert store.outbox(P, 0, 0) == large


def test_a_closed_database_is_a_stopped_ledger(store: LedgerStore) -> None:
    state = store.state
    store.close()
    assert refused(lambda: store.append(Paused(by=BY))).code is Code.LEDGER_STOPPED
    assert refused(store.entries).code is Code.LEDGER_STOPPED
    assert store.state == state


def test_a_second_writer_stops_the_first(store: LedgerStore, path: Path, clock: Clock) -> None:
    other = LedgerStore.open(path, KEY, clock)
    other.append(reserve("p", "als", SOON))
    answer = refused(lambda: store.append(reserve("q", "als", SOON)))
    assert answer.code is Code.LEDGER_STOPPED
    store.verify()
    store.append(reserve("q", "als", SOON))
    assert store.state.spent == COST * 2
    other.close()


def test_a_clock_set_back_stops_the_ledger_until_it_catches_up(
    store: LedgerStore, clock: Clock
) -> None:
    clock.now = START + timedelta(hours=1)
    store.append(Paused(by=BY))
    clock.now -= timedelta(seconds=2)
    store.append(Resumed(by=BY))
    assert store.state.at == "2026-01-01T01:00:00Z"
    clock.now = START
    answer = refused(lambda: store.append(Paused(by=BY)))
    assert answer.code is Code.LEDGER_STOPPED
    clock.now = START + timedelta(hours=1)
    store.append(Paused(by=BY))


def test_many_threads_cannot_overspend(store: LedgerStore) -> None:
    outcomes: list[str] = []

    def ask(number: int) -> None:
        plan = f"plan {number}"
        try:
            store.append(reserve(plan, "als", SOON))
            store.append(payment(digest_of(plan)), outbox=PAYLOAD)
            outcomes.append("charged")
        except Refused as refusal:
            outcomes.append(refusal.code.value)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (
        sorted(outcomes)
        == ["budget_exceeded"] * 0 + ["charged"] * 10 + ["study_budget_exceeded"] * 6
    )
    assert (store.state.total_charged, store.state.left) == (COST * 10, Rho.ZERO)
    store.verify()


def waiting_for(path: Path, clock: Clock, what: str, bodies: list[Body]) -> list[str]:
    """Append `bodies` from a thread each, all while another append is held up as `what` says."""
    held, go, outcomes = threading.Event(), threading.Event(), dict[int, str]()

    def reached(step: str) -> None:
        if step == "paused written" and not held.is_set():
            held.set()
            go.wait(30)
        if step == what:
            raise sqlite3.OperationalError("disk full")

    store = ready(path, clock, reached)

    def append(number: int, body: Body) -> None:
        try:
            outcomes[number] = f"entry {store.append(body).seq}"
        except Refused as refusal:
            outcomes[number] = refusal.code.value

    threads = [threading.Thread(target=append, args=(-1, Paused(by=BY)))]
    threads[0].start()
    assert held.wait(30)
    for number, body in enumerate(bodies):
        threads.append(threading.Thread(target=append, args=(number, body)))
        threads[-1].start()
        while len(store._waiting) <= number:
            time.sleep(0.001)
    go.set()
    for thread in threads:
        thread.join(30)
    store.close()
    return [outcomes[number] for number in range(len(bodies))]


def test_appends_that_wait_together_become_durable_together(path: Path, clock: Clock) -> None:
    bodies: list[Body] = [Resumed(by=BY), reserve("p", "als", SOON), reserve("q", "none", SOON)]
    size = len(opening_bodies(COST * 10, {"als": COST * 10})) + 1
    outcomes = waiting_for(path, clock, "", [*bodies, reserve("r", "als", SOON)])
    assert outcomes == [
        f"entry {size + 1}",
        f"entry {size + 2}",
        "not_approved",
        f"entry {size + 3}",
    ]
    again = LedgerStore.open(path, KEY, clock)
    assert again.size == size + 4
    assert again.state.spent == COST * 2
    again.close()


def test_a_disk_that_fails_refuses_all_that_wait_together(path: Path, clock: Clock) -> None:
    bodies: list[Body] = [Resumed(by=BY), reserve("p", "als", SOON), Paused(by=BY)]
    assert waiting_for(path, clock, "reserve written", bodies) == ["ledger_stopped"] * 3
    again = LedgerStore.open(path, KEY, clock)
    assert (again.state.paused, again.state.spent) == (True, Rho.ZERO)
    again.close()


# a file that was changed


def edited(path: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(path) as db:
        db.execute(statement, values)
    db.close()


def opened_where(path: Path, clock: Clock) -> str:
    with pytest.raises(VerificationFailed) as caught:
        LedgerStore.open(path, KEY, clock)
    return caught.value.where


def test_an_edited_file_does_not_open_and_names_the_entry(path: Path, clock: Clock) -> None:
    store = ready(path, clock)
    lines = store.entries()
    store.close()
    pristine = path.read_bytes()
    for seq, line in enumerate(lines):
        other = line.replace(b"steward", b"stewerd")
        if other != line:
            edited(path, "UPDATE entries SET data = ? WHERE seq = ?", other, seq)
            assert opened_where(path, clock) == f"entry {seq}"
            path.write_bytes(pristine)
    for seq in range(1, len(lines)):
        edited(path, "DELETE FROM entries WHERE seq = ?", seq)
        assert opened_where(path, clock) == f"entry {seq}"
        path.write_bytes(pristine)
    edited(path, "INSERT INTO entries VALUES (?, ?, NULL)", len(lines), lines[-1])
    assert opened_where(path, clock) == f"entry {len(lines)}"
    path.write_bytes(pristine)
    for fewer in range(1, len(lines)):
        edited(path, "DELETE FROM entries WHERE seq >= ?", fewer)
        assert opened_where(path, clock) == f"entry {fewer}"
        path.write_bytes(pristine)


def test_an_edited_head_does_not_open(path: Path, clock: Clock) -> None:
    store = ready(path, clock)
    size = store.size
    store.close()
    pristine = path.read_bytes()
    with sqlite3.connect(path) as db:
        heads = db.execute("SELECT seq, head FROM entries WHERE head IS NOT NULL").fetchall()
    db.close()
    [(newest, head)] = heads
    assert newest == size - 1
    for other in (
        bytes(len(head)),
        b"",
        7,
        "text",
        bytes(32) + head[32:],
        head[:32],
        head[:32] + bytes(8),
        *(head[:at] + bytes([head[at] ^ 1]) + head[at + 1 :] for at in range(len(head))),
    ):
        edited(path, "UPDATE entries SET head = ? WHERE head IS NOT NULL", other)
        assert opened_where(path, clock) == "head"
        path.write_bytes(pristine)
    edited(path, "UPDATE entries SET head = NULL")
    assert opened_where(path, clock) == f"entry {size}"
    path.write_bytes(pristine)
    edited(path, "DELETE FROM entries WHERE seq = ?", newest)
    edited(path, "UPDATE entries SET head = ? WHERE seq = ?", head, newest - 1)
    assert opened_where(path, clock) == "head"


def test_a_restored_backup_opens_but_is_behind_what_a_peer_holds(
    path: Path, tmp_path: Path, clock: Clock
) -> None:
    """The file alone cannot show it: that is what witnesses are for."""
    store = ready(path, clock)
    backup = copied(path, tmp_path / "backup")
    store.append(reserve("p", "als", SOON))
    store.append(payment(), outbox=PAYLOAD)
    peer = LedgerStore.create(
        tmp_path / "beta.sqlite", signing_key("beta"), clock, node="beta", network=NETWORK,
        delta=Fraction(1, 10**6), steward=founder("beta").public,
    )  # fmt: skip
    peer.book.keep({"alpha": (store.checkpoint(), KEY.public)})
    store.close()
    restored = LedgerStore.open(backup, KEY, clock)
    held = open_checkpoint(peer.book.held("alpha") or "", KEY.public)
    assert held.size > restored.size
    with pytest.raises(BadInput):
        restored.root_at(held.size)
    # and should it spend the same budget again, the peer sees two histories of one size
    restored.append(reserve("other", "als", SOON))
    restored.append(Paused(by=BY))
    with pytest.raises(VerificationFailed, match="two ledgers"):
        peer.book.keep({"alpha": (restored.checkpoint(), KEY.public)})
    restored.close()
    peer.close()


# witnesses


@pytest.fixture
def beta(tmp_path: Path, clock: Clock) -> Iterator[LedgerStore]:
    made = LedgerStore.create(
        tmp_path / "beta.sqlite", signing_key("beta"), clock, node="beta", network=NETWORK,
        delta=Fraction(1, 10**6), steward=founder("beta").public,
    )  # fmt: skip
    yield made
    made.close()


def test_a_peer_keeps_the_newest_checkpoint(store: LedgerStore, beta: LedgerStore) -> None:
    assert beta.book.held("alpha") is None
    old = store.checkpoint()
    beta.book.keep({"alpha": (old, KEY.public)})
    store.append(Paused(by=BY))
    beta.book.keep({"alpha": (store.checkpoint(), KEY.public)})
    beta.book.keep({"alpha": (old, KEY.public)})  # late, not wrong
    assert beta.book.held("alpha") == store.checkpoint()
    for note, key, name in (
        (store.checkpoint(), signing_key("beta").public, "alpha"),
        (store.checkpoint(), KEY.public, "gamma"),
        ("nothing", KEY.public, "alpha"),
    ):
        with pytest.raises(VerificationFailed):
            beta.book.keep({name: (note, key)})


def test_a_witness_cosigns_only_what_extends_what_it_cosigned(
    store: LedgerStore, beta: LedgerStore, clock: Clock
) -> None:
    now = int(clock.now.timestamp())

    def cosign(note: str, since: int = 0, proof: tuple[bytes, ...] = ()) -> Cosigned:
        growth = Growth(checkpoint=note, since=since, hashes=tuple(each.hex() for each in proof))
        return beta.book.cosign("alpha", growth, KEY.public, now)

    first = cosign(store.checkpoint())
    old = open_checkpoint(first.checkpoint, KEY.public)
    store.append(Paused(by=BY))
    proof = store.consistency_proof(old.size, store.size)
    for since, hashes in ((0, ()), (old.size, ()), (old.size - 1, proof)):
        with pytest.raises(VerificationFailed):
            cosign(store.checkpoint(), since, hashes)
    second = cosign(store.checkpoint(), old.size, proof)
    new = open_checkpoint(second.checkpoint, KEY.public)
    name = node_origin(NETWORK, "beta")
    at = check_cosignature(new, second.cosignature, name, signing_key("beta").public)
    assert at == now
    assert beta.book.cosigned("alpha") == second == cosign(store.checkpoint())
    with pytest.raises(VerificationFailed, match="smaller"):
        cosign(first.checkpoint)
    forged = Tree([sha256_hex(bytes([i])).encode()[:32] for i in range(new.size + 1)])
    fork = sign_checkpoint(Checkpoint(new.origin, forged.size, forged.root()), KEY)
    with pytest.raises(VerificationFailed, match="unproven"):
        cosign(fork, new.size, forged.consistency_proof(new.size, forged.size))
    same = sign_checkpoint(Checkpoint(new.origin, new.size, forged.root(new.size)), KEY)
    with pytest.raises(VerificationFailed, match="other"):
        cosign(same)
    assert beta.book.cosigned("alpha") == second
    beta.book.forget("alpha")
    assert cosign(fork).checkpoint == fork, "as if it were the first"
