"""The organisation's records: what is there, and replacing them by files, after a check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import Response

from node.console.visit import Visit
from privacy.errors import BadInput


def show(visit: Visit) -> Response:
    """Tables and columns of the dictionary, and the form for an import."""
    return _page(visit)


def import_folder(visit: Visit) -> Response:
    """Check a folder; import it once its steward has seen what the check says."""
    steward, form = visit.changing(), visit.form
    folder = form.value("folder")
    if not folder:
        return _page(visit, 422, form=form.with_wrong("folder", "Name a folder on this machine."))
    try:
        if form.value("accept") == "yes":
            return _page(visit, report=steward.import_data(Path(folder)))
        return _page(visit, checked=steward.check_data(Path(folder)))
    except BadInput as wrong:
        return _page(visit, 422, form=form.with_wrong("folder", str(wrong)))


def _page(
    visit: Visit,
    status: int = 200,
    *,
    report: dict[str, Any] | None = None,
    checked: dict[str, Any] | None = None,
    **more: Any,
) -> Response:
    parts = visit.parts
    return visit.page(
        "data.html",
        status,
        members=parts.records.members,
        dictionary=parts.service.dictionary(),
        report=report,
        checked=checked,
        **more,
    )
