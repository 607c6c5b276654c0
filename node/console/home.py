"""Home, members' consent, what left the building, and the other organisations."""

from __future__ import annotations

import csv
from io import StringIO
from typing import Any

from fastapi import Response

from node.console.inbox import OPEN
from node.console.visit import Visit, go
from node.console.words import in_words
from node.service import VERSION
from pages.kit import HEADERS
from pages.paging import part_asked
from privacy.contract.shown import as_cell
from privacy.errors import BadInput, Refused, VerificationFailed
from privacy.odds import odds_of_rho
from privacy.promise import BASELINE

_A_PAGE = 200
_COLUMNS = ("seq", "at", "study", "sentence", "plan", "round", "bytes", "sha256", "rho", "epsilon")


def show(visit: Visit) -> Response:
    """How the node is, and what is left to do."""
    steward, state = visit.steward, visit.parts.service.ledger.state
    status, steps = steward.status(), steward.doctor()
    word, detail = _in_a_word(status["state"])
    spent = odds_of_rho(state.spent, state.delta, BASELINE) if state.delta else None
    return visit.page(
        "home.html",
        node=status,
        word=word,
        detail=detail,
        odds="" if spent is None else spent.sentence,
        backup=state.backed_up[:10],
        halted=bool(state.forked) or bool(steward.coordinator()["offered"]),
        version=VERSION,
        connected=visit.connected,
        waiting=[each for each in steward.studies() if each["decision"] in OPEN],
        questions=steward.waiting_questions(),
        steps=steps,
        left=[step for step in steps if not step["done"]],
    )


def _in_a_word(state: str) -> tuple[str, str]:
    """One word for a state, and what it means where the word does not say."""
    match state:
        case "running" | "paused" | "leaving" | "left":
            return state, ""
        case "waiting for peers":
            return "waiting", "until enough of the other organisations' nodes have answered"
        case _:
            return "needs you", state


def pause(visit: Visit) -> Response:
    """Answer no more questions."""
    visit.changing().pause()
    return go("/console/")


def resume(visit: Visit) -> Response:
    """Answer questions again."""
    visit.changing().resume()
    return go("/console/")


def consent(visit: Visit) -> Response:
    """How many members said what, which stays here."""
    return visit.page("consent.html", counts=visit.steward.consent_counts())


def activity(visit: Visit) -> Response:
    """What left, the newest first, page by page."""
    return _activity(visit)


def verify(visit: Visit) -> Response:
    """Read the ledger again from disk, or compare what left with what the coordinator stored."""
    steward = visit.changing()
    try:
        if visit.form.value("do") == "compare":
            return _activity(visit, compare=True)
        said = f"{steward.verify()['entries']:,} entries were read again, and all hold."
        return _activity(visit, said=said)
    except VerificationFailed as wrong:
        return _activity(visit, status=500, broken=str(wrong))
    except BadInput as wrong:
        return _activity(visit, status=409, form=visit.form.with_trouble(str(wrong)))


def download(visit: Visit) -> Response:
    """Everything that left as a CSV file, the oldest first, for a board or an auditor."""
    written = StringIO()
    rows = visit.steward.left_the_building()
    lines = csv.DictWriter(written, _COLUMNS, extrasaction="ignore")
    lines.writeheader()
    lines.writerows(
        {name: as_cell(cell) if isinstance(cell, str) else cell for name, cell in row.items()}
        for row in rows
    )
    name = f'attachment; filename="left-{visit.parts.service.node}.csv"'
    headers = {**HEADERS, "Content-Disposition": name}
    return Response(written.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _activity(visit: Visit, status: int = 200, *, compare: bool = False, **more: Any) -> Response:
    steward = visit.steward
    every = steward.departed()
    part = part_asked(visit.request, every, _A_PAGE)
    left: list[dict[str, Any]] = []
    broken = ""
    try:
        left = steward.left_the_building(compare, part.start, part.stop)[::-1]
    except (BadInput, VerificationFailed) as wrong:
        if compare:
            raise
        broken = str(wrong)  # which entry it is, verifying says
    return visit.page(
        "activity.html",
        status,
        left=left,
        all=every,
        around=part.around,
        compared=compare,
        other=sum(each.get("stored") == "other" for each in left),
        **{"said": "", "broken": broken, **more},
    )


def network(visit: Visit) -> Response:
    """The other organisations with their fingerprints."""
    return _network(visit)


def confirm(visit: Visit) -> Response:
    """Pin a roster with the fingerprints that were compared."""
    steward, form = visit.changing(), visit.form
    try:
        steward.confirm(form.value("digest"), form.values("fingerprint"))
    except BadInput as wrong:
        return _network(visit, 422, form=form.with_trouble(str(wrong)))
    except Refused as refused:
        return _network(visit, 409, form=form.with_trouble(in_words(refused), refused.code.value))
    return go("/console/network")


def _network(visit: Visit, status: int = 200, **more: Any) -> Response:
    return visit.page("network.html", status, rosters=visit.steward.rosters(), **more)
