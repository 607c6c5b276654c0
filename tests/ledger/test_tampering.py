"""A ledger of 500 entries: every change is found, and nothing honest is taken for one."""

from __future__ import annotations

import random
import shutil
import sqlite3
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import pytest

from coordinator.audit.verify import verify_bundle
from node import ledger_store
from node.ledger_file import connect
from node.ledger_store import LedgerStore
from privacy.checkpoint import Checkpoint, open_checkpoint
from privacy.errors import Refused, VerificationFailed
from privacy.ledger.chain import Anchor, check_anchors, check_line, check_lines, verify_entries
from privacy.ledger.entry import Commit, Paused, Resumed
from privacy.merkle import Tree
from privacy.witness import Growth, Seen, compare
from tests.support.bundle_factory import NODES, Network, resign
from tests.support.ledger_factory import (
    BY,
    COST,
    NETWORK,
    MemoryLedger,
    founder,
    opening_bodies,
    random_body,
    signing_key,
)
from tests.support.tampering import ENTRIES, NODE, busy_network, edits, flipped, random_edit

KEY = signing_key("alpha")


@pytest.fixture(scope="module")
def network() -> Network:
    return busy_network()


@pytest.fixture(scope="module")
def ledger(network: Network) -> MemoryLedger:
    assert len(network.ledgers[NODE].entries) == ENTRIES
    return network.ledgers[NODE]


@pytest.fixture(scope="module")
def original(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return network.write(tmp_path_factory.mktemp("tampering") / "bundle")


def missed(line: bytes, seq: int, head: Checkpoint, proof: tuple[bytes, ...]) -> bool:
    """Whether the check of one entry against the signed head lets it pass, or names another."""
    try:
        check_line(line, seq, head, proof)
    except VerificationFailed as error:
        return error.where != f"entry {seq}"
    return True


def test_a_bit_of_every_byte_of_every_entry_is_found(ledger: MemoryLedger) -> None:
    head, tried = ledger.head(), 0
    for seq, line in enumerate(ledger.lines):
        proof = ledger.tree.inclusion_proof(seq)
        assert missed(line, seq, head, proof), "as it was written it passes"
        for at in range(len(line)):
            assert not missed(flipped(line, at), seq, head, proof), (seq, at)
        tried += len(line)
    assert tried > 100 * ENTRIES


def test_every_entry_in_anothers_place_is_found(ledger: MemoryLedger) -> None:
    """Every swap of any two."""
    head, lines = ledger.head(), ledger.lines
    proofs = [ledger.tree.inclusion_proof(seq) for seq in range(ENTRIES)]
    for one, other in combinations(range(ENTRIES), 2):
        if (one + other) % 7 == 0 or other == one + 1:  # the other proofs are alike in form
            assert not missed(lines[other], one, head, proofs[one])
            assert not missed(lines[one], other, head, proofs[other])


def test_every_drop_duplicate_swap_and_rollback_is_found(ledger: MemoryLedger) -> None:
    head, count = ledger.head(), 0
    check_lines(ledger.lines, head)
    for name, changed in edits(ledger.lines):
        with pytest.raises(VerificationFailed):
            check_lines(changed, head)
        count += 1
        assert name
    assert count == 4 * ENTRIES - 1


def test_every_older_signed_head_is_behind_what_a_witness_holds(ledger: MemoryLedger) -> None:
    """A rollback with the head of its time: whole in itself, and shorter than what was seen."""
    seen = Anchor(ENTRIES, ledger.tree.root(), "a witness")
    for size in range(ENTRIES):
        tree = Tree(entry.leaf for entry in ledger.entries[:size])
        assert tree.root() == ledger.tree.root(size)
        with pytest.raises(VerificationFailed, match="missing") as failed:
            check_anchors(tree, [Anchor(size, tree.root(), "the node"), seen])
        assert failed.value.where == f"entry {size}"
        shown = ledger.head(size)
        assert compare(ledger.head(), shown, Growth(checkpoint="")) is Seen.SMALLER


def through_the_verifier(original: Path, folder: Path, count: int) -> None:
    """As many changes, each by somebody who brings the manifest into line and signs it again."""
    rng, place = random.Random(2), Path("nodes") / NODE / "entries.jsonl"
    lines = (original / place).read_bytes().splitlines()
    for number in range(count):
        name, changed = random_edit(rng, lines)
        copy = folder / f"{number}"
        shutil.copytree(original, copy)
        (copy / place).write_bytes(b"".join(line + b"\n" for line in changed))
        if number % 2:
            resign(copy)
        with pytest.raises(VerificationFailed) as failed:
            verify_bundle(copy)
        assert failed.value.where.startswith(f"{place.as_posix()}: entry"), (name, failed.value)
        shutil.rmtree(copy)


def test_a_sample_through_the_whole_verifier_is_found(original: Path, tmp_path: Path) -> None:
    assert verify_bundle(original).nodes[0].entries == ENTRIES
    through_the_verifier(original, tmp_path, 12)


@pytest.mark.statistical
def test_two_hundred_through_the_whole_verifier_are_found(original: Path, tmp_path: Path) -> None:
    through_the_verifier(original, tmp_path, 200)


# nothing honest is taken for a change


class Killed(BaseException):
    pass


def _without_waiting(path: Path) -> sqlite3.Connection:
    db = connect(path)
    db.execute("PRAGMA synchronous = OFF")
    return db


class Crashing:
    """Kills at random named steps of an append."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.armed = rng, False

    def __call__(self, _step: str) -> None:
        if self.armed and self.rng.random() < 0.15:
            raise Killed


def honest_history(seed: int, folder: Path, steps: int) -> int:
    """A node's ledger through crashes, watched all the while; returns how often it crashed."""
    rng, crashes = random.Random(seed), 0
    memory = MemoryLedger("alpha")  # its clock, and what may come next
    crashing, path = Crashing(rng), folder / f"{seed}.sqlite"
    store = LedgerStore.create(
        path, KEY, lambda: memory.now, node="alpha", network=NETWORK,
        delta=Fraction(1, 10**6), steward=founder("alpha").public, reached=crashing,
    )  # fmt: skip
    for body in opening_bodies(COST * 40, {"als": COST * 25, "ms": COST * 20}):
        store.append(body)
    crashing.armed = True
    held, anchors = None, list[Anchor]()
    for _ in range(steps):
        try:
            _append(rng, memory, store)
        except Killed:
            crashes += 1
            store.close()
            store = LedgerStore.open(path, KEY, lambda: memory.now, reached=crashing)
        if rng.random() < 0.5:
            held = _seen(store, held)
            anchors.append(Anchor(held.size, held.root, "a witness"))
    head = open_checkpoint(store.checkpoint(), KEY.public)
    replayed = verify_entries(store.entries(), head, anchors)
    assert replayed.state == store.state
    store.close()
    return crashes


def _append(rng: random.Random, memory: MemoryLedger, store: LedgerStore) -> None:
    memory.state = store.state
    try:
        if store.state.paused:
            store.append(Resumed(by=BY))
        body = random_body(rng, memory)
        store.append(Paused(by=BY) if isinstance(body, Commit) else body)
    except Refused:
        return


def _seen(store: LedgerStore, held: Checkpoint | None) -> Checkpoint:
    """What a witness makes of the head that the ledger shows now."""
    note = store.checkpoint()
    new = open_checkpoint(note, KEY.public)
    since = 0 if held is None else held.size
    proof = store.consistency_proof(since, new.size)
    growth = Growth(checkpoint=note, since=since, hashes=tuple(each.hex() for each in proof))
    assert compare(held, new, growth) in (Seen.GROWN, Seen.SAME)
    return new


def test_two_hundred_honest_histories_with_crashes_raise_no_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is killed, not the machine: what was handed to the system need not be on disk."""
    monkeypatch.setattr(ledger_store, "connect", _without_waiting)
    assert sum(honest_history(seed, tmp_path, 8) for seed in range(200)) > 100


def honest_network(seed: int, folder: Path) -> None:
    """Questions that are answered, left under way or ended at random places, and witnesses."""
    rng, network = random.Random(seed), Network()
    for number in range(rng.randrange(1, 4)):
        network.ask("0.1", finish=rng.random() < 0.7)
        for node in NODES:
            if rng.random() < 0.5:
                network.witness(rng.choice([by for by in NODES if by != node]), node)
            if rng.random() < 0.3:
                network.hold(rng.choice([by for by in NODES if by != node]), node)
        if rng.random() < 0.5:
            network.witness_log(rng.choice(NODES))
        network.tick(rng.randrange(1, 5000))
        assert number < 4
    report = verify_bundle(network.write(folder / f"{seed}"))
    assert not any(node.breaks for node in report.nodes)


def test_honest_networks_verify(tmp_path: Path) -> None:
    for seed in range(8):
        honest_network(seed, tmp_path)


@pytest.mark.statistical
def test_two_hundred_honest_networks_verify(tmp_path: Path) -> None:
    for seed in range(200):
        honest_network(seed, tmp_path)
