"""Dossiers of the newest copy that was verified and held, for readers on line."""

from __future__ import annotations

import json
from importlib.util import find_spec

from coordinator.api.verifying import Checked
from coordinator.audit.dossier.document import Document
from coordinator.audit.dossier.node import node_document
from coordinator.audit.dossier.page import html
from coordinator.audit.dossier.paper import pdf
from coordinator.audit.dossier.registry import registry_record
from coordinator.audit.dossier.study import study_document
from privacy.errors import Code, Refused

STUDY, NODE = "study", "node"
FORMS = {
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "json": "application/json",
}


def can_set_paper() -> bool:
    """Whether Typst, of the extra `audit`, is installed here."""
    return find_spec("typst") is not None


def names(checked: Checked) -> list[tuple[str, str, str, str]]:
    """(name, of, kind, title) of every dossier, studies first."""
    material = checked.material
    studies = [
        (f"{STUDY}-{study}", study, STUDY, material.versions(study)[-1].title)
        for study in material.studies
    ]
    nodes = [(f"{NODE}-{node}", node, NODE, material.name(node)) for node in checked.found.ledgers]
    return [*studies, *nodes]


def document(checked: Checked, name: str) -> Document:
    """The dossier of this name, made once; raises Refused(NOT_FOUND)."""
    known = checked.documents.get(name)
    if known is None:
        known = _made(checked, name)
        checked.documents.put(name, known)
    return known


def _made(checked: Checked, name: str) -> Document:
    kind, _, of = name.partition("-")
    if kind == STUDY and of in checked.material.studies:
        return study_document(checked.material, of)
    if kind == NODE and of in checked.found.ledgers:
        return node_document(checked.material, of)
    raise Refused(Code.NOT_FOUND, what="dossier")


def file(checked: Checked, name: str, form: str) -> bytes:
    """The dossier as a file, as `cairn audit report` writes it; `json` is a study's draft for the
    registry of deployments. Raises Refused: NOT_FOUND, MISSING_SOFTWARE."""
    made = document(checked, name)
    match form:
        case "html":
            return html(made).encode()
        case "pdf" if can_set_paper():
            return pdf(made)
        case "pdf":
            raise Refused(Code.MISSING_SOFTWARE, software="typst")
        case "json" if name.startswith(f"{STUDY}-"):
            record = registry_record(checked.material, name.removeprefix(f"{STUDY}-"))
            return json.dumps(record, indent=2, ensure_ascii=False).encode() + b"\n"
        case _:
            raise Refused(Code.NOT_FOUND, what="form")
