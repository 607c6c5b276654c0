"""Linkages between organisations: signed sessions, and what became of each."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from coordinator.store.database import Database
from coordinator.store.facts import LinkageFacts, LinkageState
from coordinator.store.log import log_statement
from coordinator.store.tables import LinkageRow
from privacy.contract.canonical import parse_canonical
from privacy.contract.signing import Envelope
from privacy.errors import Code, Refused
from privacy.linkage.session import LinkSession
from privacy.log import Logged


class Linkages:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, envelope: Envelope, at: str) -> LinkSession:
        """Keep a signed session that is to be run."""
        session = LinkSession.from_json(parse_canonical(envelope.body))
        with self._database.write() as database:
            database.add(
                LinkageRow(
                    digest=session.digest,
                    envelope=envelope.to_bytes(),
                    state=LinkageState.QUEUED.value,
                    created=at,
                )
            )
            log_statement(database, Logged.LINKAGE, session.digest, ", ".join(session.nodes))
        return session

    def finish(self, digest: str, transcript: bytes, learnt: Sequence[Envelope], at: str) -> None:
        """Every node learnt: `learnt` are their signed words on the transcript."""
        with self._database.write() as database:
            row = _found(database, digest)
            row.state, row.finished = LinkageState.LINKED.value, at
            row.transcript, row.learnt = transcript, [each.to_json() for each in learnt]

    def fail(self, digest: str, code: Code, at: str) -> None:
        with self._database.write() as database:
            row = _found(database, digest)
            row.state, row.code, row.finished = LinkageState.FAILED.value, code.value, at

    def get(self, digest: str) -> LinkageFacts:
        """One session; raises Refused(NOT_FOUND)."""
        with self._database.read() as database:
            return _facts(_found(database, digest))

    def all(self) -> tuple[LinkageFacts, ...]:
        """Every session, oldest first."""
        return self._where()

    def queued(self) -> tuple[LinkageFacts, ...]:
        return self._where(LinkageRow.state == LinkageState.QUEUED.value)

    def in_force(self, day: str) -> LinkageFacts | None:
        """The newest that came to its end and holds on `day`; None if there is none."""
        linked = self._where(LinkageRow.state == LinkageState.LINKED.value)
        holding = [each for each in linked if each.session.starts <= day <= each.session.ends]
        return holding[-1] if holding else None

    def _where(self, *conditions: ColumnElement[bool]) -> tuple[LinkageFacts, ...]:
        wanted = select(LinkageRow).where(*conditions).order_by(LinkageRow.number)
        with self._database.read() as database:
            return tuple(_facts(row) for row in database.scalars(wanted))


def _found(database: Session, digest: str) -> LinkageRow:
    row = database.scalars(select(LinkageRow).where(LinkageRow.digest == digest)).first()
    if row is None:
        raise Refused(Code.NOT_FOUND)
    return row


def _facts(row: LinkageRow) -> LinkageFacts:
    envelope = Envelope.from_bytes(row.envelope)
    return LinkageFacts(
        digest=row.digest,
        envelope=envelope,
        session=LinkSession.from_json(parse_canonical(envelope.body)),
        state=LinkageState(row.state),
        code=row.code,
        transcript=row.transcript,
        learnt=tuple(Envelope.from_json(each) for each in row.learnt),
        created=row.created,
        finished=row.finished,
    )
