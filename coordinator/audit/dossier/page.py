"""A dossier as one HTML file: no script, nothing fetched, a strict policy in its own head."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from coordinator.audit.dossier.document import Document


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("coordinator.audit.dossier"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style() -> str:
    place = files("coordinator.audit.dossier") / "templates" / "dossier.css"
    return place.read_text("utf-8")


def policy() -> str:
    """The content security policy under which the page works: its own style sheet alone."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def html(document: Document) -> str:
    """The page. Every text is escaped; only charts, made here, are put in as they are."""
    return _render("dossier.html", document=document.to_json())


def index_html(title: str, about: list[tuple[str, str]], rows: list[dict[str, str]]) -> str:
    """The page that leads to every dossier of a folder."""
    return _render("index.html", title=title, about=about, rows=rows)


def _render(name: str, **values: Any) -> str:
    page = _templates().get_template(name)
    return page.render(style=_style(), policy=policy(), **values)
