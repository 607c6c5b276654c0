"""Released models from the command line: their files and their cards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.connection import connection_of
from coordinator.cli.options import StudyId
from coordinator.cli.outcome import outcome
from coordinator.cli.output import say
from coordinator.cli.planned import ReleaseId
from coordinator.client.model import card_text, save_model
from models.released.files import ENDING
from privacy.errors import BadInput

Judged = Annotated[
    list[str] | None, typer.Option("--judged", help="Release of an evaluation, for its card.")
]
Use = Annotated[str, typer.Option("--use", help="What the model is for, for its card.")]


def save(
    context: typer.Context,
    study: StudyId,
    release: ReleaseId,
    *,
    out: Annotated[Path, typer.Option("--out", help="A file that ends .safetensors.")],
    use: Use = "",
    judged: Judged = None,
) -> None:
    """Write a released model, and beside it the .json that says what it is."""
    with outcome(), connection_of(context).network() as net:
        if out.suffix != ENDING:
            raise BadInput(f"a model's file ends {ENDING}", where=str(out))
        members = net.study(study)
        tried = [members.release(each) for each in judged or ()]
        save_model(members.release(release), out, use, tried)
        print(out)


def card(
    context: typer.Context,
    study: StudyId,
    release: ReleaseId,
    use: Use = "",
    judged: Judged = None,
) -> None:
    """The card of a released model, as Markdown."""
    with outcome(), connection_of(context).network() as net:
        members = net.study(study)
        tried = [members.release(each) for each in judged or ()]
        say(card_text(members.release(release), use, tried))
