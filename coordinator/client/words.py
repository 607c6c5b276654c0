"""What a person hands over, as the text that is signed: names, numbers, and lists of them."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, SupportsIndex

from coordinator.client.errors import BadInput

Names = str | Sequence[str]
Numbers = Iterable[float | int | str | Decimal]

_MOST_SIGNS = 60  # of one number


def names(by: Names | None, where: str = "by") -> tuple[str, ...]:
    """None, a name or a list of names, as a tuple; raises BadInput."""
    match by:
        case None:
            return ()
        case str():
            return (by,)
        case list() | tuple():
            return tuple(map(name, by))
        case _:
            raise BadInput("neither a column's name nor a list of names", where=where)


def name(column: Any) -> str:
    if not isinstance(column, str):
        what = type(column).__name__
        raise BadInput(f"{what} where a name is expected", where="column", instead="write a text")
    return column


def whole(number: Any, where: str) -> int:
    """An integer, numpy's own too; raises BadInput."""
    if isinstance(number, bool) or not isinstance(number, SupportsIndex):
        raise BadInput("not a whole number", where=where)
    return operator.index(number)


def decimals(numbers: Numbers | None, where: str) -> tuple[str, ...]:
    """Numbers as plain decimal text, as they are signed; raises BadInput."""
    match numbers:
        case None:
            return ()
        case _:
            listed = iterable(numbers, where, "a list of numbers")
            return tuple(decimal(number, where) for number in listed)


def iterable(values: Any, where: str, what: str) -> Iterable[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise BadInput(f"not {what}", where=where)
    return values


def optional(number: Any, where: str) -> str | None:
    return None if number is None else decimal(number, where)


def decimal(number: Any, where: str) -> str:
    """One number as plain decimal text; raises BadInput."""
    if isinstance(number, bool) or not isinstance(number, int | float | str | Decimal):
        number = str(number) if hasattr(number, "dtype") else "nan"  # numpy's own scalars
    try:
        value = Decimal(str(number))
    except ArithmeticError:
        value = Decimal("nan")
    if not value.is_finite():
        raise BadInput("not a finite number", where=where)
    plain = format(value, "f") if abs(value.adjusted()) < _MOST_SIGNS else ""
    if not 0 < len(plain) <= _MOST_SIGNS:
        raise BadInput(f"a number of more than {_MOST_SIGNS} signs", where=where)
    return plain.rstrip("0").rstrip(".") if "." in plain else plain
