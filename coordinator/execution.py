"""From a queued run to a stored release, and what the nodes are told afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from coordinator.course import Course, opening_of
from coordinator.mirror import Mirror
from coordinator.rounds import Rounds
from coordinator.statement import charged_fields, release_statement
from coordinator.store.facts import RunFacts, RunState
from coordinator.store.openings import StoredOpening
from coordinator.store.store import Store
from models.aggregates.catalogue import conclude
from models.aggregates.requests import Analysis, parse_analysis
from models.cohort_size import members_at
from models.neural.request import Train
from models.opening import Opening
from models.reach import most_members, within_reach
from models.regression.rounds import InRounds
from models.result import Result
from privacy.contract.dictionary import Dictionary
from privacy.contract.plan import Plan
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.time import instant_text
from privacy.errors import Code, Refused

WORKERS = 8
LONG_WORKERS = 4  # for runs of several rounds, so that they keep no other waiting
_LOST = (Code.ATTEMPT_LOST, Code.INTERNAL)

_log = structlog.get_logger("cairn.bridge")


class Stopped(Exception):
    """This process is to end; the run goes on in the next one."""


@dataclass
class Execution:
    """Runs plans on a small pool; each run is finished exactly once in the store."""

    store: Store
    rounds: Rounds
    mirror: Mirror
    key: SigningKey
    clock: Callable[[], datetime]
    await_nodes: Callable[[Collection[str]], None] = lambda _nodes: None
    _pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(WORKERS, thread_name_prefix="run")
    )
    _long: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(LONG_WORKERS, thread_name_prefix="long-run")
    )
    _done: dict[str, threading.Event] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _busy: set[str] = field(default_factory=set)
    _settling: set[str] = field(default_factory=set)
    _telling: set[str] = field(default_factory=set)
    _cut_off: set[str] = field(default_factory=set)
    _quiet: bool = False
    _stopping: threading.Event = field(default_factory=threading.Event)
    _turns: threading.Condition = field(default_factory=threading.Condition)

    def execute(self, run_id: str) -> None:
        """Start a queued run; a run that is under way or finished is left alone."""
        self._started(run_id)

    def wait(self, run_id: str, timeout_seconds: float) -> bool:
        """True once the run is finished; False when the time is up."""
        if not self._started(run_id).wait(timeout_seconds):
            return False
        return self.store.runs.get(run_id).state.finished

    def settle(self, timeout_seconds: float) -> None:
        """Wait until what the finished runs cost is in the mirror, at most so long."""
        with self._turns:
            self._turns.wait_for(lambda: not self._settling, timeout_seconds)

    @contextmanager
    def quiet(self, timeout_seconds: float) -> Iterator[None]:
        """While this lasts no node is told of a release: ledgers copied now fit each other."""
        with self._turns:
            self._turns.wait_for(lambda: not self._quiet, timeout_seconds)
            self._quiet = True
            self._turns.wait_for(lambda: not self._telling, timeout_seconds)
        try:
            yield
        finally:
            with self._turns:
                self._quiet = False
                self._turns.notify_all()

    def _started(self, run_id: str) -> threading.Event:
        with self._lock:
            if run_id not in self._done:
                self._done[run_id] = threading.Event()
                self._pool_of(run_id).submit(self._run, run_id)
            return self._done[run_id]

    def _pool_of(self, run_id: str) -> ThreadPoolExecutor:
        rounds = self.store.runs.get(run_id).plan.rounds
        return self._pool if len(rounds) == 1 else self._long

    def resume(self) -> None:
        """After a restart: queued runs start, and runs cut off in the middle go on.

        What its nodes reserved and did not commit is freed when the plan expires, if not before.
        """
        for run in self.store.runs.unfinished():
            if run.state is RunState.RUNNING:
                self._cut_off.add(run.id)
            self.execute(run.id)

    def close(self) -> None:
        """Runs under way are left as they stand, to go on after a restart."""
        self._stopping.set()
        for pool in (self._pool, self._long):
            pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, run_id: str) -> None:
        try:
            if self.store.runs.start(run_id) or run_id in self._cut_off:
                self._answer(self.store.runs.get(run_id))
        except Stopped:
            _log.info("run left to be resumed", run=run_id)
        except Refused as refused:
            self._fail(run_id, refused)
        except Exception as error:  # noqa: BLE001 - the bridge's job boundary
            _log.error("run failed", run=run_id, error=type(error).__name__)
            self._fail(run_id, Refused(Code.INTERNAL))
        finally:
            with self._lock:
                self._done.pop(run_id).set()

    def _answer(self, run: RunFacts) -> None:
        plan = run.plan
        with self._alone(plan.identity):
            same = self.store.releases.by_identity(plan.identity, plan.study_digest)
            if same is not None and same.plan != run.plan_digest:
                self.store.runs.release(run.id, same.digest, self._now(), repeat=True)
                return
            release = self._open(run, plan) if same is None else self._end(run, same.digest)
        with self._settlement(run.id):
            self._done[run.id].set()
            self._tell(plan, run.plan_digest, release)
            self.mirror.sync(plan.participants)

    def _tell(self, plan: Plan, plan_digest: str, release: str) -> None:
        with self._turns:
            self._turns.wait_for(lambda: not self._quiet)
            self._telling.add(plan_digest)
        try:
            self.rounds.finish(plan, plan_digest, release)
        finally:
            with self._turns:
                self._telling.discard(plan_digest)
                self._turns.notify_all()

    @contextmanager
    def _settlement(self, run_id: str) -> Iterator[None]:
        with self._turns:
            self._settling.add(run_id)
        try:
            yield
        finally:
            with self._turns:
                self._settling.discard(run_id)
                self._turns.notify_all()

    @contextmanager
    def _alone(self, identity: str) -> Iterator[None]:
        """One run of an analysis at a time: the next one finds the release and costs nothing."""
        with self._turns:
            self._turns.wait_for(lambda: identity not in self._busy)
            self._busy.add(identity)
        try:
            yield
        finally:
            with self._turns:
                self._busy.discard(identity)
                self._turns.notify_all()

    def _open(self, run: RunFacts, plan: Plan) -> str:
        self.await_nodes(plan.participants)
        analysis = parse_analysis(plan.analysis)
        dictionary = self.store.network.dictionary_version(plan.dictionary)
        study = self.store.studies.version(plan.study_digest).study
        course = Course(
            rounds=self.rounds,
            openings=self.store.openings,
            envelope=run.plan_envelope.resaid(self.key),
            plan=plan,
            analysis=analysis,
            dictionary=dictionary,
            proceed=lambda: self._proceed(run),
            judge=OpeningJudge(
                study.min_cohort, most_members(study.delta_fraction), analysis, dictionary
            ),
        )
        try:
            done = course.run()
            opened = tuple(opening_of(plan, each) for each in done)
            return self._release(run, plan, done, conclude(analysis, dictionary, opened))
        except Exception as error:
            if self._stopping.is_set():
                raise Stopped from error
            code = error.code if isinstance(error, Refused) else Code.INTERNAL
            self.rounds.abort(run.plan_envelope, plan, code)
            raise

    def _proceed(self, run: RunFacts) -> None:
        if self._stopping.is_set():
            raise Stopped
        if self.store.runs.cancelling(run.id):
            raise Refused(Code.CANCELLED)

    def _release(
        self, run: RunFacts, plan: Plan, done: Sequence[StoredOpening], result: Result
    ) -> str:
        delta = self.store.studies.version(plan.study_digest).study.delta_fraction
        statement = release_statement(run.plan_digest, plan, done, delta, self._now())
        envelope = Envelope.seal("release", statement, self.key)
        release = self.store.releases.add(run.plan_digest, envelope, result.to_json(), self._now())
        return self._end(run, release)

    def _end(self, run: RunFacts, release: str) -> str:
        self.store.runs.release(run.id, release, self._now())
        return release

    def _charged(self, run: RunFacts, begun: Sequence[int]) -> dict[str, str | int]:
        """What a run that ended early cost: an organisation was charged at most this."""
        delta = self.store.studies.version(run.study_digest).study.delta_fraction
        return charged_fields(run.plan, begun, run.opened, delta)

    def _fail(self, run_id: str, refused: Refused) -> None:
        fields: Mapping[str, object] = refused.public_fields
        state = RunState.LOST if refused.code in _LOST else RunState.REFUSED
        if refused.code is Code.CANCELLED:
            state = RunState.CANCELLED
        run = self.store.runs.get(run_id)
        begun = self.store.openings.attempts(run.plan_digest)
        if state is RunState.CANCELLED or (begun and len(run.plan.rounds) > 1):
            fields = {**fields, **self._charged(run, begun)}
        self.store.runs.fail(run_id, state, refused.code, fields, self._now())

    def _now(self) -> str:
        return instant_text(self.clock())


@dataclass
class OpeningJudge:
    """Ends a run whose cohort is too small, by the first opening that tells its noised size, and
    one in which a total is none that so many members can have added up to."""

    least: int
    most: int
    analysis: Analysis
    dictionary: Dictionary
    members: float | None = None

    def __call__(self, number: int, opening: Opening) -> None:
        counted = isinstance(self.analysis, Train | InRounds)  # all rounds are of the same members
        if not within_reach(opening, self.most, self.members if counted else None):
            raise Refused(Code.TOTAL_OUT_OF_RANGE, round=number + 1)
        if self.members is not None:
            return
        self.members = members_at(self.analysis, self.dictionary, number, opening)
        if self.members is not None and self.least > 0 and self.members < self.least:
            raise Refused(Code.COHORT_TOO_SMALL, least=self.least)
