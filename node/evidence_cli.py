"""`cairn-node`'s commands for evidence, and for the ways out when a history broke."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.home import Home
from node.steward_link import hand
from node.study_cli import HERE, STEWARD, By, Dir, exit_codes, show
from privacy.checkpoint import LOG
from privacy.errors import BadInput

Reason = Annotated[str, typer.Option(help="Why, for the ledger: others read it.")]


def add_evidence_commands(app: typer.Typer) -> None:
    """Add every command of this module to `cairn-node`."""
    app.command(name="accept-history")(accept)
    app.command()(recover)


def accept(
    reason: Reason,
    of: Annotated[str, typer.Argument(help="Whose: coordinator/log, or a node's id.")] = LOG,
    dir: Dir = HERE,  # noqa: A002 - the option's name
    by: By = STEWARD,
) -> None:
    """Go on from what the coordinator's log, or a peer's ledger, shows now. It is recorded."""
    with exit_codes(), hand(Home(dir), by) as node:
        node.accept_history(of, reason)
        print("accepted")


def recover(
    reason: Reason,
    copy: Annotated[
        Path | None, typer.Option(help="entries.jsonl of this ledger, with its checkpoint.txt.")
    ] = None,
    assume_spent: Annotated[
        bool, typer.Option("--assume-spent", help="No copy is left: no budget for a year.")
    ] = False,
    dir: Dir = HERE,  # noqa: A002
    by: By = STEWARD,
) -> None:
    """Bring back what a restored ledger has lost, while the node runs. It is recorded."""
    with exit_codes(), hand(Home(dir), by) as node:
        if assume_spent and copy is not None:
            raise BadInput("a copy and --assume-spent", instead="use one of the two")
        show(node.assume_spent(reason) if assume_spent else node.recover(reason, copy))
