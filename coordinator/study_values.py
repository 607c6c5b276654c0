"""Single values of study.toml, read liberally and refused with the place and the rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, DecimalException
from fractions import Fraction
from typing import Any

from privacy.contract.time import parse_day
from privacy.errors import BadInput

_YEAR = re.compile(r"[0-9]{4}")
_FIRST = ("from", "start", "starts")
_LAST = ("until", "end", "ends", "to")
_PERIOD_RULE = 'write for example ["2026-01-01", "2027-12-31"]'


def text(table: Mapping[str, Any], key: str, place: str, *, default: str | None = None) -> str:
    """A text; without `default` it has to be there."""
    value = table.get(key, default)
    if value is None:
        raise BadInput("missing", where=f"{place}, {key}")
    if not isinstance(value, str):
        raise BadInput("not a text", where=f"{place}, {key}", instead="write it in quotes")
    return value


def text_list(table: Mapping[str, Any], key: str, place: str) -> tuple[str, ...]:
    """A list of texts; () where there is none."""
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadInput("not a list of texts", where=f"{place}, {key}", instead='write ["a", "b"]')
    return tuple(value)


def switch(table: Mapping[str, Any], key: str, place: str) -> bool:
    """true or false; false where nothing is written."""
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise BadInput("not true or false", where=f"{place}, {key}", instead="write true or false")
    return value


def whole(
    table: Mapping[str, Any],
    key: str,
    place: str,
    *,
    default: int,
    least: int,
    most: int = 2**53,
) -> int:
    """A whole number within its limits."""
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        rule = f"at least {least}" if most == 2**53 else f"{least} to {most}"
        raise BadInput(f"not a whole number of {rule}", where=f"{place}, {key}")
    return value


def number(value: Any, where: str) -> Decimal:
    """A finite number written as integer, float or text, taken at its shortest decimal form."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise BadInput("not a number", where=where)
    try:
        found = Decimal(value.strip() if isinstance(value, str) else str(value))
    except DecimalException:
        raise BadInput("not a number", where=where) from None
    if not found.is_finite():
        raise BadInput("not a finite number", where=where)
    return found


def decimal_text(value: Decimal) -> str:
    """Plain decimal text without exponent or trailing zeros."""
    written = format(value, "f")
    return (written.rstrip("0").rstrip(".") if "." in written else written) or "0"


def at_least(value: Fraction, least: Fraction, where: str) -> None:
    if not value >= least:
        raise BadInput("too small", where=where)


def period(value: Any, where: str, today: date) -> tuple[date, date]:
    """First and last day. Absent: from this year's first day to the next year's last."""
    first, last = _ends(value, where, today)
    days = _day(first, where, first=True), _day(last, where, first=False)
    if not days[0] <= days[1]:
        raise BadInput("the period ends before it starts", where=where)
    return days


def _ends(value: Any, where: str, today: date) -> tuple[Any, Any]:
    match value:
        case None:
            return today.year, today.year + 1
        case [first, last]:
            return first, last
        case str() if value.count("/") == 1:
            first, last = value.split("/")
            return first.strip(), last.strip()
        case Mapping():
            return _one_of(value, _FIRST, where), _one_of(value, _LAST, where)
        case bool() | list():
            raise BadInput("not a period", where=where, instead=_PERIOD_RULE)
        case _:
            return value, value


def _one_of(table: Mapping[str, Any], names: tuple[str, ...], where: str) -> Any:
    found = [table[name] for name in names if name in table]
    if len(found) != 1 or not set(table) <= {*_FIRST, *_LAST}:
        raise BadInput("not a period", where=where, instead='write {from = "…", until = "…"}')
    return found[0]


def _day(value: Any, where: str, *, first: bool) -> date:
    """A day; a year alone stands for its first or last day."""
    match value:
        case bool():
            pass
        case datetime():
            return value.date()
        case date():
            return value
        case int() if 1900 <= value <= 2999:
            return date(value, 1, 1) if first else date(value, 12, 31)
        case str() if _YEAR.fullmatch(value):
            return _day(int(value), where, first=first)
        case str():
            return _iso(value, where)
        case _:
            pass
    raise BadInput("not a day or a year", where=where, instead=_PERIOD_RULE)


def _iso(value: str, where: str) -> date:
    try:
        return parse_day(value)
    except BadInput:
        raise BadInput("not a day", where=where, instead=_PERIOD_RULE) from None
