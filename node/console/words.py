"""What a page says of a refusal: what happened, and what to do."""

from __future__ import annotations

from privacy.errors import Code, Refused

_SAID = {
    Code.UNKNOWN_STUDY: "There is no such study here. The requests list every one that there is.",
    Code.NOT_FOUND: "There is nothing here, or nothing any more. Go on from the home page.",
    Code.NOT_PERMITTED: "This was not sent from an open page of this console, or not signed as it "
    "has to be. Open the page again, and send it from there.",
    Code.NOT_APPROVED: "This is not approved, so nothing was changed. Look at the page again.",
    Code.CONFLICT: "This does not go with what stands in the ledger by now. Look at the page "
    "again: perhaps it is done already.",
    Code.EXPIRED: "The time for this is over. Begin again.",
    Code.REPLAYED: "This signature was used before. Sign anew.",
    Code.BAD_SIGNATURE: "The signature does not hold. Copy the whole line, and sign anew.",
    Code.PAUSED: "The node is paused. Answer again on the home page first.",
    Code.ROSTER_MISMATCH: "This is not the newest list of organisations. Open Network again.",
    Code.DICTIONARY_MISMATCH: "There is no dictionary yet. It comes from the coordinator, soon "
    "after the node was started for the first time.",
    Code.LEDGER_STOPPED: "The ledger takes nothing in at the moment. The home page says why.",
}


def in_words(refused: Refused) -> str:
    """A sentence for whoever is at the console, with what in particular where it is known."""
    said = _SAID.get(refused.code, "This was refused.")
    what = refused.public_fields.get("what", "")
    return f"{said} ({what})" if what and what != "form" else said
