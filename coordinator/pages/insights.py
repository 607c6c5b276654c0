"""The public register: which studies there are, in plain words, and what they found."""

from __future__ import annotations

from fastapi import Response

from coordinator.pages.visit import Visit
from privacy.errors import Code, Refused


def every(visit: Visit) -> Response:
    """Every study that organisations approved."""
    return visit.page("insights.html", studies=visit.network.register())


def one(visit: Visit, study: str) -> Response:
    """One study with its results in plain words."""
    found = [each for each in visit.network.register() if each["id"] == study]
    if not found:
        raise Refused(Code.NOT_FOUND)
    return visit.page("insight.html", study=found[-1])
