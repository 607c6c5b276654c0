"""`cairn study …`: what a study is, proposing one, and the steps of its life."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.connection import connection_of
from coordinator.cli.options import FormatOf, StudyId
from coordinator.cli.outcome import outcome
from coordinator.cli.output import Format, say, show, show_json
from coordinator.cli.secrets import new_secret_file
from coordinator.client.delegating import Delegated
from coordinator.client.network import Network
from privacy.errors import BadInput


def about(context: typer.Context, study: StudyId) -> None:
    """Everything that the organisations approved about a study, in words."""
    with outcome(), connection_of(context).network() as net:
        say(net.study(study).about())


def propose(
    context: typer.Context,
    study_file: Annotated[Path, typer.Argument(help="study.toml")],
) -> None:
    """Propose the studies of a file to every organisation, signed with your own key."""
    with outcome(), connection_of(context).network() as net:
        if not isinstance(net, Network):
            raise BadInput("made-up members have no organisations", where="url")
        for found in net.propose(study_file):
            print(f"{found.id} version {found.facts.version}: {found.facts.digest}")


def log(context: typer.Context, study: StudyId, form: FormatOf = Format.TABLE) -> None:
    """The steps of a study's life: who proposed, approved, asked what, and when."""
    with outcome(), connection_of(context).network() as net:
        rows = [asdict(step) for step in net.study(study).steps]
        show(rows, ["at", "signer", "by", "act", "note"], form)


def answer(context: typer.Context, study: StudyId, words: str) -> None:
    """Answer what an organisation asked back; the study is proposed again with these WORDS."""
    with outcome(), connection_of(context).network() as net:
        say(net.study(study).answer(words))


def close(context: typer.Context, study: StudyId) -> None:
    """End a study: no question of it is answered any more."""
    with outcome(), connection_of(context).network() as net:
        say(net.study(study).close())


def publish(
    context: typer.Context,
    study: StudyId,
    results: Annotated[Path, typer.Argument(help="A text file: what was found, in plain words.")],
    release: Annotated[
        list[str] | None, typer.Option(help="An answer that becomes public with it; repeatable.")
    ] = None,
) -> None:
    """Publish what a closed study found in the public register."""
    with outcome(), connection_of(context).network() as net:
        try:
            words = results.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            raise BadInput("cannot be read as UTF-8 text", where=str(results)) from None
        say(net.study(study).publish(words, release or ()))


def register(context: typer.Context) -> None:
    """The public register of studies, with their results in plain words."""
    with outcome(), connection_of(context).network() as net:
        show_json({"studies": net.register() if isinstance(net, Network) else []})


def end_delegation(
    context: typer.Context,
    delegation: Annotated[Path, typer.Argument(help="The file that `cairn delegate` wrote.")],
) -> None:
    """Take a delegation back before its time: no node answers under it any more."""
    with outcome(), connection_of(context).network() as net:
        try:
            given = Delegated.parse(delegation.read_text("utf-8"))
        except (OSError, UnicodeDecodeError):
            raise BadInput("cannot be read as UTF-8 text", where=str(delegation)) from None
        if not isinstance(net, Network):
            raise BadInput("nothing is delegated on mock data")
        say(net.end_delegation(given))


def delegate(
    context: typer.Context,
    study: StudyId,
    epsilon: Annotated[str, typer.Option(help="What all questions under it may cost together.")],
    hours: Annotated[float, typer.Option(help="How long it holds; a week at most.")] = 8.0,
    to: Annotated[
        str, typer.Option("--to", help="The delegate's public key; without one a key is made.")
    ] = "",
    out: Annotated[Path | None, typer.Option("--write", help="A new file; else printed.")] = None,
) -> None:
    """Let a browser or a program ask one study in your name, for so much and so long."""
    with outcome(), connection_of(context).network() as net:
        made = net.study(study).delegate(epsilon, hours, to or None)
        if out is None:
            print(made.text, end="")
            return
        with new_secret_file(out) as file:
            file.write(made.text)
        print(out)
