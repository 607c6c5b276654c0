"""The different terms that members consented under: few, so a study is compared with each once.

The member table names them by number; a number keeps its meaning for good.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from node.layout import Cursor
from privacy.contract.canonical import canonical_bytes
from privacy.contract.diseases import Diseases
from privacy.contract.duo import Terms, Use, permits
from privacy.errors import BadInput

MAX_TERMS = 10_000


def number_of(cursor: Cursor, terms: Terms | None) -> int | None:
    """The number of these terms, new if they are; None where there are none."""
    if terms is None:
        return None
    text = canonical_bytes(terms.to_json()).decode()
    found = cursor.execute("SELECT number FROM consent_terms WHERE terms = ?", [text]).fetchone()
    if found is not None:
        return int(found[0])
    number = int(cursor.execute("SELECT count(*) FROM consent_terms").fetchone()[0])
    if number >= MAX_TERMS:
        raise BadInput(f"more than {MAX_TERMS} different terms", instead="use fewer forms")
    cursor.execute("INSERT INTO consent_terms VALUES (?, ?)", [number, text])
    return number


def known_terms(cursor: Cursor) -> dict[int, Terms]:
    """All terms ever recorded, by number."""
    rows = cursor.execute("SELECT number, terms FROM consent_terms ORDER BY number").fetchall()
    return {int(number): Terms.from_json(json.loads(text)) for number, text in rows}


def allowing(known: Iterable[tuple[int, Terms]], use: Use, diseases: Diseases) -> tuple[int, ...]:
    """The numbers of those terms that permit this use."""
    return tuple(number for number, terms in known if permits(terms, use, diseases) is None)
