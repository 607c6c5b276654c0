"""`cairn insights …`: what everybody may read, and cards of it for other sites."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.connection import connection_of
from coordinator.cli.options import FormatOf, StudyId
from coordinator.cli.outcome import outcome
from coordinator.cli.output import Format, say, show
from coordinator.client.network import Network
from privacy.errors import BadInput

insights_app = typer.Typer(no_args_is_help=True, help="Public results; no token is needed.")


@insights_app.command("list")
def list_insights(context: typer.Context, form: FormatOf = Format.TABLE) -> None:
    """The studies of the public register."""
    with _public(context) as net:
        show(net.register(), ["id", "title", "state", "ends", "published"], form)


@insights_app.command("show")
def show_insight(context: typer.Context, study: StudyId) -> None:
    """One study: what it found, in plain words and in figures."""
    with _public(context) as net:
        say(net.insight(study))


@insights_app.command("export")
def export(
    context: typer.Context,
    study: StudyId,
    out: Annotated[Path, typer.Option("--write", help="A file: .html, .svg, .csv or .json.")],
    result: Annotated[int, typer.Option(help="Which of its published answers.")] = 1,
) -> None:
    """Write a card of a study for your own site: one file, which fetches nothing."""
    with _public(context) as net:
        net.insight(study).save(out, result)
        print(out)


@contextmanager
def _public(context: typer.Context) -> Iterator[Network]:
    with outcome(), connection_of(context).network() as net:
        if not isinstance(net, Network):
            raise BadInput("made-up members have no public register", where="url")
        yield net
