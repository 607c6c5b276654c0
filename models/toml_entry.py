"""One table of a TOML file, read key by key; what does not fit is named with its place.

`where` reads like `dictionary.toml, table members, column age`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from privacy.errors import BadInput

MAX_LISTED = 65_000


@dataclass(frozen=True)
class Entry:
    """A TOML table and where it stands."""

    where: str
    values: Mapping[str, Any]

    def fail(self, what: str, instead: str = "") -> BadInput:
        """The error about this entry; to be raised by the caller."""
        return BadInput(what, where=self.where, instead=instead)

    def allow(self, known: Iterable[str], synonyms: Mapping[str, str]) -> None:
        """Raise BadInput for a key that is not `known`, with the nearest that is."""
        names = tuple(known)
        for key in self.values:
            if key in names:
                continue
            close = [synonyms[key]] if key in synonyms else get_close_matches(key, names, n=1)
            hint = f"did you mean {close[0]}?" if close else "known: " + ", ".join(names)
            raise self.fail(f"unknown key {key!r}", hint)

    def has(self, key: str) -> bool:
        return key in self.values

    def inner(self, key: str, label: str) -> dict[str, Entry]:
        """The tables below `key` by name; `label` is what one of them is called."""
        found = self.values.get(key, {})
        if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
            raise self.fail(f"{key} holds tables", f"write [… .{key}.NAME]")
        return {
            name: Entry(f"{self.where}, {label} {name}", values) for name, values in found.items()
        }

    def text(self, key: str, default: str | None = None) -> str:
        value = self.values.get(key, default)
        if value is None:
            raise self.fail(f"{key} is missing", f'write {key} = "…"')
        if not isinstance(value, str):
            raise self.fail(f"{key} is text", f'write {key} = "{value}"')
        return value

    def flag(self, key: str) -> bool:
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise self.fail(f"{key} is true or false", f"write {key} = true")
        return value

    def integer(self, key: str, lowest: int, highest: int) -> int:
        value = self.values[key]
        if not is_integer(value) or not lowest <= value <= highest:
            raise self.fail(
                f"{key} is a whole number from {lowest} to {highest}", f"write {key} = {lowest}"
            )
        return int(value)

    def words(self, key: str) -> tuple[str, ...]:
        """A list of words; numbers and booleans are taken as the text they stand for."""
        value = self.values[key]
        if not isinstance(value, list) or len(value) > MAX_LISTED:
            raise self.fail(f"{key} is a list of text", f'write {key} = ["a", "b"]')
        return tuple(self._word(key, item) for item in value)

    def _word(self, key: str, item: Any) -> str:
        match item:
            case str():
                return item
            case bool():
                return "true" if item else "false"
            case int() | Decimal() if Decimal(item).is_finite():
                return decimal_text(Decimal(item))
            case _:
                raise self.fail(f"{key} is a list of text", f'write {key} = ["a", "b"]')

    def decimal(self, key: str) -> Decimal:
        return self.as_decimal(key, self.values[key])

    def as_decimal(self, key: str, value: Any) -> Decimal:
        """A finite number as written."""
        if not (is_integer(value) or isinstance(value, Decimal)) or not is_plain(Decimal(value)):
            raise self.fail(f"{key} is a finite number", f"write {key} without quotes, as 0.5")
        return Decimal(value)


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_plain(value: Decimal) -> bool:
    """Finite and of a size that a double holds with its digits written out."""
    return value.is_finite() and (value == 0 or -300 < value.adjusted() < 300)


def decimal_text(value: Decimal) -> str:
    """The shortest plain decimal text: no exponent, no trailing zeros, no negative zero."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def parse_toml(text: str, where: str) -> Entry:
    """Read TOML with exact decimals; raises BadInput naming line and column."""
    try:
        return Entry(where, tomllib.loads(text.removeprefix("\ufeff"), parse_float=Decimal))
    except (tomllib.TOMLDecodeError, ArithmeticError) as error:
        raise BadInput(f"not TOML: {error}", where=where) from None
