"""A dossier as PDF, set by Typst: tagged for readers of the screen, the same bytes every time."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any, Literal

from coordinator.audit.dossier.document import Document
from privacy.errors import BadInput

STANDARD: Literal["ua-1"] = "ua-1"  # PDF/UA-1: tagged, titled, with a language and alternatives
_UNBROKEN = re.compile(r"[0-9A-Za-z+/=-]{24,}")
_PIECE = re.compile(r".{1,8}")


def pdf(document: Document) -> bytes:
    """The dossier's bytes; the same document gives the same ones.

    Raises BadInput where Typst is not installed.
    """
    try:
        import typst
    except ImportError:
        raise BadInput(
            "typst is not installed, which sets PDF",
            instead="pip install 'cairn-network[audit]', or pass --no-pdf",
        ) from None
    templates = files("coordinator.audit.dossier") / "templates"
    value = json.dumps(_breakable(document.to_json()), sort_keys=True, ensure_ascii=False)
    made = typst.compile(
        str(templates / "dossier.typ"),
        root=str(templates),
        sys_inputs={"document": value},
        ignore_system_fonts=True,
        pdf_standards=[STANDARD],
    )
    return made if isinstance(made, bytes) else b"".join(made)


def _breakable(value: Any) -> Any:
    """With places at which long digests and keys may be broken, and nothing else."""
    match value:
        case str():
            return _UNBROKEN.sub(lambda found: "\u200b".join(_PIECE.findall(found[0])), value)
        case list():
            return [_breakable(each) for each in value]
        case dict():
            return {
                name: each if name == "svg" else _breakable(each) for name, each in value.items()
            }
        case _:
            return value
