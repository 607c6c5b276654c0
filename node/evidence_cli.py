"""`cairn-node`'s commands for evidence, and for the ways out when a history broke."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.home import Home
from node.steward_keys import signing_hand
from node.steward_link import hand
from node.study_cli import HERE, STEWARD, By, Dir, exit_codes, show
from privacy.checkpoint import LOG
from privacy.contract.signing import PublicKey
from privacy.errors import BadInput
from privacy.ledger.coordinator_entry import accept_word

Reason = Annotated[str, typer.Option(help="Why, for the ledger: others read it.")]


def add_evidence_commands(app: typer.Typer) -> None:
    """Add every command of this module to `cairn-node`."""
    app.command(name="accept-history")(accept)
    app.command()(coordinator)
    app.command(name="accept-coordinator")(accept_coordinator)
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


def coordinator(dir: Dir = HERE) -> None:  # noqa: A002
    """Which key the coordinator's word counts with here, which is offered, and what was refused."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.coordinator())


def accept_coordinator(
    key: Annotated[
        str, typer.Option(help="The fingerprint that the operator told you, or the key itself.")
    ],
    reason: Reason,
    dir: Dir = HERE,  # noqa: A002
    by: By = STEWARD,
    steward_key: Annotated[
        Path | None,
        typer.Option(envvar="CAIRN_STEWARD_KEY", help="Your own key, where one is asked for."),
    ] = None,
) -> None:
    """Go by another key of the coordinator, where the old one was lost or stolen. It is recorded.

    Compare the fingerprint with the coordinator's operator, by telephone or in person.
    """
    from node.program import utc_now

    with exit_codes(), signing_hand(Home(dir), by, steward_key, utc_now) as (node, sign):
        meant = str(node.coordinator(key)["named"])
        node.accept_coordinator(meant, reason, sign(accept_word(meant, reason)))
        print(f"accepted; this node goes by\n{PublicKey.from_text(meant).fingerprint}")


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
