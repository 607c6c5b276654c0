"""What a page says of a refusal: what happened, and what to do."""

from __future__ import annotations

from pages.languages import N_
from privacy.errors import Code, Refused

_SAID = {
    Code.UNKNOWN_STUDY: N_(
        "There is no such study here. The requests list every one that there is."
    ),
    Code.NOT_FOUND: N_("There is nothing here, or nothing any more. Go on from the home page."),
    Code.NOT_PERMITTED: N_(
        "This was not sent from an open page of this console, or not signed as it "
        "has to be. Open the page again, and send it from there."
    ),
    Code.NOT_APPROVED: N_("This is not approved, so nothing was changed. Look at the page again."),
    Code.CONFLICT: N_(
        "This does not go with what stands in the ledger by now. Look at the page "
        "again: perhaps it is done already."
    ),
    Code.EXPIRED: N_("The time for this is over. Begin again."),
    Code.REPLAYED: N_("This signature was used before. Sign anew."),
    Code.BAD_SIGNATURE: N_("The signature does not hold. Copy the whole line, and sign anew."),
    Code.PAUSED: N_("The node is paused. Answer again on the home page first."),
    Code.ROSTER_MISMATCH: N_("This is not the newest list of organisations. Open Network again."),
    Code.DICTIONARY_MISMATCH: N_(
        "There is no dictionary yet. It comes from the coordinator, soon "
        "after the node was started for the first time."
    ),
    Code.LEDGER_STOPPED: N_("The ledger takes nothing in at the moment. The home page says why."),
}


def in_words(refused: Refused) -> str:
    """A sentence for whoever is at the console, with what in particular where it is known."""
    said = _SAID.get(refused.code, N_("This was refused."))
    what = refused.public_fields.get("what", "")
    return f"{said} ({what})" if what and what != "form" else said
