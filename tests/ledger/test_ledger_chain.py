"""Every way to change a ledger behind its signed head is found, and the entry is named."""

from __future__ import annotations

from datetime import timedelta

import pytest

from privacy.checkpoint import Checkpoint
from privacy.contract.time import parse_instant
from privacy.errors import VerificationFailed
from privacy.ledger.chain import Anchor, check_anchors, replay, verify_entries
from privacy.ledger.entry import Entry, Released
from privacy.ledger.state import LedgerState
from privacy.merkle import Tree
from tests.support.ledger_factory import (
    COST,
    SMALL,
    MemoryLedger,
    commit,
    digest_of,
    fresh_ledger,
    random_ledger,
    reserve,
)


def small_ledger() -> MemoryLedger:
    """Eleven entries with two questions."""
    book = fresh_ledger("alpha", COST * 10, {"als": COST * 10})
    for plan in ("p", "q"):
        book.append(reserve(plan, "als", book.now + timedelta(minutes=10)))
        book.append(commit(digest_of(plan), 0, 0, b"x" * 16, SMALL))
        book.now += timedelta(seconds=5)
    book.append(Released(plan=digest_of("p"), release=digest_of("release")))
    return book


def named(lines: list[bytes], head: Checkpoint, *anchors: Anchor) -> str:
    """The entry that verification names; fails if it passes."""
    with pytest.raises(VerificationFailed) as caught:
        verify_entries(lines, head, anchors)
    return caught.value.where


def relinked(lines: list[bytes], start: int) -> list[bytes]:
    """The lines with every link from `start` on recomputed, as a forger would."""
    entries = [Entry.from_bytes(line) for line in lines]
    for seq in range(start, len(entries)):
        prev = entries[seq - 1].leaf.hex() if seq else "0" * 64
        body = entries[seq].body
        entries[seq] = Entry(seq=seq, prev=prev, at=entries[seq].at, body=body)
    return [entry.data for entry in entries]


def test_honest_histories_raise_no_alarm() -> None:
    for seed in range(100):
        book = random_ledger(seed)
        middle = book.state.size // 2
        anchors = [Anchor(size, book.tree.root(size), "peer") for size in (0, 1, middle)]
        result = verify_entries(book.lines, book.head(), anchors)
        assert result.state == book.state
        assert result.tree.root() == book.tree.root()


def test_every_flipped_bit_is_found_and_its_entry_named() -> None:
    book = small_ledger()
    head, lines = book.head(), book.lines
    tried = 0
    for seq, line in enumerate(lines):
        for at in range(len(line)):
            bit = 1 << (at * 5 + seq) % 8
            changed = bytes([*line[:at], line[at] ^ bit, *line[at + 1 :]])
            assert named([*lines[:seq], changed, *lines[seq + 1 :]], head) == f"entry {seq}"
            tried += 1
    assert tried > 4000


@pytest.mark.statistical
def test_every_bit_of_every_byte_is_found() -> None:
    book = small_ledger()
    head, lines = book.head(), book.lines
    for seq, line in enumerate(lines):
        for at in range(len(line)):
            for bit in range(8):
                changed = bytes([*line[:at], line[at] ^ 1 << bit, *line[at + 1 :]])
                assert named([*lines[:seq], changed, *lines[seq + 1 :]], head) == f"entry {seq}"


@pytest.mark.parametrize("seed", range(6))
def test_every_drop_swap_duplicate_and_truncation_is_found_and_named(seed: int) -> None:
    book = random_ledger(seed, 20)
    head, lines, size = book.head(), book.lines, book.state.size
    for i in range(size):
        assert named(lines[:i] + lines[i + 1 :], head) == f"entry {i}"
        assert named(lines[: i + 1] + lines[i:], head) == f"entry {i + 1}"
        assert named(lines[:i], head) == f"entry {i}"
        for j in range(i + 1, size):
            swapped = list(lines)
            swapped[i], swapped[j] = lines[j], lines[i]
            assert named(swapped, head) == f"entry {i}"
    assert named(list(reversed(lines)), head) == "entry 0"
    assert named([], head) == "entry 0"


def test_every_legal_looking_edit_is_named() -> None:
    """Edits that parse, keep the form and break no rule: only the next link gives them away."""
    book = small_ledger()
    head, lines = book.head(), book.lines
    edits = [(seq, line.replace(b'"by":"steward"', b'"by":"stewerd"')) for seq, line in
             enumerate(lines)]  # fmt: skip
    edits += [(seq, line.replace(b"by treatment", b"by  condition")) for seq, line in
              enumerate(lines)]  # fmt: skip
    edits += [(len(lines) - 1, lines[-1].replace(digest_of("release").encode(), b"0" * 64))]
    changed = [(seq, line) for seq, line in edits if line != lines[seq]]
    assert len(changed) >= 7
    for seq, line in changed:
        assert named([*lines[:seq], line, *lines[seq + 1 :]], head) == f"entry {seq}"


def test_a_changed_link_is_named_rather_than_its_neighbour() -> None:
    book = small_ledger()
    head, lines = book.head(), book.lines
    for seq in range(len(lines)):
        prev = Entry.from_bytes(lines[seq]).prev.encode()
        line = lines[seq].replace(prev, b"7" * 64)
        assert named([*lines[:seq], line, *lines[seq + 1 :]], head) == f"entry {seq}"


def test_entries_beyond_the_signed_head_are_found() -> None:
    book = small_ledger()
    for size in range(len(book.entries)):
        assert named(book.lines, book.head(size)) == f"entry {size}"


def test_a_rewritten_history_is_found_by_any_checkpoint_held_elsewhere() -> None:
    """The node itself recomputes every link and signs again; one witness is enough."""
    book = small_ledger()
    for seq in range(1, len(book.entries)):
        if b'"by":"steward"' not in book.lines[seq]:
            continue
        edited = list(book.lines)
        edited[seq] = edited[seq].replace(b'"by":"steward"', b'"by":"somebody"')
        forged = relinked(edited, seq)
        tree = replay(forged).tree
        own = Checkpoint(book.head().origin, tree.size, tree.root())
        verify_entries(forged, own)  # alone, it looks honest
        for size in range(seq + 1, len(book.entries) + 1):
            witness = [Anchor(s, book.tree.root(s), "beta") for s in (seq, size)]
            assert named(forged, own, *witness) == f"entry {size - 1}"
        exact = [Anchor(s, book.tree.root(s), "beta") for s in range(len(book.entries) + 1)]
        assert named(forged, own, *exact) == f"entry {seq}"


def test_a_rolled_back_ledger_is_found_by_a_witness() -> None:
    """A restored backup: every signature in it is genuine."""
    book = small_ledger()
    for size in range(1, len(book.entries)):
        older = book.lines[:size]
        verify_entries(older, book.head(size))
        witness = Anchor(size + 1, book.tree.root(size + 1), "beta")
        assert named(older, book.head(size), witness) == f"entry {size}"


def test_a_fork_is_found_at_its_first_entry() -> None:
    book = small_ledger()
    fork = MemoryLedger(book.node, book.now, LedgerState())
    for entry in book.entries[:8]:
        fork.now = parse_instant(entry.at)
        fork.append(entry.body)
    fork.now = book.now + timedelta(seconds=1)
    for entry in book.entries[8:]:
        fork.append(entry.body)
    every = [Anchor(s, book.tree.root(s), "beta") for s in range(len(book.entries) + 1)]
    verify_entries(fork.lines, fork.head(), every[:9])
    assert named(fork.lines, fork.head(), *every) == "entry 8"
    with pytest.raises(VerificationFailed, match="beta"):
        check_anchors(fork.tree, every)


def test_watchers_see_the_state_before_each_entry() -> None:
    book = small_ledger()
    seen: list[tuple[int, int]] = []
    replay(book.lines, watch=lambda entry, state: seen.append((entry.seq, state.size)))
    assert seen == [(i, i) for i in range(book.state.size)]


def test_another_empty_ledger_is_no_ledger() -> None:
    with pytest.raises(VerificationFailed):
        check_anchors(Tree(), [Anchor(0, bytes(32), "beta")])
