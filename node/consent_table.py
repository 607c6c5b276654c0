"""The salted tree over every word on consent, and its root once a month for the ledger.

What stands in the ledger is a date and a hash, on a public calendar: written for every month,
whether anything changed or not. Salts stay here, and with them what the hash was made of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import pyarrow as pa

from node.consent_history import WORD_COLUMNS, word_of
from node.consent_terms import known_terms
from node.layout import Cursor, offer
from node.records import Records
from privacy.consent_table import SALT_BYTES, ConsentOpening, OpenedRecord, leaf_of
from privacy.contract.canonical import canonical_bytes
from privacy.errors import BadInput
from privacy.merkle import Frontier, Tree
from privacy.randomness import Entropy

_CHUNK = 20_000  # words in one transaction: what somebody says meanwhile waits half a second
_Leaf = tuple[int, int | None, bytes, str | None, bytes]  # as `consent_leaves` keeps them


@dataclass
class _Growing:
    """The tree while leaves are added: up to which word, which of a steward's notes (`erasure`),
    and what is not written."""

    cursor: Cursor
    entropy: Entropy
    word: int
    erasure: int
    frontier: Frontier
    waiting: list[_Leaf] = field(default_factory=list)

    @classmethod
    def resume(cls, cursor: Cursor, entropy: Entropy) -> Self:
        """Where the last transaction left it."""
        found = cursor.execute("SELECT word, erasure, frontier FROM consent_growth").fetchone()
        if found is None:
            return cls(cursor, entropy, 0, 0, Frontier())
        return cls(cursor, entropy, int(found[0]), int(found[1]), Frontier.from_bytes(found[2]))

    def add(self, seq: int | None, record: dict[str, Any]) -> None:
        """Salt one record. Words are found again by number; a note is kept beside its leaf."""
        salt = self.entropy(SALT_BYTES)
        leaf = leaf_of(salt, record)
        note = canonical_bytes(record).decode() if seq is None else None
        self.waiting.append((self.frontier.size, seq, salt, note, leaf))
        self.frontier = self.frontier.append(leaf)

    def add_words(self) -> bool:
        """Add the next words; are there more?"""
        terms = known_terms(self.cursor)
        rows = self.cursor.execute(
            f"SELECT seq, {WORD_COLUMNS} FROM consent_changes WHERE seq > ? "  # noqa: S608
            f"ORDER BY seq LIMIT {_CHUNK}",
            [self.word],
        ).fetchall()
        for seq, *row in rows:
            self.add(int(seq), word_record(row, terms))
            self.word = int(seq)
        return len(rows) == _CHUNK

    def add_notes(self) -> None:
        rows = self.cursor.execute(
            "SELECT seq, 'erasure', erased_at, steward, reference FROM erasures WHERE seq > ? "
            "UNION ALL SELECT seq, 'new person', declared_at, steward, reference FROM new_people "
            "WHERE seq > ? ORDER BY seq",
            [self.erasure, self.erasure],
        ).fetchall()
        for seq, kind, at, by, reference in rows:
            self.add(None, {"kind": kind, "at": at, "by": by, "reference": reference})
            self.erasure = int(seq)

    def write(self) -> None:
        types = {
            "place": pa.int64(),
            "seq": pa.int64(),
            "salt": pa.binary(),
            "note": pa.string(),
            "leaf": pa.binary(),
        }
        rows = [dict(zip(types, row, strict=True)) for row in self.waiting]
        offer(self.cursor, "batch", pa.Table.from_pylist(rows, schema=pa.schema(types)))
        self.cursor.execute("INSERT INTO consent_leaves SELECT * FROM batch")
        self.cursor.unregister("batch")
        self.cursor.execute(
            "INSERT OR REPLACE INTO consent_growth VALUES (1, ?, ?, ?)",
            [self.word, self.erasure, self.frontier.to_bytes()],
        )
        self.waiting = []


def take_root(records: Records, node: str, network: str, epoch: str, entropy: Entropy) -> str:
    """The root (hexadecimal) of the table as it is now, dated `epoch`; the same when asked again.

    Leaves are added some thousands in a transaction; what stops in between goes on from there.
    """
    while True:
        with records.transaction() as cursor:
            known = _root(cursor, epoch)
            if known is not None:
                return known
            tree = _Growing.resume(cursor, entropy)
            if not tree.frontier.size:
                tree.add(None, {"kind": "table", "node": node, "network": network})
            if not tree.add_words():
                _date(tree, epoch)
            tree.write()


def _date(tree: _Growing, epoch: str) -> None:
    """Every word is in: what else there is to note, and the root."""
    tree.add_notes()
    tree.add(None, {"kind": "taken", "epoch": epoch})
    root = [epoch, tree.frontier.size, tree.frontier.root.hex()]
    tree.cursor.execute("INSERT INTO consent_roots VALUES (?, ?, ?)", root)


def _root(cursor: Cursor, epoch: str) -> str | None:
    found = cursor.execute("SELECT root FROM consent_roots WHERE epoch = ?", [epoch]).fetchone()
    return None if found is None else str(found[0])


def word_record(row: Any, terms: Any) -> dict[str, Any]:
    """A row of the history as it stands in the tree."""
    return {"kind": "word", **word_of(row, terms).to_json()}


def open_table(
    records: Records, node: str, network: str, epoch: str, member: str | None = None
) -> ConsentOpening:
    """What opens the root of `epoch`: the words of one member, or everything that is left.

    Raises BadInput if no root was taken then, or the member had no word in it.
    """
    with records.snapshot() as cursor:
        found = cursor.execute("SELECT size FROM consent_roots WHERE epoch = ?", [epoch]).fetchone()
        if found is None:
            raise BadInput(f"no root of {epoch}", instead="name a month that the ledger has")
        size = int(found[0])
        leaves = cursor.execute(
            "SELECT leaf FROM consent_leaves WHERE place < ? ORDER BY place", [size]
        ).fetchall()
        tree = Tree(bytes(leaf) for (leaf,) in leaves)
        records_ = tuple(_opened(cursor, size, member, tree))
    if member is not None and not records_:
        raise BadInput(f"no word of {member!r} in the table of {epoch}")
    every = () if member is not None else tuple(bytes(leaf) for (leaf,) in leaves)
    return ConsentOpening(node, network, epoch, size, records_, every)


def _opened(cursor: Cursor, size: int, member: str | None, tree: Tree) -> Iterator[OpenedRecord]:
    terms = known_terms(cursor)
    only = "" if member is None else "AND c.member = ?"
    rows = cursor.execute(
        f"SELECT l.place, l.salt, l.note, {WORD_COLUMNS} FROM consent_leaves AS l "  # noqa: S608
        f"LEFT JOIN consent_changes AS c ON l.seq = c.seq WHERE l.place < ? "
        f"AND l.salt IS NOT NULL {only} ORDER BY l.place",
        [size] if member is None else [size, member],
    ).fetchall()
    for place, salt, note, *row in rows:
        record = word_record(row, terms) if note is None else json.loads(note)
        proof = () if member is None else tree.inclusion_proof(place, size)
        yield OpenedRecord(int(place), bytes(salt), record, tuple(proof))
