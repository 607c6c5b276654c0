"""What a researcher may ask of the aggregates: a closed set of frozen requests.

A request names columns only; levels, bins and bounds come from the dictionary. To add one,
write its class here, its pair of functions in a module beside this one, and its cases in
`models.aggregates.catalogue`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, assert_never

from models.aggregates.columns import cell_column, value_column
from privacy.contract.dictionary import Dictionary
from privacy.contract.facts import Fact
from privacy.errors import BadInput, Code, Refused

MAX_CELLS = 100_000


class Count(Fact):
    """Members in each cell of `by` (levels or bins); without `by`, members in all."""

    kind: Literal["count"] = "count"
    by: tuple[str, ...] = ()


class Histogram(Fact):
    """Members in each bin (or level) of one column."""

    kind: Literal["histogram"] = "histogram"
    column: str


class Mean(Fact):
    """The mean over the population the members are drawn from; each member counts once."""

    kind: Literal["mean"] = "mean"
    column: str


class Sum(Fact):
    """The total over the cohort's members, of all their rows."""

    kind: Literal["sum"] = "sum"
    column: str


Analysis = Count | Histogram | Mean | Sum

_BY_KIND: Mapping[str, type[Analysis]] = {
    "count": Count,
    "histogram": Histogram,
    "mean": Mean,
    "sum": Sum,
}
KINDS: tuple[str, ...] = tuple(_BY_KIND)


def parse_analysis(value: Any) -> Analysis:
    """Read an analysis from JSON values.

    Raises BadInput naming the field for an unknown kind, an unknown or missing field, and a
    value of the wrong type. Columns are looked up by `normalise`.
    """
    if not isinstance(value, Mapping):
        raise BadInput("an analysis is an object with a kind", where="analysis")
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in _BY_KIND:
        raise BadInput("unknown kind of analysis", where="analysis.kind", instead=_kinds())
    return _BY_KIND[kind].from_json(value)


def _kinds() -> str:
    return "write one of " + ", ".join(KINDS)


def normalise(analysis: Analysis, dictionary: Dictionary) -> Analysis:
    """The same request with every column as `table.column`; the order of `by` is kept.

    Raises BadInput for a column the dictionary does not declare or that does not fit the
    analysis, and Refused(TOO_MANY_CELLS). Nothing is spent: only public facts are read.
    """
    match analysis:
        case Count():
            return Count(by=_cells(analysis.by, dictionary))
        case Histogram():
            return Histogram(column=_cells((analysis.column,), dictionary)[0])
        case Mean():
            return Mean(column=value_column(dictionary, analysis.column).name)
        case Sum():
            return Sum(column=value_column(dictionary, analysis.column).name)
        case _:
            assert_never(analysis)


def _cells(names: Iterable[str], dictionary: Dictionary) -> tuple[str, ...]:
    refs = [cell_column(dictionary, name) for name in names]
    full = tuple(ref.name for ref in refs)
    for name in full:
        if full.count(name) > 1:
            raise BadInput(f"{name!r} stands twice", where="by", instead="name a column once")
    cells = math.prod(len(ref.column.cell_labels) for ref in refs)
    if cells > MAX_CELLS:
        raise Refused(Code.TOO_MANY_CELLS, cells=cells, most=MAX_CELLS)
    return full
