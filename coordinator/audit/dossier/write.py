"""Every dossier of a bundle in a new folder: pages, papers, registry forms and an index."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coordinator.audit.dossier.document import Document
from coordinator.audit.dossier.material import Material
from coordinator.audit.dossier.node import node_document
from coordinator.audit.dossier.page import html, index_html
from coordinator.audit.dossier.paper import pdf
from coordinator.audit.dossier.registry import registry_record
from coordinator.audit.dossier.study import study_document
from coordinator.audit.history import check_node
from coordinator.audit.whole import whole_folder
from privacy.errors import BadInput

INDEX = "index.html"


@dataclass(frozen=True)
class Wanted:
    """Which dossiers; () for every study, and every organisation. Without `paper`, no PDF."""

    studies: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    paper: bool = True


def write_dossiers(
    folder: Path, material: Material, wanted: Wanted, progress: Callable[[str], None]
) -> list[Path]:
    """Write the new folder `folder`, whole or not at all; returns its files, the index first.

    Named studies and organisations are all that is written; none named means all of both.
    Raises BadInput for a name that the bundle does not hold, or a folder that is there.
    """
    studies, nodes = _chosen(material, wanted)
    with whole_folder(folder) as work:
        rows = []
        for study in studies:
            progress(study)
            row = _write(work, study_document(material, study), wanted.paper)
            row["registry"] = f"registry-{study}.json"
            record = registry_record(material, study)
            text = json.dumps(record, indent=2, ensure_ascii=False)
            (work / row["registry"]).write_text(text + "\n", "utf-8")
            rows.append(row)
        for node in nodes:
            progress(node)
            rows.append(_write(work, node_document(material, node), wanted.paper))
        report = material.found.report
        about = [("network", report.network), ("evidence as of", report.made_at)]
        page = index_html(f"Dossiers of {report.network}", about, rows)
        (work / INDEX).write_text(page, "utf-8")
    others = sorted(path for path in folder.iterdir() if path.name != INDEX)
    return [folder / INDEX, *others]


def _chosen(material: Material, wanted: Wanted) -> tuple[tuple[str, ...], tuple[str, ...]]:
    for study in wanted.studies:
        if study not in material.studies:
            known = ", ".join(material.studies)
            raise BadInput(f"no study {study!r}", instead=f"write one of {known}")
    for node in wanted.nodes:
        check_node(material.found, node)
    if wanted.studies or wanted.nodes:
        return wanted.studies, wanted.nodes
    return material.studies, tuple(material.found.ledgers)


def _write(folder: Path, document: Document, paper: bool) -> dict[str, str]:
    row = {"title": document.title, "html": f"{document.name}.html", "pdf": "", "registry": ""}
    (folder / row["html"]).write_text(html(document), "utf-8")
    if paper:
        row["pdf"] = f"{document.name}.pdf"
        (folder / row["pdf"]).write_bytes(pdf(document))
    return row
