"""Nothing that is installed here is under the GPL; the LGPL is allowed."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

PINNED = Path(__file__).resolve().parents[2] / "constraints.txt"
LESSER = re.compile(r"LGPL|Lesser General Public", re.IGNORECASE)
GENERAL = re.compile(r"GPL|General Public|Affero", re.IGNORECASE)


def said(package: str) -> list[str]:
    """What a package says of its licence; [] for one that is not installed here."""
    try:
        about = distribution(package).metadata
    except PackageNotFoundError:
        return []
    classified = [each for each in about.get_all("Classifier") or [] if each.startswith("License")]
    first = (about.get("License") or "").strip().splitlines()[:1]
    return [each for each in (about.get("License-Expression") or "", *classified, *first) if each]


def forbidden(licences: list[str]) -> bool:
    """Whether the GPL is the only licence on offer."""
    general = [each for each in licences if GENERAL.search(LESSER.sub("", each))]
    return bool(general) and len(general) == len(licences)


def test_no_package_is_under_the_gpl() -> None:
    names = [line.partition("==")[0] for line in PINNED.read_text("utf-8").split()]
    licences = {name: found for name in names if (found := said(name))}
    assert len(licences) > 100
    assert {name: found for name, found in licences.items() if forbidden(found)} == {}


def test_the_gpl_is_found() -> None:
    assert forbidden(["GPL-3.0-or-later"])
    assert forbidden(["License :: OSI Approved :: GNU Affero General Public License v3"])
    assert not forbidden(["LGPL-3.0-only"])
    assert not forbidden(["GPL-2.0-only OR MIT", "License :: OSI Approved :: MIT License"])
