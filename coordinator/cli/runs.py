"""Runs from the command line: which there are, how far one is, and stopping it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from coordinator.cli.connection import connection_of
from coordinator.cli.options import FormatOf, Timeout
from coordinator.cli.outcome import outcome
from coordinator.cli.output import Format, say, show, show_result, working
from coordinator.client.job import Job
from coordinator.client.network import Network
from coordinator.client.result import Result
from privacy.errors import BadInput

RunId = Annotated[str, typer.Argument(help="The run's id, as `cairn runs list` shows it.")]


def list_runs(
    context: typer.Context,
    form: FormatOf = Format.TABLE,
    limit: Annotated[int, typer.Option(help="How many, the newest first.", min=1, max=500)] = 20,
) -> None:
    """The newest runs, with how many of their rounds are done."""
    with outcome(), connection_of(context).network() as net:
        rows = [asdict(run) for run in _network(net).runs(limit)]
        show(rows, ["id", "study", "state", "round", "rounds", "created", "finished"], form)


def watch(
    context: typer.Context,
    run: RunId,
    form: FormatOf = Format.TABLE,
    timeout: Timeout = 3600.0,
) -> None:
    """Wait for a run that was started earlier, and print its answer."""
    with outcome(), connection_of(context).network() as net:
        show_result(answered(_network(net).job(run), timeout), form)


def cancel(context: typer.Context, run: RunId) -> None:
    """Stop a run after the message under way; says what it cost, which stays charged."""
    with outcome(), connection_of(context).network() as net:
        job = _network(net).job(run)
        with working("stopping"):
            stopped = job.cancel()
        say(stopped)


def answered(job: Job, timeout_seconds: float) -> Result:
    """Wait for a run, with a bar for many rounds where a person looks on."""
    if sys.stderr.isatty() and job.progress.of > 1:
        return job.watch(timeout_seconds)
    with working("waiting for the nodes"):
        return job.wait(timeout_seconds)


def _network(net: object) -> Network:
    if not isinstance(net, Network):
        raise BadInput("made-up members keep no runs", where="url", instead="https://…")
    return net
