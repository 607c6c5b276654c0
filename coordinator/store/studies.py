"""Studies by version, and what each organisation decided about them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.store.database import Database
from coordinator.store.facts import Decision, StudyFacts
from coordinator.store.log import log_statement
from coordinator.store.tables import ApprovalRow, StudyRow
from privacy.contract.canonical import parse_canonical
from privacy.contract.signing import Envelope
from privacy.contract.study import Study
from privacy.errors import Code, Refused
from privacy.log import Logged

_PARSED = 512  # study versions that are kept parsed


class Studies:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, envelope: Envelope, at: str) -> Study:
        """Store a signed study version; storing the same one again changes nothing.

        Raises Refused(CONFLICT) if another text already has this id and version.
        """
        study = Study.from_json(parse_canonical(envelope.body))
        with self._database.write() as session:
            if session.get(StudyRow, study.digest) is not None:
                return study
            same = select(StudyRow.digest).where(
                StudyRow.id == study.id, StudyRow.version == study.version
            )
            if session.scalars(same).first() is not None:
                raise Refused(Code.CONFLICT, study=study.id)
            session.add(
                StudyRow(
                    digest=study.digest,
                    id=study.id,
                    version=study.version,
                    envelope=envelope.to_bytes(),
                    created=at,
                )
            )
            log_statement(session, Logged.STUDY, study.digest, study.id)
        return study

    def decide(self, node: str, study_digest: str, decision: Decision, at: str) -> None:
        """Record an organisation's newest decision."""
        with self._database.write() as session:
            session.merge(
                ApprovalRow(node=node, study_digest=study_digest, decision=decision.value, at=at)
            )

    def newest(self) -> tuple[StudyFacts, ...]:
        """The newest version of every study, by id."""
        with self._database.read() as session:
            rows = session.scalars(select(StudyRow).order_by(StudyRow.id, StudyRow.version))
            return _with_decisions(session, {row.id: row for row in rows}.values())

    def get(self, study_id: str) -> StudyFacts:
        """The newest version of one study; raises Refused(UNKNOWN_STUDY)."""
        newest = (
            select(StudyRow)
            .where(StudyRow.id == study_id)
            .order_by(StudyRow.version.desc())
            .limit(1)
        )
        with self._database.read() as session:
            return _only(_with_decisions(session, session.scalars(newest).all()))

    def version(self, digest: str) -> StudyFacts:
        """One version of a study by its digest; raises Refused(UNKNOWN_STUDY)."""
        with self._database.read() as session:
            rows = session.scalars(select(StudyRow).where(StudyRow.digest == digest)).all()
            return _only(_with_decisions(session, rows))

    def every_version(self, study_id: str = "") -> tuple[StudyFacts, ...]:
        """Of one study, or of all."""
        wanted = select(StudyRow).order_by(StudyRow.id, StudyRow.version)
        if study_id:
            wanted = wanted.where(StudyRow.id == study_id)
        with self._database.read() as session:
            rows = session.scalars(wanted)
            return _with_decisions(session, rows.all())

    def approvals(self) -> dict[str, frozenset[str]]:
        """Digests of the studies that each node approves now, by node."""
        approved = select(ApprovalRow).where(ApprovalRow.decision == Decision.APPROVED.value)
        found: dict[str, set[str]] = {}
        with self._database.read() as session:
            for row in session.scalars(approved):
                found.setdefault(row.node, set()).add(row.study_digest)
        return {node: frozenset(digests) for node, digests in found.items()}


def _only(found: Collection[StudyFacts]) -> StudyFacts:
    for facts in found:
        return facts
    raise Refused(Code.UNKNOWN_STUDY)


def _with_decisions(session: Session, rows: Iterable[StudyRow]) -> tuple[StudyFacts, ...]:
    found = tuple(rows)
    wanted = select(ApprovalRow).where(ApprovalRow.study_digest.in_([row.digest for row in found]))
    decisions: dict[str, dict[str, Decision]] = {}
    for approval in session.scalars(wanted.order_by(ApprovalRow.node)):
        by_node = decisions.setdefault(approval.study_digest, {})
        by_node[approval.node] = Decision(approval.decision)
    return tuple(_facts(row, decisions.get(row.digest, {})) for row in found)


def _facts(row: StudyRow, decisions: Mapping[str, Decision]) -> StudyFacts:
    return StudyFacts(*_parsed(row.envelope), decisions)


@lru_cache(maxsize=_PARSED)
def _parsed(data: bytes) -> tuple[Study, Envelope]:
    """Both are frozen, so the same bytes are parsed once."""
    envelope = Envelope.from_bytes(data)
    return Study.from_json(parse_canonical(envelope.body)), envelope
