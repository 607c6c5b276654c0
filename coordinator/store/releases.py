"""The release library: each release, findable by the analysis' identity."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, select

from coordinator.store.database import Database
from coordinator.store.facts import ReleaseFacts, ReleaseLine, parsed_envelope, plan_of
from coordinator.store.log import log_statement
from coordinator.store.tables import PlanRow, ReleaseRow
from privacy.contract.plan import Plan
from privacy.contract.signing import Envelope
from privacy.errors import Code, Refused
from privacy.log import Logged


class Releases:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        plan_digest: str,
        envelope: Envelope,
        result: Mapping[str, Any],
        at: str,
    ) -> str:
        """Store a release of a stored plan and return its digest; storing it twice is once."""
        with self._database.write() as session:
            row = session.get(PlanRow, plan_digest)
            if row is None:
                raise Refused(Code.NOT_FOUND)
            plan = plan_of(parsed_envelope(row.envelope))
            if session.get(ReleaseRow, envelope.digest) is None:
                session.add(
                    ReleaseRow(
                        digest=envelope.digest,
                        identity=plan.identity,
                        plan=plan_digest,
                        study_digest=plan.study_digest,
                        envelope=envelope.to_bytes(),
                        result=dict(result),
                        created=at,
                    )
                )
                log_statement(session, Logged.RELEASE, envelope.digest, plan.study)
        return envelope.digest

    def get(self, digest: str) -> ReleaseFacts:
        """One release; raises Refused(NOT_FOUND)."""
        with self._database.read() as session:
            row = session.get(ReleaseRow, digest)
            if row is None:
                raise Refused(Code.NOT_FOUND)
            return _facts(row)

    def those(self, digests: Collection[str]) -> dict[str, ReleaseFacts]:
        """Several releases by their digests; of one that is not there nothing."""
        wanted = select(ReleaseRow).where(ReleaseRow.digest.in_(digests))
        with self._database.read() as session:
            return {row.digest: _facts(row) for row in session.scalars(wanted)}

    def plan(self, release: ReleaseFacts) -> Plan:
        """The plan that a release answers."""
        return plan_of(self.plan_envelope(release))

    def plan_envelope(self, release: ReleaseFacts) -> Envelope:
        """The same as it was signed."""
        with self._database.read() as session:
            row = session.get(PlanRow, release.plan)
            if row is None:
                raise Refused(Code.NOT_FOUND)
            return parsed_envelope(row.envelope)

    def by_identity(self, identity: str, study_digest: str) -> ReleaseFacts | None:
        """The stored release of this analysis within this study version, if there is one."""
        wanted = (
            select(ReleaseRow)
            .where(ReleaseRow.identity == identity, ReleaseRow.study_digest == study_digest)
            .order_by(ReleaseRow.created)
            .limit(1)
        )
        with self._database.read() as session:
            row = session.scalars(wanted).first()
            return None if row is None else _facts(row)

    def of_study(self, study_digest: str, limit: int) -> tuple[tuple[ReleaseFacts, Plan], ...]:
        """The newest releases of a study version with their plans, newest first."""
        return self._with_plans(ReleaseRow.study_digest == study_digest, limit)

    def _with_plans(
        self, condition: ColumnElement[bool], limit: int
    ) -> tuple[tuple[ReleaseFacts, Plan], ...]:
        wanted = _joined(ReleaseRow, PlanRow.envelope).where(condition).limit(limit)
        with self._database.read() as session:
            return tuple(
                (_facts(row), plan_of(parsed_envelope(plan)))
                for row, plan in session.execute(wanted)
            )

    def newest(self, studies: Collection[str], limit: int) -> tuple[tuple[ReleaseFacts, Plan], ...]:
        """The newest releases of these study versions (digests) with their plans."""
        return self._with_plans(ReleaseRow.study_digest.in_(studies), limit)

    def listed(self, studies: Collection[str], limit: int) -> tuple[ReleaseLine, ...]:
        """The newest releases of these study versions (digests), without what they say."""
        wanted = _joined(ReleaseRow.digest, ReleaseRow.created, PlanRow.envelope).where(
            ReleaseRow.study_digest.in_(studies)
        )
        with self._database.read() as session:
            return tuple(
                ReleaseLine(digest, created, plan_of(parsed_envelope(plan)))
                for digest, created, plan in session.execute(wanted.limit(limit))
            )

    def beginning(self, prefix: str) -> tuple[str, ...]:
        """Digests that begin so, at most ten."""
        wanted = (
            select(ReleaseRow.digest)
            .where(ReleaseRow.digest.startswith(prefix, autoescape=True))
            .limit(10)
        )
        with self._database.read() as session:
            return tuple(session.scalars(wanted))

    def digests(self) -> tuple[str, ...]:
        with self._database.read() as session:
            return tuple(session.scalars(select(ReleaseRow.digest).order_by(ReleaseRow.digest)))

    def plans(self) -> Iterator[Envelope]:
        """Every signed plan, for the audit."""
        with self._database.read() as session:
            for data in session.scalars(select(PlanRow.envelope).order_by(PlanRow.digest)):
                yield Envelope.from_bytes(data)


def _joined(*wanted: Any) -> Select[Any]:
    """Releases with their plans, newest first."""
    found = select(*wanted).select_from(ReleaseRow)
    found = found.join(PlanRow, PlanRow.digest == ReleaseRow.plan)
    return found.order_by(ReleaseRow.created.desc(), ReleaseRow.digest)


def _facts(row: ReleaseRow) -> ReleaseFacts:
    return ReleaseFacts(
        digest=row.digest,
        identity=row.identity,
        plan=row.plan,
        study_digest=row.study_digest,
        envelope=Envelope.from_bytes(row.envelope),
        result=row.result,
        created=row.created,
    )
