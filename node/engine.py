"""Sums computed where the records are: the integer total of what consenting members contribute.

Expressions are built with Ibis and name no database; an engine (`node.engines`) compiles each to
one SQL statement and runs it on a consistent view. What a member may add is bounded in there.
The shape of the result, and whether there is one, depends on the question alone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from models.cohort.expression import Expression
from models.contribution import (
    BoundedValue,
    CellCounts,
    Contribution,
    Products,
    Rollup,
    Stack,
)
from models.streamed import Streamed
from node.engine_cohort import ibis
from node.engine_members import Question, asked, celled, code_names, multiplied, strides, valued
from node.engine_norms import squared_norms
from node.engine_stream import one_row, streamed
from node.engine_values import monomial_value, square
from node.engines.protocol import (
    Account,
    Columns,
    Engine,
    NotLinkedError,
    Reading,
    TotalTooLargeError,
)
from node.layout import MEMBERS
from node.linked import linked_column
from privacy.contract.diseases import KNOWN_DISEASES, Diseases
from privacy.contract.duo import Use

Total = NDArray[np.int64]
LARGEST_TOTAL = 2**62


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
    account: Account | None = None,
) -> Total:
    """Shape [contribution.length], in grid units: the sum over members of the cohort who consent.

    Equal, bit for bit, to `models.reference.total` on the same records. With `purpose` None no
    consent is asked for; without `use`, consent under terms does not count. Of a run that began
    earlier, on the day `since`, whoever `joined` is left out (numbers as in `member_ix`); it is
    asked when the view of the records is fixed. With an `account` members whose budget is used up
    sit out, and every other is charged for what they add, in one step with the reading. With a
    `linkage` only those count who were linked in that session, to be counted here, and still
    consent to linkage: whoever was not linked, or is counted at another organisation, adds nothing.
    Raises TotalTooLargeError instead of wrapping around, and NotLinkedError where the records are
    not of that linkage.
    """
    with engine.reading() if account is None else account.reading() as reading:
        known = reading.columns_of(MEMBERS)
        classes: tuple[int, ...] = ()
        if purpose is not None or linkage:
            classes = engine.classes(today, since or today, use, diseases)
        out = None if account is None else account.sitting_out
        question = Question(cohort, purpose, classes, joined(), site, out, linkage)
        if not known:
            return np.zeros(contribution.length, dtype=np.int64)
        if linkage and linked_column(linkage) not in known:
            raise NotLinkedError("the records are not of the linkage that was named")
        if account is not None:
            account.charge(reading, squared_norms(reading, contribution, question))
        return _part(reading, contribution, question)


def _part(reading: Reading, contribution: Contribution, question: Question) -> Total:
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
            members = asked(reading, question, one_row(contribution))
            found = streamed(reading, contribution, members, question.site)
            return _checked(found.tolist())
        case _:
            assert_never(contribution)


def prepare() -> None:
    """Load the libraries that the first question would otherwise wait for."""
    ibis().to_sql(ibis().table({"member_ix": "int32"}, name=MEMBERS), dialect="duckdb")


def _checked(values: list[int]) -> Total:
    if any(abs(value) >= LARGEST_TOTAL for value in values):
        raise TotalTooLargeError("a total exceeds 2^62")
    return np.array(values, dtype=np.int64)


# Counts of cells


def _cells(reading: Reading, shape: CellCounts, question: Question) -> Total:
    """Group the asked members by the codes of the dimensions, and count."""
    lines = celled(reading, shape, question)
    if not shape.dims:
        return _filled(shape, [], reading.run(lines.agg(n=lines.count())))
    names = code_names(shape)
    counted = lines.group_by([lines[name] for name in names]).agg(n=lines.count())
    return _filled(shape, names, reading.run(counted))


def _found_cells(
    shape: CellCounts | Products, names: list[str], found: Columns
) -> NDArray[np.int64]:
    """The place of every row that was found among the cells, in row-major order."""
    cells = np.zeros(len(found["n"]), dtype=np.int64)
    for name, stride in zip(names, strides(shape), strict=True):
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


def _filled(shape: CellCounts, names: list[str], found: Columns) -> Total:
    """Counts in row-major order, zero where no member is."""
    cells = _found_cells(shape, names, found)
    counts = found["n"].astype(np.int64)
    _checked([int(counts.max(initial=0)) * shape.weight])
    filled = np.zeros(shape.length, dtype=np.int64)
    filled[cells] = counts * shape.weight
    return filled


# Sums of a bounded value


def _values(reading: Reading, shape: BoundedValue, question: Question) -> Total:
    """Add up (count, value, square) over the asked members with a known value."""
    each = valued(reading, shape, question)
    sums = {"count": each.count(), "value": each.value.sum()}
    if shape.with_square:
        sums["square"] = square(shape, each.value).sum()
    found = {name: int(column[0]) for name, column in reading.run(each.agg(**sums)).items()}
    count = found.pop("count") * shape.count_weight
    return _checked([*([count] if shape.count_weight > 0 else []), *found.values()])


# Products of numbers


def _products(reading: Reading, shape: Products, question: Question) -> Total:
    """Add up counts and products by cell, over the asked members with every number known."""
    each, names = multiplied(reading, shape, question), code_names(shape)
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
