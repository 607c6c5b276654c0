"""One spelling of what a person is recognised by, so that two organisations write it alike.

    text    compatibility forms are unfolded, marks over letters dropped, capitals folded;
            whatever is no letter or digit parts words, which one space joins
    day     2001-02-03, whatever time of day follows it in the file

`Müller-Weiß, Zoë` becomes `muller weiss zoe`. `Mueller` stays another name: nothing is guessed.

Source: Unicode Standard Annex 15 (form NFKD) and section 3.13 (case folding).
"""

from __future__ import annotations

import unicodedata

from privacy.contract.dictionary import ColumnType
from privacy.contract.time import parse_day
from privacy.errors import BadInput

_DAY_CHARACTERS = 10


def spelt(kind: ColumnType, value: str) -> str:
    """A value of a declared column in its one spelling; "" for what says nothing."""
    return _day(value) if kind is ColumnType.DATE else spelt_text(value)


def spelt_text(value: str) -> str:
    """A text in its one spelling; spelling it again changes nothing."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", value).casefold())
    kept = (c for c in folded if not unicodedata.category(c).startswith("M"))
    return " ".join("".join(c if c.isalnum() else " " for c in kept).split())


def _day(value: str) -> str:
    try:
        return parse_day(value.strip()[:_DAY_CHARACTERS]).isoformat()
    except BadInput:
        return ""
