"""Classes of consent: the different (first day, last day, terms), few where members are many.

The member table names each member's class of a purpose by its number, or NULL where the member
does not consent. A question compares the study and the day with every class once, and the
members with the list of numbers that is left: one column of whole numbers, whatever the terms.
A number keeps its meaning for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from node.consent_terms import allowing, known_terms
from node.layout import Cursor, select
from privacy.contract.diseases import Diseases
from privacy.contract.duo import Use

_SAME = (
    "k.valid_from IS NOT DISTINCT FROM {start} AND k.valid_until IS NOT DISTINCT FROM {end} "
    "AND k.terms IS NOT DISTINCT FROM {terms}"
)


def class_number(
    cursor: Cursor, valid_from: date | None, valid_until: date | None, terms: int | None
) -> int:
    """The number of a class, new if it is."""
    combination = select(
        {
            "valid_from": "CAST(? AS DATE)",
            "valid_until": "CAST(? AS DATE)",
            "terms": "CAST(? AS INTEGER)",
        },
        "range(1)",
    )
    values = [valid_from, valid_until, terms]
    add_classes(cursor, combination, values)
    same = _SAME.format(start="?", end="?", terms="?")
    found = cursor.execute(f"SELECT number FROM consent_classes AS k WHERE {same}", values)  # noqa: S608
    return int(found.fetchone()[0])


def add_classes(cursor: Cursor, combinations: str, parameters: Sequence[object]) -> None:
    """Number those combinations (SQL of valid_from, valid_until, terms) that have no class yet."""
    same = _SAME.format(start="n.valid_from", end="n.valid_until", terms="n.terms")
    cursor.execute(
        "INSERT INTO consent_classes "  # noqa: S608
        "SELECT (SELECT coalesce(max(number), -1) FROM consent_classes) + row_number() OVER "
        "(ORDER BY n.terms NULLS FIRST, n.valid_from NULLS FIRST, n.valid_until NULLS LAST), "
        f"n.valid_from, n.valid_until, n.terms FROM (SELECT DISTINCT * FROM ({combinations})) n "
        f"WHERE NOT EXISTS (SELECT 1 FROM consent_classes k WHERE {same})",
        parameters,
    )


def classes_that_count(
    cursor: Cursor, today: date, since: date, use: Use | None, diseases: Diseases
) -> tuple[int, ...]:
    """The classes that hold on `today`, had begun by `since`, and permit this use.

    Without a `use` only those without terms. In order.
    """
    terms = known_terms(cursor)
    allowed = [] if use is None else allowing(terms.items(), use, diseases)
    found = cursor.execute(
        "SELECT number FROM consent_classes WHERE (valid_from IS NULL OR valid_from <= ?) "
        "AND (valid_until IS NULL OR valid_until >= ?) "
        "AND (terms IS NULL OR terms IN (SELECT unnest(CAST(? AS INTEGER[])))) ORDER BY number",
        [since, today, list(allowed)],
    ).fetchall()
    return tuple(int(number) for (number,) in found)
