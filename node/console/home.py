"""Home, members' consent, what left the building, and the other organisations."""

from __future__ import annotations

from fastapi import Response

from node.console.visit import Visit, go
from privacy.errors import VerificationFailed

_NEWEST = 200


def show(visit: Visit) -> Response:
    """How the node is, and what is left to do."""
    steward = visit.steward
    return visit.page(
        "home.html",
        node=steward.status(),
        connected=visit.connected,
        waiting=[each for each in steward.studies() if each["decision"] == "waiting"],
        questions=steward.waiting_questions(),
        steps=[step for step in steward.doctor() if not step["done"]],
    )


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
    """Everything that left, the newest first."""
    return _activity(visit)


def verify(visit: Visit) -> Response:
    """Read the ledger again from disk."""
    steward = visit.changing()
    try:
        said = f"{steward.verify()['entries']:,} entries were read again, and all hold."
        return _activity(visit, said=said)
    except VerificationFailed as wrong:
        return _activity(visit, status=500, broken=str(wrong))


def _activity(visit: Visit, status: int = 200, said: str = "", broken: str = "") -> Response:
    left = visit.steward.left_the_building()[::-1]
    return visit.page(
        "activity.html", status, left=left[:_NEWEST], all=len(left), said=said, broken=broken
    )


def network(visit: Visit) -> Response:
    """The other organisations with their fingerprints."""
    return visit.page("network.html", rosters=visit.steward.rosters())


def confirm(visit: Visit) -> Response:
    """Pin a roster with the fingerprints that were compared."""
    form = visit.form
    visit.changing().confirm(form.value("digest"), form.values("fingerprint"))
    return go("/console/network")
