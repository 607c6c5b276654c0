"""From the dictionary's columns to what a network reads, by public bounds and levels alone.

A number or date is (x - centre) / half_width of its declared bounds, clamped to [-1, 1]; a level
is one-hot; each carries an indicator of being missing, with zeros in its place. In a network
over visits the columns of one many-row table are read visit by visit, in order of rank; other
networks read the mean of the member's rows. A member without a row there is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.figures.named import column_named
from models.neural.architecture import Architecture, Gru
from models.neural.forward import Inputs
from models.neural.outcome import Outcome, target
from models.neural.reading import column_rows, plain_numbers
from models.rows import Rows, Values, is_known
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.errors import BadInput

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
MAX_FEATURES = 200


@dataclass(frozen=True)
class Encoding:
    """What goes into a network: columns of members, and columns of visits of one table."""

    static: tuple[ColumnRef, ...]
    visit: tuple[ColumnRef, ...]

    @property
    def static_width(self) -> int:
        return sum(map(width, self.static))

    @property
    def visit_width(self) -> int:
        return sum(map(width, self.visit))

    @property
    def visits(self) -> int:
        """The most visits of one member."""
        return self.visit[0].table.max_rows_per_member if self.visit else 0


@dataclass(frozen=True, repr=False, eq=False)
class Batch:
    """Members' numbers, member by member along the first dimension of every array.

    `target`: [members] float32 (codes of levels, or scaled numbers); `known`: whether a
    member is asked and their outcome is known. Nothing of it prints.
    """

    inputs: Inputs
    target: Floats
    known: Mask

    @property
    def members(self) -> int:
        return len(self.known)

    def part(self, chosen: slice | Mask) -> Batch:
        inputs = self.inputs
        return Batch(
            Inputs(inputs.static[chosen], inputs.visits[chosen], inputs.present[chosen]),
            self.target[chosen],
            self.known[chosen],
        )


def width(ref: ColumnRef) -> int:
    """Numbers that a column becomes, its indicator of being missing included."""
    return (len(ref.column.levels) or 1) + 1


def encoding(
    dictionary: Dictionary, network: Architecture, features: tuple[str, ...], outcome: str
) -> Encoding:
    """Raises BadInput for a column that no network can read, given twice, or the outcome."""
    refs = tuple(column_named(dictionary, name) for name in features)
    names = [ref.name for ref in refs]
    if len(set(names)) < len(names) or not 1 <= len(refs) <= MAX_FEATURES:
        raise BadInput(f"give 1 to {MAX_FEATURES} features, each once", where="features")
    if column_named(dictionary, outcome).name in names:
        raise BadInput(f"{outcome!r} is the outcome", where="features", instead="leave it out")
    for ref in refs:
        if not ref.column.levels and ref.column.bounds is None:
            raise BadInput(
                f"{ref.name} has neither levels nor bounds",
                where="features",
                instead="declare lower and upper in the dictionary, or choose another column",
            )
    visit = tuple(ref for ref in refs if ref.many)
    if len({ref.table.name for ref in visit}) > 1:
        raise BadInput("columns of many rows come from one table", where="features")
    if not isinstance(network, Gru):
        return Encoding(refs, ())
    return Encoding(tuple(ref for ref in refs if not ref.many), visit)


def numbers(ref: ColumnRef, values: Values) -> Floats:
    """Shape [rows, width(ref)]: the column's numbers, and 1 in the last where it is missing."""
    known = is_known(values)
    if ref.column.levels:
        places = np.arange(len(ref.column.levels))
        shown = np.asarray(values[:, None] == places, dtype=np.float32)
    else:
        shown = _scaled(ref, values)[:, None].astype(np.float32)
    return np.concatenate([shown * known[:, None], ~known[:, None]], axis=1).astype(np.float32)


def _scaled(ref: ColumnRef, values: Values) -> NDArray[np.float64]:
    if ref.column.bounds is None:
        raise BadInput(f"{ref.name} has no bounds", where="features")
    lower, upper = ref.column.bounds
    plain = plain_numbers(ref, values)
    with np.errstate(over="ignore"):
        scaled = (plain - (lower + upper) / 2) / ((upper - lower) / 2)
    return np.clip(np.where(is_known(values), scaled, 0.0), -1.0, 1.0)


def encode(plan: Encoding, outcome: Outcome, rows: Rows, asked: Mask) -> Batch:
    """What the network reads of every member; `asked` has shape [members]."""
    static = [_of_members(ref, rows) for ref in plan.static]
    visits, present = _visits(plan, rows)
    goal, known = target(outcome, rows)
    for ref in (*plan.static, *plan.visit):
        if ref.many:
            known &= np.bincount(column_rows(rows, ref)[0].member, minlength=rows.members) > 0
    joined = np.concatenate(static, axis=1) if static else np.zeros((rows.members, 0), np.float32)
    return Batch(Inputs(joined, visits, present), goal, known & asked)


def _of_members(ref: ColumnRef, rows: Rows) -> Floats:
    """Shape [members, width]: the mean of the member's rows with a value; missing without one."""
    table, values = column_rows(rows, ref)
    known = is_known(values)
    member, shown = table.member[known], numbers(ref, values[known])
    summed = np.zeros((rows.members, shown.shape[1]), dtype=np.float64)
    np.add.at(summed, member, shown)
    count = np.bincount(member, minlength=rows.members)
    mean = summed / np.maximum(count, 1)[:, None]
    mean[:, -1] = count == 0
    return mean.astype(np.float32)


def _visits(plan: Encoding, rows: Rows) -> tuple[Floats, Floats]:
    """Shapes [members, visits, width] and [members, visits]; zeros where there is no visit."""
    shape = (rows.members, plan.visits)
    visits = np.zeros((*shape, plan.visit_width), dtype=np.float32)
    present = np.zeros(shape, dtype=np.float32)
    if plan.visit:
        table, _ = column_rows(rows, plan.visit[0])
        shown = [numbers(ref, column_rows(rows, ref)[1]) for ref in plan.visit]
        visits[table.member, table.rank] = np.concatenate(shown, axis=1)
        present[table.member, table.rank] = 1.0
    return visits, present
