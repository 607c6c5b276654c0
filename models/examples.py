"""Questions that a study could ask, to show on made-up members what an answer looks like.

They are made of the dictionary and of what the study names, never of anybody's data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.aggregates.columns import CELLED, NUMERIC
from models.aggregates.requests import Analysis, normalise, parse_analysis
from privacy.contract.dictionary import ColumnRef, ColumnType, Dictionary
from privacy.errors import BadInput, Refused

MOST = 3
USUAL = ("histogram", "mean", "prevalence", "count")  # of a study that may run every analysis
_FIGURES = 4  # columns of one table of several

Written = Mapping[str, Any]


@dataclass(frozen=True)
class _Columns:
    """The columns that a study may name, by what fits them."""

    cells: tuple[str, ...]
    levels: tuple[str, ...]
    numbers: tuple[str, ...]
    flags: tuple[str, ...]

    @classmethod
    def of(cls, refs: Sequence[ColumnRef]) -> _Columns:
        def named(fits: Callable[[ColumnRef], bool]) -> tuple[str, ...]:
            return tuple(ref.name for ref in refs if fits(ref))

        celled = [r for r in refs if r.column.type in CELLED and r.column.cell_labels]
        return cls(
            cells=tuple(ref.name for ref in celled),
            levels=tuple(ref.name for ref in celled if ref.column.levels),
            numbers=named(lambda r: r.column.type in NUMERIC and r.column.bounds is not None),
            flags=named(lambda r: r.column.type is ColumnType.BOOLEAN),
        )


def example_questions(
    dictionary: Dictionary, names: Callable[[str], bool], kinds: Sequence[str] = ()
) -> tuple[Analysis, ...]:
    """At most `MOST` normalised questions, one of a kind, over columns that `names` lets through.

    `kinds` () is every analysis. A kind that needs more than columns has no example here.
    """
    refs = [
        ref
        for ref in dictionary.refs.values()
        if names(ref.name) and not ref.column.identifier and ref.column.type is not ColumnType.TEXT
    ]
    columns = _Columns.of(refs)
    found = (_first(dictionary, _written(kind, columns)) for kind in kinds or USUAL)
    return tuple(each for each in found if each is not None)[:MOST]


def _first(dictionary: Dictionary, written: Iterator[Written]) -> Analysis | None:
    """The first that the dictionary allows."""
    for each in written:
        try:
            return normalise(parse_analysis(each), dictionary)
        except (BadInput, Refused):
            continue
    return None


def _written(kind: str, columns: _Columns) -> Iterator[Written]:
    """Ways to ask for an analysis of these columns, the plainest first."""
    for each in _settings(kind, columns):
        yield {"kind": kind, **each}


def _settings(kind: str, columns: _Columns) -> Iterator[Written]:
    match kind:
        case "count":
            yield from ({"by": [name]} for name in columns.levels)
            yield {}
        case "histogram":
            yield from _each("column", columns.cells)
        case "prevalence":
            yield from _each("column", columns.levels)
        case "top":
            yield from ({"column": name, "k": k} for k in (10, 3, 1) for name in columns.levels)
        case "map":
            yield from _each("region", columns.levels)
        case "mean" | "sum" | "variance" | "quantiles":
            yield from _each("column", columns.numbers)
        case _:
            yield from _several(kind, columns)


def _several(kind: str, columns: _Columns) -> Iterator[Written]:
    match kind:
        case "describe":
            yield {"columns": [*columns.levels, *columns.numbers][:_FIGURES]}
        case "correlation":
            yield {"columns": list(columns.numbers[:_FIGURES])}
        case "table":
            yield from ({"by": list(pair)} for pair in _pairs(columns.cells, columns.cells))
        case "density":
            yield from ({"x": x, "y": y} for x, y in _pairs(columns.cells, columns.cells))
        case "survival":
            pairs = _pairs(columns.numbers, columns.flags)
            yield from ({"time": time, "event": event} for time, event in pairs)
        case "incidence":
            pairs = _pairs(columns.numbers, columns.flags)
            yield from ({"time": time, "events": event} for time, event in pairs)
        case _:
            return


def _each(setting: str, names: Sequence[str]) -> Iterator[Written]:
    return ({setting: name} for name in names)


def _pairs(first: Sequence[str], second: Sequence[str]) -> Iterator[tuple[str, str]]:
    return ((one, other) for one in first for other in second if one != other)
