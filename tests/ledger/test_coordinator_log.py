"""The coordinator's own log: what it signed stands there, and nothing is taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.log import CoordinatorLog
from coordinator.store.log import log_statement
from coordinator.store.store import Store
from privacy.checkpoint import log_origin, open_checkpoint
from privacy.contract.canonical import sha256_hex
from privacy.contract.signing import SigningKey
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.log import LogEntry, Logged, LogProof
from privacy.merkle import verify_consistency

KEY = SigningKey(b"k" * 32)
NETWORK = "test"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(f"sqlite:///{tmp_path}/store.sqlite")
    yield made
    made.close()


def write(store: Store, *names: str) -> None:
    for name in names:
        with store.database.write() as session:
            log_statement(session, Logged.PLAN, sha256_hex(name.encode()), name)


def test_what_is_logged_can_be_proven_and_nothing_else(store: Store) -> None:
    log = CoordinatorLog(store.log, KEY, NETWORK)
    names = [f"plan {number}" for number in range(9)]
    write(store, *names)
    for number, name in enumerate(names):
        proof = log.prove(Logged.PLAN, sha256_hex(name.encode()))
        head = proof.check_of(Logged.PLAN, sha256_hex(name.encode()), KEY.public, NETWORK)
        assert (proof.entry.seq, head.size) == (number, 9)
        assert LogProof.from_json(proof.to_json()) == proof
    with pytest.raises(Refused) as refused:
        log.prove(Logged.RELEASE, sha256_hex(b"plan 1"))
    assert refused.value.code is Code.NOT_FOUND


def test_a_proof_of_something_else_does_not_hold(store: Store) -> None:
    log = CoordinatorLog(store.log, KEY, NETWORK)
    write(store, "one", "two", "three")
    proof = log.prove(Logged.PLAN, sha256_hex(b"two"))
    other = LogEntry(seq=1, kind=Logged.PLAN, statement=sha256_hex(b"forged"), subject="two")
    forged = proof.model_copy(update={"entry": other})
    moved = proof.model_copy(update={"entry": proof.entry.model_copy(update={"seq": 0})})
    short = proof.model_copy(update={"hashes": proof.hashes[:-1]})
    for wrong in (forged, moved, short):
        with pytest.raises(VerificationFailed):
            wrong.check(KEY.public, NETWORK)
    with pytest.raises(VerificationFailed, match="another statement"):
        proof.check_of(Logged.PLAN, sha256_hex(b"one"), KEY.public, NETWORK)
    for key, network in ((SigningKey(b"x" * 32).public, NETWORK), (KEY.public, "other")):
        with pytest.raises(VerificationFailed):
            proof.check(key, network)


def test_a_head_shows_that_it_grew_from_every_older_one(store: Store) -> None:
    log = CoordinatorLog(store.log, KEY, NETWORK)
    heads = [open_checkpoint(log.checkpoint(), KEY.public)]
    for number in range(6):
        write(store, f"{number}")
        heads.append(open_checkpoint(log.checkpoint(), KEY.public, log_origin(NETWORK)))
    for old in heads:
        text, hashes = log.consistency(old.size)
        newest = open_checkpoint(text, KEY.public)
        path = [bytes.fromhex(each) for each in hashes]
        verify_consistency(old.size, old.root, newest.size, newest.root, path)
    with pytest.raises(BadInput):
        log.consistency(7)


def test_a_line_that_was_changed_shows_in_the_next_head(store: Store) -> None:
    write(store, "one", "two")
    before = open_checkpoint(CoordinatorLog(store.log, KEY, NETWORK).checkpoint(), KEY.public)
    changed = LogEntry(seq=0, kind=Logged.PLAN, statement=sha256_hex(b"other"), subject="one")
    with store.database.write() as session:
        session.connection().exec_driver_sql(
            "UPDATE log SET data = ? WHERE seq = 0", (changed.data,)
        )
    write(store, "three")
    text, hashes = CoordinatorLog(store.log, KEY, NETWORK).consistency(2)
    after = open_checkpoint(text, KEY.public)
    path = [bytes.fromhex(each) for each in hashes]
    with pytest.raises(VerificationFailed):
        verify_consistency(2, before.root, after.size, after.root, path)


def test_two_processes_sign_the_same_head(store: Store) -> None:
    one, other = (CoordinatorLog(store.log, KEY, NETWORK) for _ in range(2))
    write(store, "one")
    assert one.checkpoint() == other.checkpoint()
    write(store, *[f"{number}" for number in range(20)])
    assert other.checkpoint() == one.checkpoint()
    assert one.size() == 21
    assert [LogEntry.from_bytes(line).seq for line in store.log.lines(5, 8)] == [5, 6, 7]


def test_lines_have_one_form() -> None:
    entry = LogEntry(seq=1, kind=Logged.STUDY, statement="0" * 64, subject="als")
    assert LogEntry.from_bytes(entry.data) == entry
    for wrong in (entry.data + b" ", b"{}", entry.data.replace(b"study", b"stud1"), b"x" * 9000):
        with pytest.raises(BadInput):
            LogEntry.from_bytes(wrong)


def test_all_that_is_stored_is_logged_once(store: Store) -> None:
    """Every kind of statement has a place that writes it; see what the network's tests do."""
    write(store, "one")
    first = store.log.find(Logged.PLAN, sha256_hex(b"one"))
    write(store, "one")
    assert store.log.find(Logged.PLAN, sha256_hex(b"one")) == first
    assert len(list(store.log.lines())) == 2
