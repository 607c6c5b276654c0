"""A run under way: how far it is, what it answers, and how to stop it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from coordinator.client.errors import BadInput, TimedOut
from coordinator.client.result import Result
from privacy.contract.canonical import parse_rational

if TYPE_CHECKING:
    import pandas as pd

    from coordinator.client.question import Question

_UNDER_WAY = ("queued", "running")
_LONGEST_WAIT_SECONDS = 25.0
_LOOK_SECONDS = 0.5
_CANCEL_SECONDS = 60.0

View = Mapping[str, Any]


@dataclass(frozen=True)
class Progress:
    """How many rounds of a run are done, and of how many."""

    round: int
    of: int
    state: str

    def __str__(self) -> str:
        return f"{self.state}: {self.round} of {self.of} rounds"


@dataclass(frozen=True)
class Stopped:
    """What a cancelled run cost: what each organisation was charged at most, and stays charged."""

    rho: Fraction
    epsilon: float
    round: int
    of: int

    def __str__(self) -> str:
        return (
            f"stopped after {self.round} of {self.of} rounds; charged epsilon {self.epsilon:.4g} "
            f"(rho {float(self.rho):.6g}), the rest is free again"
        )


class Running(Protocol):
    """Where a run can be asked about."""

    def look(self, run_id: str, wait_seconds: float) -> View:
        """The run as it stands, or as it ends within so many seconds."""

    def cancel(self, run_id: str) -> View:
        """Ask for it to stop."""

    def finished(self, run: View, words: str) -> Result:
        """The result of a finished run; raises what it ended with."""


class Job:
    """One run. `question.start(...)` makes one; `net.job(run_id)` finds it again.

    Its answer raises what the run ended with: Refused, BudgetExceeded, NodeOffline.
    """

    def __init__(
        self, running: Running, run: View, words: str, question: Question | None = None
    ) -> None:
        self._running = running
        self._run = run
        self._words = words
        self._question = question

    @property
    def run_id(self) -> str:
        return str(self._run["id"])

    @property
    def progress(self) -> Progress:
        """Rounds done, as of now."""
        self._look(0)
        return self._progress

    @property
    def done(self) -> bool:
        """Whether the run is over, with or without an answer."""
        return not self._under_way or not self._look(0)

    @property
    def result(self) -> Result:
        """The answer of a run that is over; raises what it ended with, BadInput before."""
        if not self.done:
            raise BadInput("the run is not over", where=self.run_id, instead="use job.wait()")
        found = self._running.finished(self._run, self._words)
        return found if self._question is None else replace(found, question=self._question)

    def wait(self, timeout_seconds: float = 3600.0) -> Result:
        """The answer, when it is there; raises what the run ended with, or TimedOut.

        Example: `result = job.wait()`
        """
        self._until(time.monotonic() + timeout_seconds, timeout_seconds, _LONGEST_WAIT_SECONDS)
        return self.result

    def watch(self, timeout_seconds: float = 3600.0) -> Result:
        """The same with a progress bar on standard error, one step per round.

        Example: `result = job.watch()`
        """
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        console = Console(stderr=True)
        with Bar(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
            task = bar.add_task("rounds", total=self._progress.of)

            def show() -> None:
                seen = self._progress
                bar.update(task, completed=seen.round, total=seen.of, description=seen.state)

            until = time.monotonic() + timeout_seconds
            self._until(until, timeout_seconds, _LOOK_SECONDS, show)
        return self.result

    @property
    def metrics(self) -> pd.DataFrame:
        """The figures of a run that is over, one per line with its errors: `result.table`."""
        return self.result.table

    def save(
        self, path: str | Path, *, intended_use: str = "", judged: Sequence[Result] = ()
    ) -> None:
        """Write what a run that is over released, as `result.save` does.

        Example: `job.save("model.safetensors")`
        """
        self.result.save(path, intended_use=intended_use, judged=judged)

    def card(self, intended_use: str = "", judged: Sequence[Result] = ()) -> str:
        """The card of the model that a run released, as `result.card` gives it.

        Example: `print(job.card(intended_use="planning visits"))`
        """
        return self.result.card(intended_use, judged)

    def cancel(self, timeout_seconds: float = _CANCEL_SECONDS) -> Stopped:
        """Stop after the message under way, and say what the run cost until then.

        Raises Refused(CONFLICT) if it was over, TimedOut if it has not stopped in time.

        Example: `print(job.cancel())`
        """
        self._run = self._running.cancel(self.run_id)
        self._until(time.monotonic() + timeout_seconds, timeout_seconds, _LONGEST_WAIT_SECONDS)
        if self._run["state"] != "cancelled":
            self._running.finished(self._run, self._words)  # raises what else it ended with
        return stopped(self._run)

    @property
    def _progress(self) -> Progress:
        run = self._run
        return Progress(int(run["round"]), int(run["rounds"]), str(run["state"]))

    @property
    def _under_way(self) -> bool:
        return self._run["state"] in _UNDER_WAY

    def _look(self, wait_seconds: float) -> bool:
        """Ask anew, unless it is over; True while it is under way."""
        if self._under_way:
            self._run = self._running.look(self.run_id, wait_seconds)
        return self._under_way

    def _until(
        self,
        until: float,
        timeout_seconds: float,
        step: float,
        show: Callable[[], None] = lambda: None,
    ) -> None:
        while self._under_way:
            left = until - time.monotonic()
            if left <= 0:
                raise TimedOut(self.run_id, timeout_seconds)
            self._look(min(left, step))
            show()

    def __repr__(self) -> str:
        return f"Job({self.run_id!r}, {self._progress})"


def stopped(run: View) -> Stopped:
    """What a cancelled run says of its cost; one that never started cost nothing."""
    said = run["fields"]
    return Stopped(
        rho=parse_rational(said.get("rho", "0/1")),
        epsilon=float(said.get("epsilon", 0.0)),
        round=int(said.get("round", 0)),
        of=int(run["rounds"]),
    )
