"""The public register: which studies there are, in plain words, what they found, and cards of
what they published for other sites. Nobody signs in."""

from __future__ import annotations

from fastapi import Response

from coordinator.client.insight import Insight
from coordinator.pages.cards import card, framed, shown
from coordinator.pages.visit import KIT, Visit
from coordinator.pages.words import saved
from pages.kit import HEADERS
from privacy.errors import BadInput, Code, Refused

_FILES = {
    "html": "text/html; charset=utf-8",
    "svg": "image/svg+xml",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
}


def every(visit: Visit) -> Response:
    """Every study that organisations approved."""
    return visit.page("insights.html", studies=visit.network.register())


def one(visit: Visit, study: str) -> Response:
    """One study with its results in plain words and the answers that it published."""
    insight = _insight(visit, study)
    answers = [shown(each) for each in insight.results]
    return visit.page("insight.html", insight=insight, study=insight.facts, shown=answers)


def framed_card(visit: Visit, study: str) -> Response:
    """A card of one study, which other sites may frame."""
    insight = _insight(visit, study)
    return framed(card(insight, _number(visit), _language(visit), whole=False))


def file(visit: Visit, study: str, kind: str) -> Response:
    """What `Insight.save` writes: a card, its chart, or numbers."""
    if kind not in _FILES:
        raise Refused(Code.NOT_FOUND)
    insight, number = _insight(visit, study), _number(visit)
    body = saved(lambda where: insight.save(where, number, _language(visit)), kind)
    name = f"{insight.id}-{number}.{kind}"
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(body, headers=headers, media_type=_FILES[kind])


def _insight(visit: Visit, study: str) -> Insight:
    return visit.network.insight(study, str(visit.request.base_url))


def _language(visit: Visit) -> str:
    return KIT.language(visit.request)


def _number(visit: Visit) -> int:
    try:
        return int(visit.request.query_params.get("result", "1"))
    except ValueError:
        raise BadInput("a whole number", where="result") from None
