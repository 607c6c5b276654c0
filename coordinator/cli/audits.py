"""`cairn audit`: take the evidence away and check it alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator.audit.agreement import Second, second_recomputation
from coordinator.audit.consent import verify_consent
from coordinator.audit.report import Report
from coordinator.cli import audit_questions, audit_report
from coordinator.cli.audit_questions import checked
from coordinator.cli.auditing import (
    Remember,
    first_seen,
    pinned_keys,
    show_vouched,
    witness,
)
from coordinator.cli.connection import connection_of
from coordinator.cli.options import Bundle, CoordinatorKey, FormatOf, KeysFile, SecondOption
from coordinator.cli.outcome import outcome
from coordinator.cli.output import Format, metered, show, show_json, working
from coordinator.client.auditing import open_archive, pull_bundle
from coordinator.client.known_keys import add_keys
from privacy.errors import BadInput

audit_app = typer.Typer(no_args_is_help=True, help="Check the network offline.")
audit_app.command("overview")(audit_questions.show_overview)
audit_app.command("policies")(audit_questions.policies)
audit_app.command("withdrawals")(audit_questions.show_withdrawals)
audit_app.command("witness")(witness)
audit_app.command("replay")(audit_questions.replay)
audit_app.command("report")(audit_report.report)


@audit_app.command("pull")
def audit_pull(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="A new folder for the bundle.")],
    archive: Annotated[
        Path | None, typer.Option("--from", help="An archive that was handed over; asks nobody.")
    ] = None,
) -> None:
    """Fetch every node's ledger with checkpoints, plans and releases; goes on where it broke."""
    with outcome():
        with working("fetching") as step:
            if archive is not None:
                open_archive(archive, out)
            else:
                pull_bundle(connection_of(context).transport(), out, step)
        print(out)


@audit_app.command("consent")
def audit_consent(
    opening: Annotated[Path, typer.Argument(help="What `cairn-node consent-proof` wrote.")],
    bundle: Bundle,
    coordinator_key: CoordinatorKey = "",
    keys: KeysFile = None,
) -> None:
    """Check an opening of a node's consent table against the root in its ledger, offline."""
    with outcome(), metered("verifying") as step:
        pinned = pinned_keys(coordinator_key, keys)
        show_json(verify_consent(bundle, opening, pinned=pinned, progress=step))


@audit_app.command("verify")
def audit_verify(
    bundle: Bundle,
    form: FormatOf = Format.TABLE,
    coordinator_key: CoordinatorKey = "",
    keys: KeysFile = None,
    remember: Remember = False,
    second: SecondOption = False,
) -> None:
    """Check a bundle offline; exit code 6 names the first entry that is bad."""
    with outcome():
        if remember and keys is None:
            raise BadInput("nowhere to remember", where="--remember", instead="add --keys FILE")
        report = checked(bundle, coordinator_key, keys).report
        if remember and keys is not None:
            add_keys(keys, first_seen(report))
        again = _second(bundle, report) if second else None
        if form is Format.JSON:
            said = {} if again is None else {"second": again.to_json()}
            show_json(report.to_json() | said)
            return
        rows = [
            {
                "node": node.node,
                "entries": node.entries,
                "rho": float(node.spent.rho.fraction),
                "epsilon": node.spent.epsilon,
                "reserved": node.open_reservations,
                "cosigned by": list(node.cosigners),
                "cosigned up to": node.witnessed_size,
            }
            for node in report.nodes
        ]
        show(rows, list(rows[0]) if rows else ["node"], form)
        if form is Format.TABLE:
            print(f"verified: {report.plans} plans, {report.releases} releases, of which")
            print(f"{report.transcripts} totals recomputed; made at {report.made_at}")
            show_vouched(report)
            if again is not None:
                print(f"{again.software} agrees on {again.checked} figures and every sum of them")


def _second(bundle: Path, report: Report) -> Second:
    with working("recomputing a second time"):
        return second_recomputation(bundle, report)
