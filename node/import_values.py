"""What a field of a file means, as SQL: known or missing, and if known, which value.

Three layers, so that a field that is neither missing nor a value can be shown:

    known   the field as written (text, or the file's own type), NULL where missing
    value   `known` as the declared type, NULL where it does not parse
    bad     `known` as text where `value` is NULL although `known` is not

A value out of bounds is still a value here; clamping is done when it is stored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from node.import_source import SourceColumn
from node.layout import double, is_coded, is_date, is_numeric, literal, sql_type
from privacy.contract.dictionary import Column, ColumnType
from privacy.errors import BadInput

YES = ("true", "t", "yes", "y", "1")
NO = ("false", "f", "no", "n", "0")
SPACES = " \t\r\n\u00a0"

_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_DATE = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?"
)
_WHOLE = re.compile(r"-?[0-9]+")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_FLOATS = ("FLOAT", "DOUBLE")
_NUMBERS = (
    *_FLOATS,
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
)
_DATES = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")
_LARGEST_WHOLE = 2**53


@dataclass(frozen=True)
class Reading:
    """How one column is read: `known` over the file's columns, `value` over a name for it."""

    known: str
    value: Callable[[str], str]


def reading(column: Column, source: SourceColumn) -> Reading:
    """The SQL that reads a declared column from a file's column."""
    if is_numeric(column) and _is_number(source.type):
        return Reading(_known_number(column, source), _from_number(column))
    if is_date(column) and source.type in _DATES:
        return Reading(source.sql, _from_date)
    return Reading(known_text(source, column.missing), _from_text(column))


def _is_number(kind: str) -> bool:
    return kind in _NUMBERS or kind.startswith("DECIMAL")


def plain_text(source: SourceColumn) -> str:
    """A field as text; a whole number kept as a double loses its `.0`."""
    text = f"CAST({source.sql} AS VARCHAR)"
    if source.type in _FLOATS:
        whole = f"{source.sql} = floor({source.sql}) AND abs({source.sql}) < {_LARGEST_WHOLE}"
        return (
            f"CASE WHEN {_is_nan(source.sql)} THEN NULL WHEN {whole} "
            f"THEN CAST(CAST({source.sql} AS BIGINT) AS VARCHAR) ELSE {text} END"
        )
    return f"trim({text}, {literal(SPACES)})"


def known_text(source: SourceColumn, missing: Iterable[str]) -> str:
    """A field as text, NULL where it is empty or a word for missing."""
    words = ", ".join(literal(word) for word in dict.fromkeys(("", *missing)))
    return f"CASE WHEN {plain_text(source)} NOT IN ({words}) THEN {plain_text(source)} END"


def _known_number(column: Column, source: SourceColumn) -> str:
    number = f"CAST({source.sql} AS DOUBLE)"
    codes = [double(float(word)) for word in column.missing if re.fullmatch(_NUMBER, word)]
    gone = [_is_nan(number)] + ([f"{number} IN ({', '.join(codes)})"] if codes else [])
    return f"CASE WHEN {' OR '.join(gone)} THEN NULL ELSE {number} END"


def _is_nan(number: str) -> str:
    """SQL: is it NaN? DuckDB answers `isnan` from a Parquet file's statistics, which omit NaN."""
    return f"(NOT isfinite({number}) AND CAST({number} AS VARCHAR) = 'nan')"


def _from_number(column: Column) -> Callable[[str], str]:
    whole = column.type is ColumnType.INTEGER

    def value(known: str) -> str:
        checks = [f"isfinite({known})"]
        if whole:
            checks.append(f"{known} = floor({known}) AND abs({known}) <= {_LARGEST_WHOLE}")
        # adding zero makes -0.0 plain zero
        return f"CASE WHEN {' AND '.join(checks)} THEN {known} + {double(0.0)} END"

    return value


def _from_date(known: str) -> str:
    date = f"CAST({known} AS DATE)"
    return f"CASE WHEN {date} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31' THEN {date} END"


def _from_text(column: Column) -> Callable[[str], str]:
    if is_numeric(column):
        number = _from_number(column)
        return lambda known: number(
            f"CASE WHEN regexp_full_match({known}, {literal(_NUMBER)}) "
            f"THEN TRY_CAST({known} AS DOUBLE) END"
        )
    if is_date(column):
        return lambda known: (
            f"CASE WHEN regexp_full_match({known}, {literal(_DATE)}) AND {known} >= '0001' "
            f"THEN TRY_CAST(left({known}, 10) AS DATE) END"
        )
    if not is_coded(column):
        return lambda known: known
    if column.type is ColumnType.BOOLEAN:
        return _yes_or_no
    return _level(column)


def _yes_or_no(known: str) -> str:
    no, yes = (", ".join(map(literal, words)) for words in (NO, YES))
    word = _without_point(f"lower({known})")
    return f"CAST(CASE WHEN {word} IN ({no}) THEN 0 WHEN {word} IN ({yes}) THEN 1 END AS UTINYINT)"


def _level(column: Column) -> Callable[[str], str]:
    """Levels match as written; `2.0` is also the level `2`, and `True` the level `true`."""
    kind = f"ENUM({', '.join(map(literal, column.levels))})"
    spellings: list[Callable[[str], str]] = [lambda known: known]
    if any(_WHOLE.fullmatch(level) for level in column.levels):
        spellings.append(_without_point)
    if {"true", "false"} <= set(column.levels):
        spellings.append(lambda known: f"lower({known})")

    def value(known: str) -> str:
        codes = [f"enum_code(TRY_CAST({spell(known)} AS {kind}))" for spell in spellings]
        return f"CAST(coalesce({', '.join(codes)}) AS {sql_type(column)})"

    return value


def _without_point(text: str) -> str:
    return f"regexp_replace({text}, '^(-?[0-9]+)\\.0+$', '\\1')"


def rule_broken(column: Column, written: str, where: str) -> BadInput:
    """The line about a field that is no value of its column. Stays in the building."""
    shown = repr(written if len(written) <= 60 else written[:60] + "…")
    match column.type:
        case ColumnType.CATEGORICAL:
            return BadInput(
                f"{shown} is an unknown level", where=where, instead=_nearest(column, written)
            )
        case ColumnType.BOOLEAN:
            return BadInput(f"{shown} is no boolean", where=where, instead="write true or false")
        case ColumnType.DATE:
            return BadInput(f"{shown} is no date", where=where, instead="write it as 2024-12-31")
        case _:
            return _no_number(column, written, shown, where)


def _nearest(column: Column, written: str) -> str:
    close = get_close_matches(written, column.levels, n=1)
    if close:
        return f"is {close[0]!r} meant?"
    listed = ", ".join(column.levels[:12]) + (", …" if len(column.levels) > 12 else "")
    return f"declared levels: {listed}"


def _no_number(column: Column, written: str, shown: str, where: str) -> BadInput:
    kind = "whole number" if column.type is ColumnType.INTEGER else "number"
    if _DECIMAL_COMMA.fullmatch(written) and column.type is ColumnType.NUMBER:
        instead = f"write {written.replace(',', '.')} with a point"
    elif written.lstrip("+-").lower() in ("inf", "infinity", "nan"):
        kind, instead = "finite number", "leave the field empty where the value is unknown"
    else:
        instead = "write digits, as 42" + ("" if kind == "whole number" else " or 0.5")
    return BadInput(f"{shown} is no {kind}", where=where, instead=instead)
