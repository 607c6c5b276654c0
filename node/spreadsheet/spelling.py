"""Numbers and days as spreadsheets of other languages write them: 0,5 and 31.12.2024.

Nothing is guessed: 1,234 may be a thousand or a little more than one, so whoever knows the data
says of a column that it is to be read so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from privacy.contract.dictionary import Column, ColumnType

_COMMA = re.compile(r"([+-]?)([0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+),([0-9]+)")
_DAY = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})")


@dataclass(frozen=True)
class Spelling:
    """So many fields of a column are written as `example`, which would be read as `read`."""

    column: str
    example: str
    read: str
    count: int


def respelled(column: Column, written: str) -> str:
    """The field as the importer reads it: a decimal comma as a point, a day as 2024-12-31."""
    match column.type:
        case ColumnType.NUMBER:
            found = _COMMA.fullmatch(written)
            return f"{found[1]}{found[2].replace('.', '')}.{found[3]}" if found else written
        case ColumnType.DATE:
            found = _DAY.fullmatch(written)
            return f"{found[3]}-{found[2]:0>2}-{found[1]:0>2}" if found else written
        case _:
            return written


def spelling(column: Column, fields: list[str]) -> Spelling | None:
    """What of a column is written so; None for nothing."""
    told = [(each, read) for each in fields if (read := respelled(column, each)) != each]
    return Spelling(column.name, *told[0], len(told)) if told else None
