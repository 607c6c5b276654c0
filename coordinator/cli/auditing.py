"""`cairn audit verify` and `cairn audit witness`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from coordinator.audit.report import Report
from coordinator.audit.verify import Pinned, verify_bundle
from coordinator.cli.connection import connection_of
from coordinator.cli.options import FormatOf
from coordinator.cli.outcome import outcome
from coordinator.cli.output import Format, metered, show, show_json, working
from coordinator.client.known_keys import add_keys, read_keys
from coordinator.client.notebook import Notebook, Visit
from privacy.checkpoint import AUDITOR, COORDINATOR
from privacy.contract.signing import PublicKey
from privacy.contract.token import Token
from privacy.errors import BadInput, VerificationFailed

CoordinatorKey = Annotated[
    str, typer.Option(help="The coordinator's key (base64), known from elsewhere.")
]
KeysFile = Annotated[
    Path | None, typer.Option("--keys", help="Known keys: `NAME KEY` on each line.")
]


def pinned_of(coordinator_key: str, keys: Path | None) -> Pinned:
    """What the auditor knows from elsewhere."""
    known = {} if keys is None or not keys.exists() else read_keys(keys)
    named = known.pop(COORDINATOR, None)
    given = PublicKey.from_text(coordinator_key) if coordinator_key else named
    return Pinned(given, known)


def verify(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    form: FormatOf = Format.TABLE,
    coordinator_key: CoordinatorKey = "",
    keys: KeysFile = None,
    remember: Annotated[
        bool, typer.Option("--remember", help="Add keys seen for the first time to --keys.")
    ] = False,
) -> None:
    """Check a bundle offline; exit code 6 names the first entry that is bad."""
    with outcome():
        if remember and keys is None:
            raise BadInput("nowhere to remember", where="--remember", instead="add --keys FILE")
        if not bundle.is_dir():
            raise BadInput("is not a folder", where=str(bundle))
        pinned = pinned_of(coordinator_key, keys)
        try:
            with metered("verifying") as step:
                report = verify_bundle(bundle, pinned=pinned, progress=step)
        except BadInput as error:
            raise VerificationFailed(str(error)) from None
        if remember and keys is not None:
            add_keys(keys, _first_seen(report, pinned))
        _show(report, form)


def _first_seen(report: Report, pinned: Pinned) -> dict[str, PublicKey]:
    seen = {} if pinned.coordinator else {COORDINATOR: PublicKey.from_text(report.coordinator)}
    return seen | {name: PublicKey.from_text(report.keys[name]) for name in report.unpinned}


def _show(report: Report, form: Format) -> None:
    if form is Format.JSON:
        show_json(report.to_json())
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
        log = report.log
        print(f"the coordinator's log: {log.lines} lines, cosigned up to {log.witnessed_size} by")
        print(", ".join(log.cosigners) or "nobody")
        _warn(report)


def _warn(report: Report) -> None:
    for node in report.nodes:
        for each in node.breaks:
            by = f", by {each.by}" if each.by else ""
            print(f"{node.node}: entry {each.seq}: {each.kind} {each.of}: {each.what}{by}")
    if report.absent:
        print("no ledger of:", ", ".join(report.absent))
    if not report.pinned:
        print("the coordinator's key was taken from the bundle:", report.coordinator)
    if report.unpinned:
        print("keys taken from the bundle, compare them:", ", ".join(report.unpinned))


def witness(
    context: typer.Context,
    state: Annotated[Path, typer.Option("--state", help="Your notebook: one file, kept by you.")],
    form: FormatOf = Format.TABLE,
    coordinator_key: CoordinatorKey = "",
    keys: KeysFile = None,
) -> None:
    """Read what is new of every log, compare it with what you saw before, and cosign it."""
    with outcome():
        connection = connection_of(context)
        token = Token.parse(connection.token())
        pinned = pinned_of(coordinator_key, keys)
        known = dict(pinned.nodes)
        if pinned.coordinator is not None:
            known[COORDINATOR] = pinned.coordinator
        transport, notebook = connection.transport(), Notebook.open(state)
        name = AUDITOR + str(transport.get("/v1/me")["id"])
        with working("reading"):
            visit = Visit(transport, notebook, token.signing_key, name, known, time.time)
            visited = visit.run()
        rows = [
            {"log": each.of, "known before": each.before, "cosigned": each.size} for each in visited
        ]
        show(rows, ["log", "known before", "cosigned"], form)
        new = [each.of for each in visited if each.first]
        if new and form is Format.TABLE:
            print("seen for the first time, nothing to compare with:", ", ".join(new))
