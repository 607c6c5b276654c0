"""Whom an auditor trusts and vouches for: known keys, and `cairn audit witness`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from coordinator.audit.report import Report
from coordinator.audit.verify import Pinned
from coordinator.cli.connection import connection_of
from coordinator.cli.options import CoordinatorKey, FormatOf, KeysFile
from coordinator.cli.outcome import outcome
from coordinator.cli.output import Format, say, show, working
from coordinator.client.known_keys import read_keys
from coordinator.client.notebook import Notebook, Visit
from privacy.checkpoint import AUDITOR, COORDINATOR
from privacy.contract.shown import printable
from privacy.contract.signing import PublicKey
from privacy.contract.token import Token

Remember = Annotated[
    bool, typer.Option("--remember", help="Add keys seen for the first time to --keys.")
]


def pinned_keys(coordinator_key: str, keys: Path | None) -> Pinned:
    """What the auditor knows from elsewhere."""
    known = {} if keys is None or not keys.exists() else read_keys(keys)
    named = known.pop(COORDINATOR, None)
    given = PublicKey.from_text(coordinator_key) if coordinator_key else named
    return Pinned(given, known)


def first_seen(report: Report) -> dict[str, PublicKey]:
    """The keys that were taken from the bundle."""
    own = {} if report.pinned else {COORDINATOR: PublicKey.from_text(report.coordinator)}
    return own | {name: PublicKey.from_text(report.keys[name]) for name in report.unpinned}


def show_vouched(report: Report) -> None:
    """Who vouches for the log, what broke or was refused, and what was taken at its word."""
    log = report.log
    print(f"the coordinator's log: {log.lines} lines, cosigned up to {log.witnessed_size} by")
    print(", ".join(log.cosigners) or "nobody")
    for change in report.key_changes:
        say(f"the coordinator's key changed: {printable(change.words)}")
    for node in report.nodes:
        for each in node.breaks:
            by = f", by {each.by}" if each.by else ""
            said = f"{node.node}: entry {each.seq}: {each.kind} {each.of}: {each.what}{by}"
            say(printable(said))
        for refused in node.refused:
            print(f"{node.node}: entry {refused.seq}: {refused.words}")
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
        pinned = pinned_keys(coordinator_key, keys)
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
