"""Dossiers for an auditor: the list, one as a page, and as files."""

from __future__ import annotations

from fastapi import Response
from markupsafe import Markup

from coordinator.api.dossiers import FORMS
from coordinator.pages.audits import auditing, held
from coordinator.pages.ledgers import attachment
from coordinator.pages.visit import Visit
from privacy.errors import Code, Refused

_ROWS = 100  # of a table; all of them stand in the files


def every(visit: Visit) -> Response:
    """Every dossier of the newest copy that held."""
    audit = auditing(visit)
    return visit.page("dossiers.html", said=held(audit.dossiers))


def one(visit: Visit, name: str) -> Response:
    """One dossier. Its charts are made here, of figures that were verified."""
    audit = auditing(visit)
    said = held(lambda: audit.dossier(name, rows=_ROWS))
    if said is None:
        return visit.page("dossiers.html", said=None)
    for section in said["sections"]:
        for block in section["blocks"]:
            if block["kind"] == "figure":
                block["svg"] = Markup(block["svg"])  # noqa: S704 - made here, text escaped by it
    paper = audit.dossiers()["paper"]
    return visit.page("dossier.html", said=said, paper=paper, study=name.startswith("study-"))


def file(visit: Visit, name: str, kind: str) -> Response:
    """The dossier as a file to keep."""
    if kind not in FORMS:
        raise Refused(Code.NOT_FOUND)
    body = auditing(visit).dossier_file(name, kind)
    return attachment(body, f"{name}.{kind}", FORMS[kind])
