"""Released networks from the command line: their files and their cards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.connection import connection_of
from coordinator.cli.options import StudyId
from coordinator.cli.outcome import outcome
from coordinator.cli.planned import ReleaseId
from coordinator.client.model import ENDING, card_text, save_model
from privacy.errors import BadInput

Use = Annotated[str, typer.Option("--use", help="What the network is for, for its card.")]


def save(
    context: typer.Context,
    study: StudyId,
    release: ReleaseId,
    *,
    out: Annotated[Path, typer.Option("--out", help="A file that ends .safetensors.")],
    use: Use = "",
) -> None:
    """Write a released network, and beside it the .json that says what it is."""
    with outcome(), connection_of(context).network() as net:
        if out.suffix != ENDING:
            raise BadInput(f"a network's file ends {ENDING}", where=str(out))
        save_model(net.study(study).release(release), out, use)
        print(out)


def card(context: typer.Context, study: StudyId, release: ReleaseId, use: Use = "") -> None:
    """The card of a released network, as Markdown."""
    with outcome(), connection_of(context).network() as net:
        print(card_text(net.study(study).release(release), use))
