"""A preview cell by cell: what each figure's expected error is, where cells have names."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from models.aggregates.catalogue import cells
from models.aggregates.expected import Expected, Foretold
from models.aggregates.regions import country_of
from models.aggregates.requests import Analysis, Map, Table
from models.aggregates.tables import ALL
from models.planner import ASSUMED_MEMBERS, Preview
from models.setting import Setting
from privacy.contract.dictionary import Dictionary


@dataclass(frozen=True)
class Line(Foretold):
    """One cell. `members` are those to expect if they were spread evenly, None if unknown."""

    cell: tuple[str, ...]
    members: float | None
    half_noise: float | None
    half_sampling: float | None


def lines(planned: Preview, analysis: Analysis, dictionary: Dictionary) -> tuple[Line, ...]:
    """Every named cell of a previewed, normalised analysis, with the margins of tables and maps."""
    match analysis:
        case Table():
            return tuple(_table(planned, analysis, dictionary))
        case Map():
            return tuple(_map(planned, analysis, dictionary))
        case _:
            named = cells(analysis, dictionary)
            expected = _expected(planned, analysis, dictionary)
            return tuple(
                _told(cell, planned.members_per_cell, each)
                for cell, each in zip(named, expected, strict=True)
            )


def _expected(
    planned: Preview, analysis: Analysis, dictionary: Dictionary
) -> tuple[Expected | None, ...]:
    """What the preview says of one cell, for each of them."""
    delta = Fraction(str(planned.delta))
    setting = Setting(delta, planned.nodes, planned.margin, planned.memberships)
    law = setting.law(analysis, dictionary, planned.epsilon)
    members = planned.members or (ASSUMED_MEMBERS if analysis.by_size else None)
    return analysis.expected_cells(dictionary, law, members)


def _told(cell: tuple[str, ...], members: float | None, expected: Expected | None) -> Line:
    if expected is None or not math.isfinite(expected.half_width):
        return Line(cell, members, None, None)
    return Line(cell, members, expected.half_noise, expected.half_sampling)


def _table(planned: Preview, analysis: Table, dictionary: Dictionary) -> Iterator[Line]:
    """A margin's noise is that of all the cells it adds up."""
    sides = [(*ref.column.cell_labels, ALL) for ref in analysis.refs(dictionary)]
    for cell in itertools.product(*sides):
        parts = math.prod(
            len(side) - 1 for name, side in zip(cell, sides, strict=True) if name == ALL
        )
        yield _line(planned, cell, parts, math.sqrt(parts))


def _map(planned: Preview, analysis: Map, dictionary: Dictionary) -> Iterator[Line]:
    """Regions and countries share what the least squares leave: sizes / (sizes + 1)."""
    levels = dictionary.resolve(analysis.region).column.levels
    sizes = Counter(map(country_of, levels))
    left = {home: math.sqrt(size / (size + 1)) for home, size in sizes.items()}
    most = max(left.values())
    everyone = math.sqrt(sum(each**2 for each in left.values()))
    yield _line(planned, (ALL, ALL), len(levels), everyone / most)
    for home, size in sizes.items():
        yield _line(planned, (home, ALL), size, left[home] / most)
    for level in levels:
        yield _line(planned, (country_of(level), level), 1, left[country_of(level)] / most)


def _line(planned: Preview, cell: tuple[str, ...], parts: int, times: float) -> Line:
    """A cell of `parts` groups whose noise is `times` that of the preview's own."""
    each = planned.members_per_cell
    noise = planned.half_noise
    return Line(
        cell=cell,
        members=None if each is None else each * parts,
        half_noise=None if noise is None else noise * times,
        half_sampling=planned.half_sampling,
    )
