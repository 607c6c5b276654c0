"""What a person hands over, as the text that is signed: names, numbers, and lists of them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from coordinator.client.errors import BadInput

Names = str | Sequence[str]
Numbers = Sequence[float | int | str | Decimal]


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
            raise BadInput(f"{where} is a column's name or a list of names", where=where)


def name(column: Any) -> str:
    if not isinstance(column, str):
        raise BadInput("a column is named by text", where="column")
    return column


def whole(number: Any, where: str) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        raise BadInput(f"{where} is a whole number", where=where)
    return number


def decimals(numbers: Numbers | None, where: str) -> tuple[str, ...]:
    """Numbers as plain decimal text, as they are signed; raises BadInput."""
    match numbers:
        case None:
            return ()
        case str():
            raise BadInput(f"{where} is a list of numbers", where=where)
        case _:
            return tuple(decimal(number, where) for number in numbers)


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
        raise BadInput(f"{where} takes finite numbers", where=where)
    plain = format(value, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain
