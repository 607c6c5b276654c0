"""What the rounds of runs opened, and the attempt under way: a run goes on after any restart.

An attempt is written before a node is asked for it, with the keys it is made on; an opening
before the next round begins. So a bridge that starts again knows what was charged, asks for the
interrupted attempt's own bytes, and never repeats a round that was opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from coordinator.store.database import Database
from coordinator.store.tables import OpeningRow, RunRow, UnderWayRow
from privacy.contract.canonical import canonical_bytes, parse_canonical

MAX_UNDER_WAY_BYTES = 2**28


@dataclass(frozen=True)
class StoredOpening:
    """One round of a run: its totals, what it was asked with and what proves it."""

    number: int
    attempt: int
    state: bytes
    totals: tuple[int, ...]
    survivors: tuple[str, ...]
    receipts: dict[str, Any]
    transcript: str  # the SHA-256 of its canonical bytes


@dataclass(frozen=True)
class UnderWay:
    """The newest attempt of a plan: `data` is what it takes to go on with it."""

    number: int
    attempt: int
    data: Any


class Openings:
    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, plan: str, under_way: UnderWay) -> None:
        """Write down an attempt that is about to be asked for."""
        row = UnderWayRow(
            plan=plan,
            round=under_way.number,
            attempt=under_way.attempt,
            data=canonical_bytes(under_way.data),
        )
        with self._database.write() as session:
            session.merge(row)

    def under_way(self, plan: str) -> UnderWay | None:
        """The newest attempt that nodes may have been asked for."""
        with self._database.read() as session:
            row = session.get(UnderWayRow, plan)
            if row is None:
                return None
            data = parse_canonical(row.data, max_bytes=MAX_UNDER_WAY_BYTES)
            return UnderWay(row.round, row.attempt, data)

    def add(self, plan: str, opening: StoredOpening, transcript: bytes) -> None:
        """Store what a round opened, and count it in its run."""
        with self._database.write() as session:
            session.add(
                OpeningRow(
                    plan=plan,
                    round=opening.number,
                    attempt=opening.attempt,
                    state=opening.state,
                    totals=np.array(opening.totals, dtype="<i8").tobytes(),
                    survivors=list(opening.survivors),
                    receipts=opening.receipts,
                    transcript_sha256=opening.transcript,
                    transcript=transcript,
                )
            )
            counted = update(RunRow).where(RunRow.plan == plan).values(opened=opening.number + 1)
            session.execute(counted)

    def of(self, plan: str) -> tuple[StoredOpening, ...]:
        """The openings of a plan, round by round."""
        with self._database.read() as session:
            return tuple(map(_facts, _rows(session, plan)))

    def attempts(self, plan: str) -> tuple[int, ...]:
        """How many attempts were begun in every round so far, in order."""
        wanted = select(OpeningRow.attempt).where(OpeningRow.plan == plan)
        with self._database.read() as session:
            done = [last + 1 for last in session.scalars(wanted.order_by(OpeningRow.round))]
            newest = session.get(UnderWayRow, plan)
            if newest is not None and newest.round == len(done):
                done.append(newest.attempt + 1)
            return tuple(done)

    def transcript(self, plan: str, number: int) -> bytes | None:
        """The canonical transcript from which anyone recomputes a round's total."""
        wanted = select(OpeningRow.transcript).where(
            OpeningRow.plan == plan, OpeningRow.round == number
        )
        with self._database.read() as session:
            return session.scalars(wanted).first()

    def state(self, plan: str, number: int) -> bytes | None:
        """What a round was asked with."""
        wanted = select(OpeningRow.state).where(OpeningRow.plan == plan, OpeningRow.round == number)
        with self._database.read() as session:
            return session.scalars(wanted).first()


def _rows(session: Session, plan: str) -> list[OpeningRow]:
    wanted = select(OpeningRow).where(OpeningRow.plan == plan).order_by(OpeningRow.round)
    return list(session.scalars(wanted))


def _facts(row: OpeningRow) -> StoredOpening:
    return StoredOpening(
        number=row.round,
        attempt=row.attempt,
        state=row.state,
        totals=tuple(np.frombuffer(row.totals, dtype="<i8").tolist()),
        survivors=tuple(row.survivors),
        receipts=row.receipts,
        transcript=row.transcript_sha256,
    )
