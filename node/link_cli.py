"""`cairn-node link`: with whom members are linked, and the end of it."""

from __future__ import annotations

from typing import Annotated

import typer

from node.home import Home
from node.steward_link import hand
from node.study_cli import HERE, STEWARD, By, Dir, exit_codes, show

link_app = typer.Typer(
    no_args_is_help=True, help="People who are members of several organisations, counted once."
)


@link_app.command("show")
def show_linkage(dir: Dir = HERE) -> None:  # noqa: A002
    """What the policy agrees to, what is in force, and how many members it concerns."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.linkage())


@link_app.command("end")
def end_linkage(
    why: Annotated[str, typer.Argument(help="The reason, for the ledger.")],
    dir: Dir = HERE,  # noqa: A002
    by: By = STEWARD,
) -> None:
    """End the linkage in force: nobody is linked any more, and linked studies are not answered."""
    with exit_codes(), hand(Home(dir), by) as node:
        print(node.end_linkage(why))
