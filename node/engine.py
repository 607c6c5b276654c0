"""Sums computed where the records are: the integer total of what consenting members contribute.

Expressions are built with Ibis and name no database; an engine (`node.engines`) compiles each to
one SQL statement and runs it on a consistent view. What a member may add is bounded in there.
The shape of the result, and whether there is one, depends on the question alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from math import prod
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from models.cohort.expression import Expression, columns_of
from models.contribution import (
    BoundedValue,
    CellCounts,
    Contribution,
    Products,
    Rollup,
    Stack,
)
from models.streamed import Streamed
from node.consent import key_in_force
from node.engine_cohort import (
    Expr,
    cell_code,
    consenting,
    counted_here,
    has_cell,
    ibis,
    many_table,
    predicate,
    whole,
)
from node.engine_figures import asked_members
from node.engine_stream import one_row, streamed
from node.engine_values import monomial_value, per_member, quantised, square
from node.engines.protocol import (
    Columns,
    Engine,
    NotLinkedError,
    Reading,
    TotalTooLargeError,
)
from node.layout import MEMBERS
from node.linked import linked_column
from privacy.contract.dictionary import ColumnRef, Table
from privacy.contract.diseases import KNOWN_DISEASES, Diseases
from privacy.contract.duo import Use

Total = NDArray[np.int64]
LARGEST_TOTAL = 2**62


@dataclass(frozen=True)
class _Question:
    """Who is asked: a cohort, and the purpose they must have consented to, if any."""

    cohort: Expression
    purpose: str | None
    classes: tuple[int, ...]  # of consent, that count for the study on this day
    left_out: tuple[int, ...] = ()  # who consented after the run began
    site: str = ""  # the organisation's id, for sums by organisation
    linkage: str = ""  # the session by which each person is counted at one organisation


def total(
    engine: Engine,
    contribution: Contribution,
    cohort: Expression,
    *,
    purpose: str | None,
    today: date,
    since: date | None = None,
    use: Use | None = None,
    diseases: Diseases = KNOWN_DISEASES,
    joined: Callable[[], tuple[int, ...]] = tuple,
    site: str = "",
    linkage: str = "",
) -> Total:
    """Shape [contribution.length], in grid units: the sum over members of the cohort who consent.

    Equal, bit for bit, to `models.reference.total` on the same records. With `purpose` None no
    consent is asked for; without `use`, consent under terms does not count. Of a run that began
    earlier, on the day `since`, whoever `joined` is left out (numbers as in `member_ix`); it is
    asked when the view of the records is fixed. With a `linkage` only those count who were linked
    in that session, to be counted here, and still consent to linkage: whoever was not linked, or
    is counted at another organisation, adds nothing.
    Raises TotalTooLargeError instead of wrapping around, and NotLinkedError where the records are
    not of that linkage.
    """
    with engine.reading() as reading:
        known = reading.columns_of(MEMBERS)
        classes: tuple[int, ...] = ()
        if purpose is not None or linkage:
            classes = engine.classes(today, since or today, use, diseases)
        question = _Question(cohort, purpose, classes, joined(), site, linkage)
        if not known:
            return np.zeros(contribution.length, dtype=np.int64)
        if linkage and linked_column(linkage) not in known:
            raise NotLinkedError("the records are not of the linkage that was named")
        return _part(reading, contribution, question)


def _part(reading: Reading, contribution: Contribution, question: _Question) -> Total:
    match contribution:
        case CellCounts():
            return _cells(reading, contribution, question)
        case BoundedValue():
            return _values(reading, contribution, question)
        case Products():
            return _products(reading, contribution, question)
        case Rollup():
            return _rolled(contribution, _cells(reading, contribution.cells, question))
        case Stack():
            return np.concatenate([_part(reading, part, question) for part in contribution.parts])
        case Streamed():
            members = _asked(reading, question, one_row(contribution))
            found = streamed(reading, contribution, members, question.site)
            return _checked(found.tolist())
        case _:
            assert_never(contribution)


def prepare() -> None:
    """Load the libraries that the first question would otherwise wait for."""
    ibis().to_sql(ibis().table({"member_ix": "int32"}, name=MEMBERS), dialect="duckdb")


def _asked(reading: Reading, question: _Question, columns: frozenset[ColumnRef]) -> Expr:
    """The member table, narrowed to the members who are asked."""
    key = None
    if question.purpose is not None:
        key = key_in_force(reading.columns_of(MEMBERS), question.purpose)
    read = columns | frozenset(columns_of(question.cohort))
    members = asked_members(read, key, question.linkage)
    wanted = _consent(members, key, question)
    inside = predicate(question.cohort, members)
    wanted += [] if inside is None else [inside]
    return members.filter(wanted) if wanted else members


def _consent(members: Expr, key: str | None, question: _Question) -> list[Expr]:
    """Consent that counts, of those who did not join since the run began."""
    wanted = [] if key is None else [consenting(members, key, question.classes)]
    if question.linkage:
        wanted.append(counted_here(members, question.linkage, question.classes))
    if wanted and question.left_out:
        wanted.append(members.member_ix.notin(list(question.left_out)))
    return wanted


def _checked(values: list[int]) -> Total:
    if any(abs(value) >= LARGEST_TOTAL for value in values):
        raise TotalTooLargeError("a total exceeds 2^62")
    return np.array(values, dtype=np.int64)


# Counts of cells


def _cells(reading: Reading, shape: CellCounts, question: _Question) -> Total:
    """Group the asked members by the codes of the dimensions, and count."""
    asked = _asked(reading, question, frozenset(dim for dim in shape.dims if not dim.many))
    if not shape.dims:
        return _filled(shape, [], reading.run(asked.agg(n=asked.count())))
    names = _code_names(shape)
    placed = _placed(asked, shape, names)
    counted = placed.group_by([placed[name] for name in names]).agg(n=placed.count())
    return _filled(shape, names, reading.run(counted))


def _placed(asked: Expr, shape: CellCounts, names: list[str]) -> Expr:
    """One row per member and cell, with the cell's codes under `names`."""
    one = [dim for dim in shape.dims if not dim.many]
    asked = _coded(asked, shape, one)
    tables = list({dim.table.name: dim.table for dim in shape.dims if dim.many}.values())
    if not tables:
        return asked
    placed = asked.select("member_ix", *_names_of(shape, one))
    for table in tables:
        placed = placed.join(_distinct(table, shape), "member_ix")
    if _most_cells(shape, tables) <= shape.max_cells:
        return placed
    return _first_cells(placed, shape, names)


def _distinct(table: Table, shape: CellCounts) -> Expr:
    """The distinct combinations of codes in which each member has a row."""
    dims = [dim for dim in shape.dims if dim.table.name == table.name]
    rows = many_table(table, frozenset(dims))
    return _coded(rows, shape, dims).select("member_ix", *_names_of(shape, dims)).distinct()


def _coded(rows: Expr, shape: CellCounts | Products, dims: list[ColumnRef]) -> Expr:
    """The rows that have a cell in each of `dims`, with the cells' codes."""
    if not dims:
        return rows
    rows = rows.filter([has_cell(rows, dim) for dim in dims])
    codes = [cell_code(rows, dim) for dim in dims]
    return rows.mutate(dict(zip(_names_of(shape, dims), codes, strict=True)))


def _names_of(shape: CellCounts | Products, dims: list[ColumnRef]) -> list[str]:
    """The names of the codes of some of the shape's dimensions."""
    names = dict(zip(shape.dims, _code_names(shape), strict=True))
    return [names[dim] for dim in dims]


def _code_names(shape: CellCounts | Products) -> list[str]:
    """By place: databases differ in how long a name may be."""
    return [f"cell:{at}" for at in range(len(shape.dims))]


def _most_cells(shape: CellCounts, tables: list[Table]) -> int:
    """How many cells a member can be in, by what is declared."""
    return prod(
        min(
            table.max_rows_per_member,
            prod(len(d.column.cell_labels) for d in shape.dims if d.table.name == table.name),
        )
        for table in tables
    )


def _first_cells(placed: Expr, shape: CellCounts, names: list[str]) -> Expr:
    """At most `max_cells` per member: those that come first in the order of cells."""
    parts = [
        placed[name].cast("int64") * whole(stride)
        for name, stride in zip(names, _strides(shape), strict=True)
    ]
    placed = placed.mutate(cell=sum(parts[1:], parts[0]))
    window = ibis().window(group_by=placed.member_ix, order_by=placed.cell)
    ranked = placed.mutate(cell_rank=ibis().row_number().over(window))
    return ranked.filter(ranked.cell_rank < whole(shape.max_cells))


def _found_cells(
    shape: CellCounts | Products, names: list[str], found: Columns
) -> NDArray[np.int64]:
    """The place of every row that was found among the cells, in row-major order."""
    cells = np.zeros(len(found["n"]), dtype=np.int64)
    for name, stride in zip(names, _strides(shape), strict=True):
        cells += found[name].astype(np.int64) * stride
    return cells


def _rolled(shape: Rollup, cells: Total) -> Total:
    """The cells' totals, and after them those of the groups; sums of them, so exact."""
    coarse = []
    for group, size in zip(shape.groups, shape.sizes, strict=True):
        summed = [0] * size
        for cell, amount in zip(group, cells.tolist(), strict=True):
            summed[cell] += amount
        coarse.append(_checked(summed))
    return np.concatenate([cells, *coarse])


def _strides(shape: CellCounts | Products) -> list[int]:
    """How far apart neighbours along each dimension lie; the last varies fastest."""
    sizes = [len(dim.column.cell_labels) for dim in shape.dims]
    return [prod(sizes[i + 1 :]) for i in range(len(sizes))]


def _filled(shape: CellCounts, names: list[str], found: Columns) -> Total:
    """Counts in row-major order, zero where no member is."""
    cells = _found_cells(shape, names, found)
    counts = found["n"].astype(np.int64)
    _checked([int(counts.max(initial=0)) * shape.weight])
    filled = np.zeros(shape.length, dtype=np.int64)
    filled[cells] = counts * shape.weight
    return filled


# Sums of a bounded value


def _values(reading: Reading, shape: BoundedValue, question: _Question) -> Total:
    """Add up (count, value, square) over the asked members with a known value."""
    ref = shape.column
    if ref.many:
        asked = _asked(reading, question, frozenset())
        each = asked.select("member_ix").join(per_member(shape), "member_ix")
    else:
        asked = _asked(reading, question, frozenset((ref,)))
        known = asked.filter(asked[ref.name].notnull())
        each = known.select(value=quantised(shape, known[ref.name]))
    sums = {"count": each.count(), "value": each.value.sum()}
    if shape.with_square:
        sums["square"] = square(shape, each.value).sum()
    found = {name: int(column[0]) for name, column in reading.run(each.agg(**sums)).items()}
    count = found.pop("count") * shape.count_weight
    return _checked([*([count] if shape.count_weight > 0 else []), *found.values()])


# Products of numbers


def _products(reading: Reading, shape: Products, question: _Question) -> Total:
    """Add up counts and products by cell, over the asked members with every number known."""
    numbered = {f"q{at}": variable for at, variable in enumerate(shape.variables)}
    one = {name: each for name, each in numbered.items() if not each.column.many}
    columns = frozenset(shape.dims) | frozenset(each.column for each in one.values())
    asked = _asked(reading, question, columns)
    known = [asked[each.column.name].notnull() for each in one.values()]
    coded = _coded(asked.filter(known) if known else asked, shape, list(shape.dims))
    names = _code_names(shape)
    values = {name: quantised(each, coded[each.column.name]) for name, each in one.items()}
    each = coded.select("member_ix", *names, **values)
    for name, variable in numbered.items():
        if variable.column.many:
            own = per_member(variable)
            each = each.join(own.select("member_ix", **{name: own.value}), "member_ix")
    return _summed(reading, shape, each, names)


def _summed(reading: Reading, shape: Products, each: Expr, names: list[str]) -> Total:
    sums = {"n": each.count()} | {
        f"s{at}": monomial_value(monomial, each, shape.scale).sum()
        for at, monomial in enumerate(shape.monomials)
    }
    grouped = (
        each.group_by([each[name] for name in names]).agg(**sums) if names else each.agg(**sums)
    )
    found = reading.run(grouped)
    cells = _found_cells(shape, names, found)
    counted = {"n": found["n"].astype(object) * shape.count_weight} if shape.count_weight else {}
    columns = [(dict(found) | counted)[name] for name in sums if name != "n" or counted]
    filled = np.zeros((shape.cells, shape.width), dtype=np.int64)
    for at, column in enumerate(columns):
        filled[cells, at] = _checked(column.tolist())
    return filled.ravel()
