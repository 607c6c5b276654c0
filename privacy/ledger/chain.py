"""Reading a ledger that somebody else kept: every entry, its place, its links and its meaning.

Three things bind an entry. The next entry names its hash; the signed checkpoint commits to all
of them; and a ledger's own rules say what may follow what. `replay` checks the first and the
third as it reads, `check_anchors` the second against everything that was ever signed or
witnessed about this ledger.

Guarantee: against one honest checkpoint of the whole ledger, no edit, deletion, insertion,
reordering, duplication or truncation passes. The error names the first bad entry: exactly,
where the links do not fit; where somebody recomputed the links, it names an entry that was
changed and the last size up to which the ledger is vouched for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from privacy.checkpoint import Checkpoint
from privacy.errors import BadInput, VerificationFailed
from privacy.ledger.entry import Entry
from privacy.ledger.fold import apply
from privacy.ledger.state import LedgerState
from privacy.merkle import Tree, leaf_hash, root_of, verify_inclusion

Watch = Callable[[Entry, LedgerState], None]


@dataclass(frozen=True)
class Anchor:
    """Somebody's word on the first `size` entries: their root. `by` says whose."""

    size: int
    root: bytes
    by: str


@dataclass(frozen=True)
class Replay:
    """A ledger that was read to its end: its balances, and its tree for roots and proofs."""

    state: LedgerState
    tree: Tree


def replay(
    lines: Iterable[bytes], *, head: Checkpoint | None = None, watch: Watch | None = None
) -> Replay:
    """Fold the entries, one canonical line each (without newline), in order.

    `watch` sees each entry with the state *before* it. `head` only helps to tell which of the
    last two entries was changed; `check_anchors` must follow.
    Raises VerificationFailed whose `where` is "entry N", N counted from 0.
    """
    state, tree = LedgerState(), Tree()
    stream = iter(lines)
    for line in stream:
        entry = entry_of(line, tree.size)
        if entry.prev != state.head:
            raise _broken_link(entry, tree, next(stream, None), head)
        after = apply(state, entry)
        if watch is not None:
            watch(entry, state)
        state = after
        tree.append(entry.leaf)
    return Replay(state, tree)


def check_anchors(tree: Tree, anchors: Iterable[Anchor]) -> None:
    """Compare the ledger with everything that was signed about it.

    Raises VerificationFailed naming the first entry that is missing or not what was signed.
    """
    vouched = 0
    for anchor in sorted(anchors, key=lambda anchor: anchor.size):
        if anchor.size > tree.size:
            raise VerificationFailed(
                f"missing: {anchor.by} holds a checkpoint of {anchor.size} entries",
                where=f"entry {tree.size}",
            )
        if tree.root(anchor.size) != anchor.root:
            raise _rewritten(anchor, vouched)
        vouched = anchor.size


def check_covered(tree: Tree, head: Checkpoint) -> None:
    """Raise VerificationFailed if entries follow the last one that the checkpoint covers."""
    if tree.size > head.size:
        raise VerificationFailed(
            f"not covered by the signed checkpoint of {head.size} entries",
            where=f"entry {head.size}",
        )


def verify_entries(
    lines: Iterable[bytes], head: Checkpoint, anchors: Iterable[Anchor] = ()
) -> Replay:
    """Replay a whole ledger and hold it against its signed head and every other anchor."""
    result = replay(lines, head=head)
    check_anchors(result.tree, [Anchor(head.size, head.root, "the node"), *anchors])
    check_covered(result.tree, head)
    return result


def entry_of(line: bytes, position: int) -> Entry:
    """The entry of one line, if it is numbered `position`; raises VerificationFailed."""
    where = f"entry {position}"
    try:
        entry = Entry.from_bytes(line)
    except BadInput as error:
        raise VerificationFailed(error.what, where=where) from None
    if entry.seq != position:
        raise VerificationFailed(f"numbered {entry.seq}: out of order or missing", where=where)
    return entry


def _broken_link(
    entry: Entry, tree: Tree, following: bytes | None, head: Checkpoint | None
) -> VerificationFailed:
    """`entry` does not name its predecessor's hash: which of the two was changed?"""
    position = tree.size
    if position > 0 and _vouched(entry, tree, following, head):
        return VerificationFailed(
            f"was changed: entry {position} names another predecessor",
            where=f"entry {position - 1}",
        )
    return VerificationFailed("does not name its predecessor's hash", where=f"entry {position}")


def _vouched(entry: Entry, tree: Tree, following: bytes | None, head: Checkpoint | None) -> bool:
    """Whether the entry after `entry`, or the checkpoint that ends with it, confirms its hash."""
    if following is not None:
        try:
            return entry_of(following, entry.seq + 1).prev == entry.leaf.hex()
        except VerificationFailed:
            return False
    if head is None or head.size != entry.seq + 1:
        return False
    before = tree.frontier(tree.size - 1)
    return before.append(bytes.fromhex(entry.prev)).append(entry.leaf).root == head.root


def _rewritten(anchor: Anchor, vouched: int) -> VerificationFailed:
    last = anchor.size - 1
    if last < 0:
        return VerificationFailed(f"{anchor.by} signed another empty ledger", where="entry 0")
    what = f"is not what stands in the checkpoint of {anchor.size} entries held by {anchor.by}"
    if vouched < last:
        what += f"; changed with its links recomputed, at the earliest from entry {vouched} on"
    return VerificationFailed(what, where=f"entry {last}")


def check_line(line: bytes, seq: int, head: Checkpoint, proof: Sequence[bytes]) -> None:
    """Check one entry alone against a signed head, with the proof that it stands there.

    Raises VerificationFailed naming the entry for any other bytes and any other place.
    """
    try:
        verify_inclusion(leaf_hash(line), seq, head.size, proof, head.root)
    except VerificationFailed as error:
        raise VerificationFailed(error.what, where=f"entry {seq}") from None


def check_lines(lines: Sequence[bytes], head: Checkpoint) -> None:
    """Check that exactly these entries, in this order, are what a signed head covers.

    Raises VerificationFailed; which entry it is, `replay` tells.
    """
    if len(lines) != head.size:
        raise VerificationFailed(f"{len(lines)} entries where {head.size} were signed")
    if root_of(map(leaf_hash, lines)) != head.root:
        raise VerificationFailed(f"are not the {head.size} entries that were signed")
