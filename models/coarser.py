"""What a coarser grouping would buy: the same question with wider bins or without a column.

Guarantee: from public facts alone; nothing is read and nothing spent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from models.aggregates.catalogue import expected_error
from models.aggregates.columns import NUMERIC
from models.aggregates.expected import Expected
from models.aggregates.requests import (
    Analysis,
    Count,
    Density,
    Histogram,
    Incidence,
    Prevalence,
    Survival,
    Table,
)
from models.changed import changed
from models.digits import digits
from models.noise_law import NoiseLaw
from privacy.contract.dictionary import ColumnRef, Dictionary

MOST = 3


@dataclass(frozen=True)
class Coarser:
    """The half-width of a coarser cell, asked so (`half_width`) and asked as written
    (`instead`: put together from `merged` cells where members are counted, and that of a finer
    cell otherwise), with the shares of the variance that are noise."""

    words: str
    half_width: float
    instead: float
    noise_share: float
    noise_share_instead: float
    merged: int
    unit: str

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        line = f"{self.words}: ± {digits(self.half_width)}{unit} instead of "
        line += f"± {digits(self.instead)}"
        if self.unit == "members":
            return line + (f" for {self.merged} cells added up" if self.merged > 1 else "")
        share, instead = self.noise_share, self.noise_share_instead
        return f"{line}, noise {share:.0%} of the variance instead of {instead:.0%}"


@dataclass(frozen=True)
class _Variant:
    words: str
    analysis: Analysis
    dictionary: Dictionary
    merged: int


def coarser(
    analysis: Analysis,
    dictionary: Dictionary,
    law: NoiseLaw,
    members: int | None,
    expected: Expected | None,
) -> tuple[Coarser, ...]:
    """At most three variants that would be told better, the best first.

    `analysis` is normalised, `expected` its own error, `members` the size it was told for.
    """
    if expected is None or not math.isfinite(expected.half_width):
        return ()
    found = [
        _compared(variant, law, members, expected) for variant in _variants(analysis, dictionary)
    ]
    better = [each for each in found if each is not None and each.half_width < each.instead * 0.98]
    return tuple(sorted(better, key=lambda each: each.half_width / each.instead)[:MOST])


def _compared(
    variant: _Variant, law: NoiseLaw, members: int | None, now: Expected
) -> Coarser | None:
    then = expected_error(variant.analysis, variant.dictionary, law, members)
    if then is None or not math.isfinite(then.half_width):
        return None
    counted = now.unit == "members" and now.half_sampling == 0
    instead = now.half_width * math.sqrt(variant.merged) if counted else now.half_width
    return Coarser(
        words=variant.words,
        half_width=then.half_width,
        instead=instead,
        noise_share=then.noise_share,
        noise_share_instead=now.noise_share,
        merged=variant.merged,
        unit=now.unit,
    )


def _variants(analysis: Analysis, dictionary: Dictionary) -> Iterator[_Variant]:
    match analysis:
        case Count(by=by) | Table(by=by):
            yield from _without(analysis, dictionary, by, fewest=1)
            yield from _wider(analysis, dictionary, by)
        case Prevalence(by=by) | Incidence(by=by, weights=()):
            yield from _without(analysis, dictionary, by, fewest=0)
            yield from _wider(analysis, dictionary, by)
        case Survival(by=by, edges=edges):
            yield from _without(analysis, dictionary, by, fewest=0)
            yield from _wider(analysis, dictionary, by)
            yield from _sparser(analysis, dictionary, "edges", "time", edges)
        case Histogram(column=column):
            yield from _wider(analysis, dictionary, (column,))
        case Density(x=x, y=y, x_edges=x_edges, y_edges=y_edges):
            yield from _wider(analysis, dictionary, () if x_edges else (x,))
            yield from _wider(analysis, dictionary, () if y_edges else (y,))
            yield from _sparser(analysis, dictionary, "x_edges", x, x_edges)
            yield from _sparser(analysis, dictionary, "y_edges", y, y_edges)
        case _:
            return


def _without(
    analysis: Analysis, dictionary: Dictionary, by: tuple[str, ...], fewest: int
) -> Iterator[_Variant]:
    for name in by if len(by) > fewest else ():
        ref = dictionary.resolve(name)
        if not ref.many:
            rest = tuple(each for each in by if each != name)
            merged = len(ref.column.cell_labels)
            yield _Variant(
                f"without {ref.column.name}", changed(analysis, by=rest), dictionary, merged
            )


def _wider(
    analysis: Analysis, dictionary: Dictionary, names: tuple[str, ...]
) -> Iterator[_Variant]:
    for ref in map(dictionary.resolve, names):
        bins = ref.column.bins
        if ref.column.type in NUMERIC and not ref.many and len(bins) > 3:
            wide = halved(bins)
            words = f"with {ref.column.name} in {len(wide) - 1} bins instead of {len(bins) - 1}"
            yield _Variant(words, analysis, _with_bins(dictionary, ref, wide), 2)


def _sparser(
    analysis: Analysis, dictionary: Dictionary, field: str, what: str, edges: tuple[str, ...]
) -> Iterator[_Variant]:
    if len(edges) > 3:
        wide, name = halved(edges), what.rsplit(".", 1)[-1]
        words = f"with {name} in {len(wide) - 1} intervals instead of {len(edges) - 1}"
        yield _Variant(words, changed(analysis, **{field: wide}), dictionary, 2)


def halved(edges: tuple[str, ...]) -> tuple[str, ...]:
    """Every other edge, with the first and the last."""
    return (*edges[:-1:2], edges[-1])


def _with_bins(dictionary: Dictionary, ref: ColumnRef, bins: tuple[str, ...]) -> Dictionary:
    """The dictionary as it would be with other bins of one column."""
    column = changed(ref.column, bins=bins)
    columns = tuple(column if each is ref.column else each for each in ref.table.columns)
    table = changed(ref.table, columns=columns)
    return changed(
        dictionary, tables=tuple(table if each is ref.table else each for each in dictionary.tables)
    )
