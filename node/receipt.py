"""A receipt for a member: one word on consent, signed by the node, in terms others can read.

The record follows ISO/IEC TS 27560 in outline (what was agreed, with whom, when, under which
text) and is written as JSON-LD with the W3C Data Privacy Vocabulary.
"""

from __future__ import annotations

from typing import Any

from privacy.contract.consent import ConsentState, Word
from privacy.contract.duo import TERMS, Rule, words
from privacy.contract.signing import Envelope, PublicKey, SigningKey

KIND = "consent-receipt"
SCHEMA = "https://w3id.org/dpv"
_STATUS = {
    ConsentState.REQUESTED: "dpv:ConsentRequested",
    ConsentState.GIVEN: "dpv:ConsentGiven",
    ConsentState.REFUSED: "dpv:ConsentRefused",
    ConsentState.WITHDRAWN: "dpv:ConsentWithdrawn",
    ConsentState.EXPIRED: "dpv:ConsentExpired",
    ConsentState.SUPERSEDED: "dpv:ConsentInvalidated",
}


def receipt_body(word: Word, *, organisation: str, node: str, key: PublicKey) -> dict[str, Any]:
    """What the receipt says. The member is named by the organisation's own key."""
    return {
        "@context": {"dpv": f"{SCHEMA}#", "dct": "http://purl.org/dc/terms/"},
        "@type": "dpv:ConsentRecord",
        "dct:conformsTo": "ISO/IEC TS 27560:2023",
        "dct:issued": word.recorded_at,
        "dpv:hasDataSubject": word.member,
        "dpv:hasDataController": {"dct:title": organisation, "dct:identifier": node},
        "dpv:hasConsentStatus": _STATUS[word.state],
        "dpv:hasPurpose": {
            "dct:identifier": word.purpose,
            "dct:description": list(words(word.terms)) if word.terms else [],
            "dpv:hasRule": _rules(word),
        },
        "dpv:hasNotice": {"dct:identifier": _digest(word.text), "dct:language": word.language},
        "dpv:hasDuration": {"from": word.valid_from, "until": word.valid_until},
        "dpv:isIndicatedBy": word.recorder,
        "dct:source": word.evidence,
        "dpv:hasProcessing": "dpv:Anonymise",
        "dpv:hasRecipient": "nobody: only noisy sums leave the organisation",
        "dpv:hasRight": "withdraw at any time, from the next question on",
        "cairn:word": word.to_json(),
        "cairn:key": key.text,
    }


def _rules(word: Word) -> list[dict[str, str]]:
    if word.terms is None:
        return []
    rules: tuple[Rule, ...] = (word.terms.permission, *word.terms.modifiers)
    return [{"dct:identifier": TERMS[r].code, "dct:title": TERMS[r].name} for r in rules]


def _digest(text: str) -> str:
    return f"urn:sha256:{text}" if text else ""


def seal_receipt(word: Word, *, organisation: str, node: str, key: SigningKey) -> Envelope:
    """The signed receipt."""
    body = receipt_body(word, organisation=organisation, node=node, key=key.public)
    return Envelope.seal(KIND, body, key)


def open_receipt(envelope: Envelope, key: PublicKey) -> Word:
    """The word that a receipt is about; raises VerificationFailed unless the node signed it."""
    return Word.from_json(envelope.open(KIND, key)["cairn:word"])
