"""The mirror of every node's ledger, with its checkpoints and their witnesses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from sqlalchemy import and_, false, func, or_, select
from sqlalchemy.orm import Session

from coordinator.store.database import Database
from coordinator.store.facts import CheckpointFacts
from coordinator.store.tables import CheckpointRow, LedgerEntryRow
from privacy.contract.canonical import sha256_hex
from privacy.errors import VerificationFailed


class Ledgers:
    """Copies only: nothing here decides, and nothing stored is ever replaced."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def size(self, node: str) -> int:
        """How many entries are mirrored: the next sequence number to ask for."""
        newest = select(func.max(LedgerEntryRow.seq)).where(LedgerEntryRow.node == node)
        with self._database.read() as session:
            last = session.scalars(newest).first()
        return 0 if last is None else last + 1

    def append(self, node: str, first_seq: int, entries: Sequence[bytes]) -> None:
        """Store canonical entries from `first_seq` on.

        Entries that are already mirrored must be byte for byte the same, and no entry may be
        left out in between; raises VerificationFailed naming the first that breaks this.
        """
        self.keep(node, first_seq, entries, ())

    def keep(
        self,
        node: str,
        first_seq: int,
        entries: Sequence[bytes],
        checkpoints: Iterable[CheckpointFacts],
    ) -> None:
        """Store entries as `append` does, and checkpoints of any node, all or nothing."""
        with self._database.write() as session:
            _append(session, node, first_seq, entries)
            for checkpoint in checkpoints:
                _add_checkpoint(session, checkpoint)

    def entries(self, node: str, start: int = 0, stop: int | None = None) -> tuple[bytes, ...]:
        """Canonical bytes of the entries start <= seq < stop."""
        wanted = (
            select(LedgerEntryRow.data)
            .where(LedgerEntryRow.node == node, LedgerEntryRow.seq >= start)
            .order_by(LedgerEntryRow.seq)
        )
        if stop is not None:
            wanted = wanted.where(LedgerEntryRow.seq < stop)
        with self._database.read() as session:
            return tuple(session.scalars(wanted))

    def grown(self, sizes: Mapping[str, int]) -> tuple[tuple[str, bytes], ...]:
        """Of several nodes at once: what each ledger has from its size here on, in order."""
        row = LedgerEntryRow
        newer = (and_(row.node == node, row.seq >= size) for node, size in sizes.items())
        wanted = select(row.node, row.data).where(or_(false(), *newer))
        with self._database.read() as session:
            found = session.execute(wanted.order_by(row.node, row.seq))
            return tuple((str(node), bytes(data)) for node, data in found)

    def those(self, node: str, seqs: Collection[int]) -> dict[int, bytes]:
        """Canonical bytes of these entries, by their numbers."""
        wanted = select(LedgerEntryRow.seq, LedgerEntryRow.data).where(
            LedgerEntryRow.node == node, LedgerEntryRow.seq.in_(seqs)
        )
        with self._database.read() as session:
            return {int(seq): bytes(data) for seq, data in session.execute(wanted)}

    def stream(self, node: str, batch: int = 1000) -> Iterator[bytes]:
        """All mirrored entries in order, read in batches."""
        start = 0
        while lines := self.entries(node, start, start + batch):
            yield from lines
            start += len(lines)

    def add_checkpoint(
        self, node: str, by: str, size: int, text: str, cosignature: str | None = None
    ) -> None:
        """Keep a checkpoint of `node`, by itself or by a witness; the same one is kept once."""
        self.keep(node, 0, (), [CheckpointFacts(node, by, size, text, cosignature)])

    def newest_checkpoint(self, node: str) -> CheckpointFacts | None:
        """The largest checkpoint that `node` itself signed."""
        wanted = (
            select(CheckpointRow)
            .where(CheckpointRow.node == node, CheckpointRow.by == node)
            .order_by(CheckpointRow.size.desc(), CheckpointRow.number.desc())
            .limit(1)
        )
        with self._database.read() as session:
            row = session.scalars(wanted).first()
            return None if row is None else _facts(row)

    def witnesses(self, node: str) -> tuple[CheckpointFacts, ...]:
        """Every checkpoint of `node` held by another, smallest first."""
        wanted = (
            select(CheckpointRow)
            .where(CheckpointRow.node == node, CheckpointRow.by != node)
            .order_by(CheckpointRow.size, CheckpointRow.by, CheckpointRow.number)
        )
        with self._database.read() as session:
            return tuple(map(_facts, session.scalars(wanted)))

    def newest_witnesses(self, node: str) -> tuple[CheckpointFacts, ...]:
        """The newest checkpoint of `node` that each other one cosigned, and that each holds."""
        newest = (
            select(func.max(CheckpointRow.number))
            .where(CheckpointRow.node == node, CheckpointRow.by != node)
            .group_by(CheckpointRow.by, CheckpointRow.cosignature.is_(None))
        )
        wanted = (
            select(CheckpointRow)
            .where(CheckpointRow.number.in_(newest))
            .order_by(CheckpointRow.by, CheckpointRow.number)
        )
        with self._database.read() as session:
            return tuple(map(_facts, session.scalars(wanted)))


def _append(session: Session, node: str, first_seq: int, entries: Sequence[bytes]) -> None:
    if not entries:
        return
    newest = select(func.max(LedgerEntryRow.seq)).where(LedgerEntryRow.node == node)
    mirrored = session.scalars(newest).first()
    expected = 0 if mirrored is None else mirrored + 1
    for seq, data in enumerate(entries, first_seq):
        if seq > expected:
            raise VerificationFailed("entries are missing", where=f"{node} {expected}")
        if seq < expected:
            known = session.get(LedgerEntryRow, (node, seq))
            if known is None or known.data != data:
                raise VerificationFailed("entry was changed", where=f"{node} {seq}")
            continue
        session.add(LedgerEntryRow(node=node, seq=seq, data=data))
        expected += 1


def _add_checkpoint(session: Session, facts: CheckpointFacts) -> None:
    mark = sha256_hex(f"{facts.text}\n{facts.cosignature or ''}".encode())
    known = select(CheckpointRow.number).where(
        CheckpointRow.node == facts.node,
        CheckpointRow.by == facts.by,
        CheckpointRow.size == facts.size,
        CheckpointRow.sha256 == mark,
    )
    if session.scalars(known).first() is None:
        session.add(
            CheckpointRow(
                node=facts.node,
                by=facts.by,
                size=facts.size,
                text=facts.text,
                cosignature=facts.cosignature,
                sha256=mark,
            )
        )


def _facts(row: CheckpointRow) -> CheckpointFacts:
    return CheckpointFacts(row.node, row.by, row.size, row.text, row.cosignature)
