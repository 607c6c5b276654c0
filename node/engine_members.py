"""What a question reads of each member, as expressions with a line per member (and cell).

The sums (`node.engine`) and the squared norms that members are charged for (`node.engine_norms`)
are made of these same lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from models.cohort.expression import Expression, columns_of
from models.contribution import BoundedValue, CellCounts, Products
from node.consent import key_in_force
from node.engine_cohort import (
    Expr,
    cell_code,
    consenting,
    counted_here,
    has_cell,
    ibis,
    listed,
    many_table,
    predicate,
    whole,
)
from node.engine_figures import asked_members
from node.engine_values import per_member, quantised
from node.engines.protocol import Reading
from node.layout import MEMBERS
from privacy.contract.dictionary import ColumnRef, Table


@dataclass(frozen=True)
class Question:
    """Who is asked: a cohort, and the purpose they must have consented to, if any."""

    cohort: Expression
    purpose: str | None
    classes: tuple[int, ...]  # of consent, that count for the study on this day
    left_out: tuple[int, ...] = ()  # who consented after the run began
    site: str = ""  # the organisation's id, for sums by organisation
    sitting_out: Expr | None = None  # numbers of members whose budget is used up, if any may be
    linkage: str = ""  # the session by which each person is counted at one organisation


def asked(reading: Reading, question: Question, columns: frozenset[ColumnRef]) -> Expr:
    """The member table, narrowed to the members who are asked."""
    key = None
    if question.purpose is not None:
        key = key_in_force(reading.columns_of(MEMBERS), question.purpose)
    read = columns | frozenset(columns_of(question.cohort))
    members = asked_members(read, key, question.linkage)
    wanted = _consent(members, key, question)
    inside = predicate(question.cohort, members)
    wanted += [] if inside is None else [inside]
    if question.sitting_out is not None:
        wanted.append(members.member_ix.notin(question.sitting_out))
    return members.filter(wanted) if wanted else members


def _consent(members: Expr, key: str | None, question: Question) -> list[Expr]:
    """Consent that counts, of those who did not join since the run began."""
    wanted = [] if key is None else [consenting(members, key, question.classes)]
    if question.linkage:
        wanted.append(counted_here(members, question.linkage, question.classes))
    if wanted and question.left_out:
        wanted.append(members.member_ix.notin(listed(question.left_out)))
    return wanted


# Cells


def celled(reading: Reading, shape: CellCounts, question: Question) -> Expr:
    """One row per asked member and cell, with the cell's codes under `code_names`."""
    one = [dim for dim in shape.dims if not dim.many]
    members = coded(asked(reading, question, frozenset(one)), shape, one)
    tables = list({dim.table.name: dim.table for dim in shape.dims if dim.many}.values())
    if not tables:
        return members
    placed = members.select("member_ix", *_names_of(shape, one))
    for table in tables:
        placed = placed.join(_distinct(table, shape), "member_ix")
    if _most_cells(shape, tables) <= shape.max_cells:
        return placed
    return _first_cells(placed, shape)


def _distinct(table: Table, shape: CellCounts) -> Expr:
    """The distinct combinations of codes in which each member has a row."""
    dims = [dim for dim in shape.dims if dim.table.name == table.name]
    rows = many_table(table, frozenset(dims))
    return coded(rows, shape, dims).select("member_ix", *_names_of(shape, dims)).distinct()


def coded(rows: Expr, shape: CellCounts | Products, dims: list[ColumnRef]) -> Expr:
    """The rows that have a cell in each of `dims`, with the cells' codes."""
    if not dims:
        return rows
    rows = rows.filter([has_cell(rows, dim) for dim in dims])
    codes = [cell_code(rows, dim) for dim in dims]
    return rows.mutate(dict(zip(_names_of(shape, dims), codes, strict=True)))


def _names_of(shape: CellCounts | Products, dims: list[ColumnRef]) -> list[str]:
    """The names of the codes of some of the shape's dimensions."""
    names = dict(zip(shape.dims, code_names(shape), strict=True))
    return [names[dim] for dim in dims]


def code_names(shape: CellCounts | Products) -> list[str]:
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


def _first_cells(placed: Expr, shape: CellCounts) -> Expr:
    """At most `max_cells` per member: those that come first in the order of cells."""
    parts = [
        placed[name].cast("int64") * whole(stride)
        for name, stride in zip(code_names(shape), strides(shape), strict=True)
    ]
    placed = placed.mutate(cell=sum(parts[1:], parts[0]))
    window = ibis().window(group_by=placed.member_ix, order_by=placed.cell)
    ranked = placed.mutate(cell_rank=ibis().row_number().over(window))
    return ranked.filter(ranked.cell_rank < whole(shape.max_cells))


def strides(shape: CellCounts | Products) -> list[int]:
    """How far apart neighbours along each dimension lie; the last varies fastest."""
    sizes = [len(dim.column.cell_labels) for dim in shape.dims]
    return [prod(sizes[i + 1 :]) for i in range(len(sizes))]


# Bounded values


def valued(reading: Reading, shape: BoundedValue, question: Question) -> Expr:
    """(member_ix, value) of the asked members with a known value."""
    ref = shape.column
    if ref.many:
        members = asked(reading, question, frozenset())
        return members.select("member_ix").join(per_member(shape), "member_ix")
    members = asked(reading, question, frozenset((ref,)))
    known = members.filter(members[ref.name].notnull())
    return known.select("member_ix", value=quantised(shape, known[ref.name]))


def multiplied(reading: Reading, shape: Products, question: Question) -> Expr:
    """Each asked member with every number known: member_ix, the cell's codes, and q0, q1, …"""
    numbered = {f"q{at}": variable for at, variable in enumerate(shape.variables)}
    one = {name: each for name, each in numbered.items() if not each.column.many}
    columns = frozenset(shape.dims) | frozenset(each.column for each in one.values())
    members = asked(reading, question, columns)
    known = [members[each.column.name].notnull() for each in one.values()]
    placed = coded(members.filter(known) if known else members, shape, list(shape.dims))
    values = {name: quantised(each, placed[each.column.name]) for name, each in one.items()}
    each = placed.select("member_ix", *code_names(shape), **values)
    for name, variable in numbered.items():
        if variable.column.many:
            own = per_member(variable)
            each = each.join(own.select("member_ix", **{name: own.value}), "member_ix")
    return each
