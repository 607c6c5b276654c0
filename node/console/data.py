"""The organisation's records: what is there, how good it is, and replacing it after a check."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import Any

from fastapi import Response

from node.console.imports import Work
from node.console.visit import Visit, go
from node.import_problems import Problem, problems_of
from node.quality import quality
from pages.languages import N_
from privacy.contract.time import instant_text
from privacy.errors import BadInput


def show(visit: Visit) -> Response:
    """Tables and columns of the dictionary, the last import, and the form for another."""
    return _page(visit)


def import_folder(visit: Visit) -> Response:
    """Check a folder; import it once its steward has seen what the check says."""
    steward, form = visit.changing(), visit.form
    folder = form.value("folder")
    if not folder:
        return _page(
            visit, 422, form=form.with_wrong("folder", N_("Name a folder on this machine."))
        )
    try:
        if form.value("accept") == "yes":
            return begin(
                visit, folder, "/console/data", lambda told: steward.import_data(Path(folder), told)
            )
        problems = _problems(visit, Path(folder))
        checked = None if problems else steward.check_data(Path(folder))
        return _page(visit, 422 if problems else 200, checked=checked, problems=problems)
    except BadInput as wrong:
        return _page(visit, 422, form=form.with_wrong("folder", str(wrong)))


def _problems(visit: Visit, folder: Path) -> tuple[Problem, ...]:
    """What is wrong row by row; raises BadInput for a folder that is none."""
    try:
        there = folder.is_dir()
    except OSError:  # no name that a folder could have
        there = False
    if not there:
        raise BadInput("no such folder", where=str(folder), instead="name the folder of the files")
    parts = visit.parts
    return problems_of(parts.records, parts.service.dictionary(), folder)


def begin(visit: Visit, source: str, back: str, work: Work) -> Response:
    """Start an import and see how it goes; raises BadInput while another is under way."""
    began = instant_text(visit.parts.service.clock())
    return go(f"/console/data/import/{visit.kept.imports.begin(source, back, began, work).number}")


def imported(visit: Visit, number: int) -> Response:
    """How far an import is, and what came of it."""
    return visit.page("import.html", each=visit.kept.imports.of(int(number)))


def import_state(visit: Visit, number: int) -> Response:
    """The part of that page that changes."""
    return visit.page("import_state.html", each=visit.kept.imports.of(int(number)))


def show_quality(visit: Visit) -> Response:
    """How good the records are, column by column."""
    parts = visit.parts
    today = parts.service.clock().astimezone(UTC).date()
    tables = quality(parts.records, parts.service.dictionary(), today)
    concerns = sum(len(t.concerns) + sum(len(c.concerns) for c in t.columns) for t in tables)
    return visit.page("quality.html", tables=tables, concerns=concerns)


def _page(
    visit: Visit,
    status: int = 200,
    *,
    checked: dict[str, Any] | None = None,
    problems: tuple[Problem, ...] = (),
    **more: Any,
) -> Response:
    parts = visit.parts
    return visit.page(
        "data.html",
        status,
        members=parts.records.members,
        dictionary=parts.service.dictionary(),
        checked=checked,
        problems=problems,
        newest=visit.kept.imports.newest(),
        **more,
    )
