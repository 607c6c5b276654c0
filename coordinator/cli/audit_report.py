"""`cairn audit report`: dossiers for people who have to answer for a study or an organisation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.audit_questions import checked
from coordinator.cli.options import Bundle, CoordinatorKey, KeysFile, SecondOption
from coordinator.cli.outcome import outcome
from coordinator.cli.output import working


def report(
    bundle: Bundle,
    out: Annotated[Path, typer.Option("--out", help="A new folder for the dossiers.")],
    study: Annotated[
        list[str] | None, typer.Option("--study", help="This study; may be repeated.")
    ] = None,
    node: Annotated[
        list[str] | None, typer.Option("--node", help="This organisation; may be repeated.")
    ] = None,
    pdf: Annotated[bool, typer.Option(help="Set PDF too (the extra `audit`).")] = True,
    second: SecondOption = False,
    coordinator_key: CoordinatorKey = "",
    keys: KeysFile = None,
) -> None:
    """Dossiers as HTML and PDF for every study and organisation, verified first, offline."""
    from coordinator.audit.agreement import second_recomputation
    from coordinator.audit.dossier.material import gather
    from coordinator.audit.dossier.write import Wanted, write_dossiers

    with outcome():
        found = checked(bundle, coordinator_key, keys)
        again = second_recomputation(bundle, found.report) if second else None
        wanted = Wanted(tuple(study or ()), tuple(node or ()), pdf)
        with working("writing") as step:
            files = write_dossiers(out, gather(found, again), wanted, step)
        print(*files, sep="\n")
