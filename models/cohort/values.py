"""What a value written in a cohort means for the column it is compared with."""

from __future__ import annotations

import math
import re
from datetime import date
from difflib import get_close_matches
from typing import assert_never

from models.cohort.expression import Value
from models.cohort.text import number_text, quoted
from models.cohort.tokens import Kind, Token, refuse
from privacy.contract.dictionary import ColumnRef, ColumnType

_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SHOWN = 12


def value_of(token: Token, column: ColumnRef) -> Value:
    """The value; raises BadInput where it does not fit the column's declared type."""
    match column.column.type:
        case ColumnType.CATEGORICAL | ColumnType.BOOLEAN:
            return _level(token, column)
        case ColumnType.INTEGER | ColumnType.NUMBER:
            return _number(token, column)
        case ColumnType.DATE:
            return _date(token, column)
        case ColumnType.TEXT:
            raise refuse(
                f"{column.name} is free text", token.position, "use a column with declared levels"
            )
        case _:
            assert_never(column.column.type)


def _level(token: Token, column: ColumnRef) -> str:
    levels = column.column.levels
    if token.text in levels:
        return token.text
    if token.kind is Kind.NUMBER:
        for level in levels:
            if _same_number(level, token.text):
                return level
    raise refuse(
        f"{token.text!r} is no level of {column.name}",
        token.position,
        _nearest_level(token.text, column),
    )


def _same_number(level: str, text: str) -> bool:
    try:
        return float(level) == float(text)
    except ValueError:
        return False


def _nearest_level(text: str, column: ColumnRef) -> str:
    boolean = column.column.type is ColumnType.BOOLEAN
    levels = column.column.levels
    folded = {level.casefold(): level for level in levels}
    close = get_close_matches(text.casefold(), list(folded), n=1)
    if close:
        nearest = folded[close[0]]
        return f"did you mean {nearest if boolean else quoted(nearest)}?"
    shown = ", ".join(level if boolean else quoted(level) for level in levels[:_SHOWN])
    return f"write one of {shown}" + (", …" if len(levels) > _SHOWN else "")


def _number(token: Token, column: ColumnRef) -> float:
    if token.kind is not Kind.NUMBER:
        raise refuse(
            f"{column.name} is a number and {token.text!r} is none",
            token.position,
            "write a number without quotes: 18 or 0.5",
        )
    value = float(token.text)
    if not math.isfinite(value):
        raise refuse("the number is too large", token.position, "write a finite number")
    return value + 0.0  # -0.0 becomes 0.0


def _date(token: Token, column: ColumnRef) -> date:
    if token.kind is Kind.STRING and _ISO_DATE.fullmatch(token.text):
        try:
            return date.fromisoformat(token.text)
        except ValueError:
            pass
    raise refuse(
        f"{column.name} is a date and {token.text!r} is none",
        token.position,
        "write it as '2024-12-31'",
    )


def check_ascending(lower: Value, upper: Value, position: int) -> None:
    """Raise BadInput unless `lower` <= `upper` (both of the same column's type)."""
    match lower, upper:
        case (float(), float()) if lower <= upper:
            return
        case (date(), date()) if lower <= upper:
            return
        case (float(), float()):
            written = f"between {number_text(upper)} and {number_text(lower)}"
        case _:
            written = f"between '{upper}' and '{lower}'"
    raise refuse("the lower end comes first", position, f"write {written}")
