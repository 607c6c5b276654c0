"""What a question about slopes leaves unsaid, from the dictionary: never from data.

The time of a visit is the column that its table names as such. Where no bounds of a slope are
written, they are those of a member who crosses the outcome's declared range within that of the time
(for a date: within a year), up or down.
"""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.client.errors import BadInput
from privacy.contract.dictionary import ColumnRef, ColumnType, Dictionary

_INSTEAD = "a tight range, from a protocol or the natural history, lowers the noise most"


@dataclass(frozen=True)
class Visits:
    """The columns of a slope, and its bounds as text."""

    outcome: str
    time: str
    lower: str
    upper: str


def visits(
    dictionary: Dictionary, outcome: str, time: str, lower: object = None, upper: object = None
) -> Visits:
    """What is written, and what follows from the dictionary of the rest. Raises BadInput."""
    measured = dictionary.resolve(outcome)
    if not measured.many:
        raise _one_row(dictionary, measured)
    named = time or measured.table.time
    if not named:
        raise BadInput(
            f"{measured.table.name} names no time of its rows", where="time", instead="write time="
        )
    when = dictionary.resolve(named)
    steepest = "" if lower is not None and upper is not None else _steepest(measured, when)
    low = f"-{steepest}" if lower is None else str(lower)
    return Visits(outcome, named, low, steepest if upper is None else str(upper))


def terms_of(formula: str, by: str, covariates: str) -> str:
    """The terms of a formula: as one, or what is compared and what it is adjusted for."""
    parts = [part for part in (by, covariates) if part.strip()]
    if formula and parts:
        raise BadInput(
            "terms stand twice", where="formula", instead="write the formula, or by and covariates"
        )
    if not formula and not parts:
        raise BadInput("there is no term", where="by", instead='write by="treatment"')
    return formula or " + ".join(parts)


def _steepest(measured: ColumnRef, when: ColumnRef) -> str:
    bounds, span = measured.column.bounds, when.column.bounds
    if when.column.type is ColumnType.DATE:
        span = (0.0, 1.0)
    if bounds is None or span is None or not span[0] < span[1]:
        missing = measured if bounds is None else when
        raise BadInput(
            f"{missing.name!r} has no bounds to take those of a slope from",
            where="lower",
            instead=f"write lower and upper: {_INSTEAD}",
        )
    return f"{(bounds[1] - bounds[0]) / (span[1] - span[0]):.6g}"


def _one_row(dictionary: Dictionary, measured: ColumnRef) -> BadInput:
    """A slope is of several measurements; names a column that has them, if one is called alike."""
    alike = [
        ref.name
        for ref in dictionary.refs.values()
        if ref.many and ref.column.name.startswith(measured.column.name)
    ]
    named = f"write {alike[0]}" if alike else "name a column of a many-row table"
    return BadInput(
        f"{measured.name!r} is measured once, and a slope needs several visits",
        where="outcome",
        instead=named,
    )
