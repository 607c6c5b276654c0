"""Runs: created once per idempotency key, and moved only along their states.

Two processes write here (the web and the bridge to the nodes); every move names the states
it may start from, so a late writer changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, CursorResult, Select, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coordinator.store.database import Database
from coordinator.store.facts import RunFacts, RunState, parsed_envelope
from coordinator.store.log import log_statement
from coordinator.store.tables import IdempotencyRow, PlanRow, ReleaseRow, RunRow
from privacy.contract.canonical import parse_canonical
from privacy.contract.plan import Plan
from privacy.contract.signing import Envelope
from privacy.errors import Code, Refused
from privacy.log import Logged


@dataclass(frozen=True)
class NewRun:
    """What it takes to start a run. `key` is the caller's idempotency key, "" for none."""

    id: str
    plan: Envelope
    principal: str
    key: str
    request_sha256: str
    at: str


class Runs:
    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, new: NewRun) -> RunFacts:
        """Store plan and run together; released at once if the same analysis has a release.

        The same key with the same request gives the run it started; with another request it
        raises Refused(CONFLICT). A signed question starts one run: sent again under another
        key it raises Refused(REPLAYED).
        """
        try:
            return self._create(new)
        except IntegrityError:  # another request was first; its rows can be read now
            return self._create(new)

    def _create(self, new: NewRun) -> RunFacts:
        with self._database.write() as session:
            earlier = _started_by(session, new)
            if earlier is not None:
                return _one(session, RunRow.id == earlier)
            _insert(session, new)
            session.flush()
            return _one(session, RunRow.id == new.id)

    def started_by(self, principal: str, key: str, request_sha256: str) -> RunFacts | None:
        """The run an earlier request with this key started, before a plan is made for it."""
        with self._database.read() as session:
            row = session.get(IdempotencyRow, (principal, key))
            if row is None:
                return None
            if row.request_sha256 != request_sha256:
                raise Refused(Code.CONFLICT)
            return _one(session, RunRow.id == row.run_id)

    def get(self, run_id: str) -> RunFacts:
        """One run; raises Refused(NOT_FOUND)."""
        with self._database.read() as session:
            return _one(session, RunRow.id == run_id)

    def newest(self, *, studies: Collection[str] | None, limit: int) -> tuple[RunFacts, ...]:
        """The newest runs first, of these study versions (digests) or (None) of all."""
        wanted = _joined().order_by(RunRow.number.desc()).limit(limit)
        if studies is not None:
            wanted = wanted.where(RunRow.study_digest.in_(studies))
        return self._many(wanted)

    def unfinished(self) -> tuple[RunFacts, ...]:
        """Queued and running, oldest first: what a restarted bridge takes up again."""
        open_states = [state.value for state in RunState if not state.finished]
        return self._many(_joined().where(RunRow.state.in_(open_states)).order_by(RunRow.number))

    def unfinished_of(self, principal: str) -> int:
        """How many runs of this person are queued or running."""
        open_states = [state.value for state in RunState if not state.finished]
        wanted = select(func.count()).where(
            RunRow.principal == principal, RunRow.state.in_(open_states)
        )
        with self._database.read() as session:
            return session.scalars(wanted).one()

    def refused(self) -> dict[str, int]:
        """How many runs were refused, by the catalogue's code."""
        wanted = (
            select(RunRow.code, func.count())
            .where(RunRow.state == RunState.REFUSED.value)
            .group_by(RunRow.code)
            .order_by(RunRow.code)
        )
        with self._database.read() as session:
            return {str(code): int(number) for code, number in session.execute(wanted)}

    def start(self, run_id: str) -> bool:
        """queued -> running; False if it was not queued any more."""
        with self._database.write() as session:
            return _move(session, run_id, (RunState.QUEUED,), {"state": RunState.RUNNING.value})

    def cancel(self, run_id: str, at: str) -> bool:
        """queued -> cancelled; False once it has started."""
        values = {
            "state": RunState.CANCELLED.value,
            "code": Code.CANCELLED.value,
            "finished": at,
        }
        with self._database.write() as session:
            return _move(session, run_id, (RunState.QUEUED,), values)

    def ask_to_cancel(self, run_id: str) -> bool:
        """Have a running run stopped; False if it is not running."""
        with self._database.write() as session:
            return _move(session, run_id, (RunState.RUNNING,), {"cancelling": True})

    def cancelling(self, run_id: str) -> bool:
        """Whether somebody asked the run to stop."""
        with self._database.read() as session:
            return bool(session.scalars(select(RunRow.cancelling).where(RunRow.id == run_id)).one())

    def fail(
        self, run_id: str, state: RunState, code: Code, fields: Mapping[str, object], at: str
    ) -> bool:
        """End a run as refused, lost or cancelled, with a catalogue code and public fields."""
        values = {
            "state": state.value,
            "code": code.value,
            "fields": dict(fields),
            "finished": at,
        }
        with self._database.write() as session:
            return _move(session, run_id, (RunState.QUEUED, RunState.RUNNING), values)

    def release(self, run_id: str, release: str, at: str, *, repeat: bool = False) -> bool:
        """End a run with a stored release."""
        values = {
            "state": RunState.RELEASED.value,
            "release": release,
            "finished": at,
            "repeat": repeat,
        }
        with self._database.write() as session:
            return _move(session, run_id, (RunState.QUEUED, RunState.RUNNING), values)

    def _many(self, wanted: Select[RunRow, bytes]) -> tuple[RunFacts, ...]:
        with self._database.read() as session:
            return tuple(_facts(row, plan) for row, plan in session.execute(wanted))


def _joined() -> Select[RunRow, bytes]:
    return select(RunRow, PlanRow.envelope).join(PlanRow, PlanRow.digest == RunRow.plan)


def _one(session: Session, condition: ColumnElement[bool]) -> RunFacts:
    found = session.execute(_joined().where(condition)).first()
    if found is None:
        raise Refused(Code.NOT_FOUND)
    return _facts(found[0], found[1])


def _started_by(session: Session, new: NewRun) -> str | None:
    row = session.get(IdempotencyRow, (new.principal, new.key)) if new.key else None
    if row is not None and row.request_sha256 != new.request_sha256:
        raise Refused(Code.CONFLICT)
    return None if row is None else row.run_id


def _insert(session: Session, new: NewRun) -> None:
    plan = Plan.from_json(parse_canonical(new.plan.body))
    question = plan.question_envelope.digest
    if session.scalars(select(RunRow.id).where(RunRow.question == question)).first() is not None:
        raise Refused(Code.REPLAYED)
    same = select(ReleaseRow.digest).where(
        ReleaseRow.identity == plan.identity, ReleaseRow.study_digest == plan.study_digest
    )
    stored = session.scalars(same.order_by(ReleaseRow.created).limit(1)).first()
    state = RunState.QUEUED if stored is None else RunState.RELEASED
    session.add(PlanRow(digest=new.plan.digest, envelope=new.plan.to_bytes()))
    log_statement(session, Logged.PLAN, new.plan.digest, plan.study)
    session.add(
        RunRow(
            id=new.id,
            plan=new.plan.digest,
            question=question,
            identity=plan.identity,
            study=plan.study,
            study_digest=plan.study_digest,
            principal=new.principal,
            state=state.value,
            code="",
            fields={},
            created=new.at,
            finished=None if stored is None else new.at,
            release=stored,
            repeat=stored is not None,
        )
    )
    session.flush()
    if new.key:
        session.add(
            IdempotencyRow(
                principal=new.principal,
                key=new.key,
                request_sha256=new.request_sha256,
                run_id=new.id,
                created=new.at,
            )
        )


def _move(
    session: Session, run_id: str, allowed: Collection[RunState], values: Mapping[str, object]
) -> bool:
    move = (
        update(RunRow)
        .where(RunRow.id == run_id, RunRow.state.in_([state.value for state in allowed]))
        .values(**values)
    )
    result = session.execute(move)
    return isinstance(result, CursorResult) and result.rowcount == 1


def _facts(row: RunRow, plan: bytes) -> RunFacts:
    return RunFacts(
        id=row.id,
        number=row.number,
        plan_digest=row.plan,
        plan_envelope=parsed_envelope(plan),
        identity=row.identity,
        study=row.study,
        study_digest=row.study_digest,
        principal=row.principal,
        state=RunState(row.state),
        code=row.code,
        fields=row.fields,
        created=row.created,
        finished=row.finished,
        release=row.release,
        repeat=row.repeat,
        opened=row.opened,
        cancelling=row.cancelling,
    )
