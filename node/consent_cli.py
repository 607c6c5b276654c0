"""`cairn-node`'s commands for consent: words, texts, files, evidence, members' links, erasure."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from node.home import Home, write_private
from node.steward_link import hand
from node.study_cli import HERE, Dir, exit_codes, show
from privacy.contract.canonical import sha256_hex


def add_consent_commands(app: typer.Typer) -> None:
    """Add every command of this module to `cairn-node`."""
    for name, command in (
        ("consent", consent),
        ("consent-import", consent_import),
        ("consent-export", consent_export),
        ("consent-text", consent_text),
        ("member-link", member_link),
        ("lay-result", lay_result),
        ("erase", erase),
        ("new-person", new_person),
        ("consent-proof", consent_proof),
    ):
        app.command(name)(command)


def consent(
    member: str,
    purpose: str,
    state: Annotated[str, typer.Argument(help="given, refused or withdrawn")],
    dir: Dir = HERE,  # noqa: A002
    starts: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])] = None,
    ends: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])] = None,
    terms: Annotated[str, typer.Option(help="What is allowed, as: HMB NPU GS=CH,DE")] = "",
    text: Annotated[Path | None, typer.Option(help="The file of the text that was shown.")] = None,
    language: Annotated[str, typer.Option(help="The text's language, as de.")] = "",
    evidence: Annotated[str, typer.Option(help="Where the signed form is kept.")] = "",
) -> None:
    """Record one member's choice; it counts from the next question on."""
    with exit_codes(), hand(Home(dir)) as node:
        first, last = (moment.date() if moment else None for moment in (starts, ends))
        shown = sha256_hex(text.read_bytes()) if text else ""
        about = {"terms": terms, "text": shown, "language": language, "evidence": evidence}
        node.consent(member, purpose, state, first, last, about)
        print("recorded")


def consent_import(file: Path, dir: Dir = HERE) -> None:  # noqa: A002
    """Record every word of FILE (FHIR .json or .ndjson, or .csv) here, or change nothing."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.import_consent(file))


def consent_export(file: Path, dir: Dir = HERE) -> None:  # noqa: A002
    """Write every word on consent to FILE (FHIR .json or .ndjson, or .csv). It names members."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.export_consent(file))


def consent_text(
    purpose: str,
    language: Annotated[str, typer.Argument(help="As de or de-CH.")],
    text: Annotated[Path, typer.Argument(help="A text file, UTF-8.")],
    dir: Dir = HERE,  # noqa: A002
) -> None:
    """Ask members with this text from now on; the ledger shows its SHA-256."""
    with exit_codes(), hand(Home(dir)) as node:
        print(node.adopt_text(purpose, language, text.read_text("utf-8")))


def member_link(
    member: str,
    dir: Dir = HERE,  # noqa: A002
    days: Annotated[int, typer.Option(min=1, max=90, help="How long it can be opened.")] = 14,
) -> None:
    """Print a link that opens a member's own page, once."""
    with exit_codes(), hand(Home(dir)) as node:
        print(node.member_link(member, days))


def lay_result(
    release: Annotated[str, typer.Argument(help="The release's digest, from the ledger.")],
    text: Annotated[Path, typer.Argument(help="A text file, UTF-8.")],
    dir: Dir = HERE,  # noqa: A002
) -> None:
    """Show members what a release found, in plain words."""
    with exit_codes(), hand(Home(dir)) as node:
        node.lay_result(release, text.read_text("utf-8"))
        print("shown")


def erase(
    member: str,
    dir: Dir = HERE,  # noqa: A002
    reference: Annotated[str, typer.Option(help="Your file's number; name nobody.")] = "",
) -> None:
    """Erase one member: records, consent and all. No budget comes back."""
    with exit_codes(), hand(Home(dir)) as node:
        backups = node.erase(member, reference)
        print("erased; take them out of the files you import, too")
        for each in backups:
            print(f"delete the backup of {each['at']} ({each['backup'][:12]}), which holds them")


def new_person(
    member: str,
    dir: Dir = HERE,  # noqa: A002
    reference: Annotated[str, typer.Option(help="Your file's number; name nobody.")] = "",
) -> None:
    """Sign that a key of a later import is somebody new, who spent nothing here before."""
    with exit_codes(), hand(Home(dir)) as node:
        node.new_person(member, reference)
        print("recorded; they begin with their whole budget")


def consent_proof(
    epoch: Annotated[str, typer.Argument(help="The month, as 2026-11.")],
    out: Annotated[Path, typer.Option(help="A new file for your auditor.")],
    dir: Dir = HERE,  # noqa: A002
    member: Annotated[str, typer.Option(help="One member; without, the whole table.")] = "",
) -> None:
    """Open a month's root of the consent table, as it stands in the ledger, to your auditor."""
    with exit_codes(), hand(Home(dir)) as node:
        write_private(out, json.dumps(node.consent_proof(epoch, member)).encode())
        print(out)
