"""From a queued run to a stored release, and what the nodes are told afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from coordinator.mirror import Mirror
from coordinator.rounds import Opened, Rounds
from coordinator.store.facts import RunFacts, RunState
from coordinator.store.store import Store
from models.aggregates.catalogue import estimate
from models.aggregates.requests import parse_analysis
from models.cohort_size import noised_members
from models.noise_law import NoiseLaw
from models.result import Result
from privacy.accounting.conversion import epsilon_of_rho
from privacy.contract.canonical import digest
from privacy.contract.plan import Plan
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.time import instant_text
from privacy.errors import Code, Refused
from privacy.mechanism import GaussianSum
from privacy.units import Rho

WORKERS = 8
_LOST = (Code.ATTEMPT_LOST, Code.INTERNAL)

_log = structlog.get_logger("cairn.bridge")


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
    _done: dict[str, threading.Event] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _busy: set[str] = field(default_factory=set)
    _settling: set[str] = field(default_factory=set)
    _telling: set[str] = field(default_factory=set)
    _quiet: bool = False
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
                self._pool.submit(self._run, run_id)
            return self._done[run_id]

    def resume(self) -> None:
        """After a restart: queued runs start; a run cut off in the middle is lost, not repeated.

        What its nodes reserved and did not commit is freed when the plan expires.
        """
        for run in self.store.runs.unfinished():
            if run.state is RunState.QUEUED:
                self.execute(run.id)
            else:
                self._fail(run.id, Refused(Code.ATTEMPT_LOST))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, run_id: str) -> None:
        try:
            if self.store.runs.start(run_id):
                self._answer(self.store.runs.get(run_id))
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
            if same is not None:
                self.store.runs.release(run.id, same.digest, self._now(), repeat=True)
                return
            release = self._open(run, plan)
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
        opened = self.rounds.run(run.plan_envelope, plan)
        try:
            return self._release(run, plan, opened)
        except Refused as refused:
            self.rounds.abort(run.plan_envelope, plan, refused.code)
            raise

    def _release(self, run: RunFacts, plan: Plan, opened: Opened) -> str:
        law = NoiseLaw(GaussianSum.from_json(plan.mechanism), len(opened.survivors))
        totals = [int(value) for value in opened.total]
        analysis = parse_analysis(plan.analysis)
        study = self.store.studies.version(plan.study_digest).study
        dictionary = self.store.network.dictionary_version(plan.dictionary)
        members = noised_members(analysis, dictionary, totals, law)
        if members is not None and members < study.min_cohort > 0:
            raise Refused(Code.COHORT_TOO_SMALL, least=study.min_cohort)
        result: Result = estimate(analysis, dictionary, totals, law)
        envelope = Envelope.seal("release", self._statement(run, plan, opened, totals), self.key)
        release = self.store.releases.add(
            run.plan_digest, envelope, result.to_json(), self._now(), opened.transcript.to_json()
        )
        self.store.runs.release(run.id, release, self._now())
        return release

    def _statement(
        self, run: RunFacts, plan: Plan, opened: Opened, totals: list[int]
    ) -> dict[str, Any]:
        delta = self.store.studies.version(plan.study_digest).study.delta_fraction
        return {
            "plan": run.plan_digest,
            "identity": plan.identity,
            "totals": [str(total) for total in totals],
            "survivors": list(opened.survivors),
            "mechanism": plan.mechanism,
            "rho": plan.rho,
            "epsilon": repr(epsilon_of_rho(Rho.parse(plan.rho), delta)),
            "delta": plan.delta,
            "released_at": self._now(),
            "receipts": opened.receipts,
            "transcript": digest(opened.transcript.to_json()),
        }

    def _fail(self, run_id: str, refused: Refused) -> None:
        state = RunState.LOST if refused.code in _LOST else RunState.REFUSED
        self.store.runs.fail(run_id, state, refused.code, refused.public_fields, self._now())

    def _now(self) -> str:
        return instant_text(self.clock())
