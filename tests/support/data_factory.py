"""Small random worlds: a dictionary, members' rows in plain Python, and the files they come in.

Beside them stands a second reading of what cohorts and contributions mean, member by member and
as literal as can be, that shares no code with the engine, the parser or the reference.
"""

from __future__ import annotations

import csv
import math
import random
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models.aggregates.columns import NUMERIC, capped, gridded
from models.contribution import (
    BoundedValue,
    CellCounts,
    Contribution,
    Monomial,
    Products,
    Rollup,
    Stack,
    Summary,
)
from models.dictionary_file import load_dictionary
from privacy.contract.dictionary import Column, ColumnRef, ColumnType, Dictionary, Table

Row = dict[str, Any]  # column -> value as written in the file, None where missing
Rows = dict[str, list[Row]]  # table -> rows of one member, in file order
TODAY = date(2026, 3, 1)


@dataclass
class World:
    """People by key, and the consent that stands in their row of the first table."""

    dictionary: Dictionary
    people: dict[str, Rows]
    consent: dict[str, bool] = field(default_factory=dict)

    def consents(self, key: str) -> bool:
        return bool(self.people[key][self.dictionary.tables[0].name]) and self.consent[key]


# Making a world


def make_world(rng: random.Random, members: int = 40) -> World:
    dictionary = load_dictionary(make_dictionary_text(rng), "dictionary.toml")
    people = {f"m{i}": _person(rng, dictionary) for i in range(members)}
    consent = {key: rng.random() < 0.8 for key in people}
    return World(dictionary, people, consent)


def make_dictionary_text(rng: random.Random) -> str:
    """Two one-row and two many-row tables with columns of every kind."""
    parts = []
    for number, rows in enumerate(("one", "one", "many", "many")):
        name = f"t{number}"
        parts.append(f'[tables.{name}]\nkey = "who"\nrows = "{rows}"')
        if rows == "many":
            parts.append(f"max_rows_per_member = {rng.randint(1, 4)}")
            parts.append(rng.choice(['time = "day"', 'time = "tick"', ""]))
        for column, text in _columns(rng, number):
            parts.append(f"[tables.{name}.columns.{column}]\n{text}")
    return "\n".join(parts)


def _columns(rng: random.Random, number: int) -> list[tuple[str, str]]:
    levels = [f"l'{i}" for i in range(rng.randint(1, 4))]
    low = rng.choice([-10, 0, 5])
    edges = sorted(rng.sample(range(low, low + 20), rng.randint(2, 5)))
    inner = [str(edge) for edge in edges]
    return [
        (f"kind{number}", f"levels = {levels}".replace('"', "'").replace("l'", "l")),
        (f"flag{number}", 'type = "boolean"'),
        (f"size{number}", f'type = "number"\nbins = [{", ".join(inner)}]'),
        (f"grade{number}", f'type = "integer"\nlower = {low}\nupper = {low + 7}\nbins = 3'),
        ("day", 'type = "date"'),
        (f"free{number}", 'type = "text"'),
    ]


def _person(rng: random.Random, dictionary: Dictionary) -> Rows:
    person: Rows = {}
    for table in dictionary.tables:
        count = rng.choice([0, 1, 1, 1]) if table.rows.value == "one" else rng.randint(0, 6)
        person[table.name] = [_row(rng, table) for _ in range(count)]
    if not any(person.values()):
        first = dictionary.tables[0]
        person[first.name] = [_row(rng, first)]
    return person


def _row(rng: random.Random, table: Table) -> Row:
    row = {c.name: None if rng.random() < 0.2 else _value(rng, c) for c in table.columns}
    row["tick"] = rng.randint(0, 12)
    return row


def _value(rng: random.Random, column: Column) -> Any:
    match column.type:
        case ColumnType.CATEGORICAL | ColumnType.BOOLEAN:
            return rng.choice(column.levels)
        case ColumnType.INTEGER:
            return rng.randint(-12, 20)
        case ColumnType.NUMBER:
            return rng.choice([rng.uniform(-15, 30), float(rng.randint(-12, 25)), 0.1 + 0.2])
        case ColumnType.DATE:
            return date(2020, 1, 1) + timedelta(days=rng.randint(0, 9))
        case ColumnType.TEXT:
            return rng.choice(['a, "b"', "x;y", "two\nlines"])


# Its files


def write_folder(world: World, folder: Path, *, parquet: bool = False) -> Path:
    """One file per table, consent as a column of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, table in enumerate(world.dictionary.tables):
        rows = _file_rows(world, table, with_consent=place == 0)
        names = ["tick", "who", *(column.name for column in table.columns)]
        if place == 0:
            names.append("consent")
        write = _write_parquet if parquet else write_csv
        write(folder / f"{table.name}.{'parquet' if parquet else 'csv'}", names, rows)
    return folder


def _file_rows(world: World, table: Table, *, with_consent: bool) -> list[Row]:
    rows = []
    for key, person in world.people.items():
        said = {"consent": "yes" if world.consent.get(key) else "no"} if with_consent else {}
        rows += [{"who": key, **row, **said} for row in person[table.name]]
    return rows


def write_csv(path: Path, names: list[str], rows: list[Row], delimiter: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(names)
        for row in rows:
            writer.writerow(["" if row.get(n) is None else row[n] for n in names])


def _write_parquet(path: Path, names: list[str], rows: list[Row]) -> None:
    pq.write_table(pa.table({n: [row.get(n) for row in rows] for n in names}), path)


# What it means, read a second time


def rows_used(table: Table, rows: list[Row]) -> list[Row]:
    """The rows of one member that count: the first by time, then by file order."""
    if table.rows.value == "one":
        return rows
    order = list(rows)
    if table.time is not None:
        order = sorted(order, key=lambda row: (row[table.time] is None, row[table.time] or 0))
        known = [row for row in rows if row[table.time] is not None]
        order = sorted(known, key=lambda row: row[table.time])
        order += [row for row in rows if row[table.time] is None]
    return order[: table.max_rows_per_member]


def values_of(person: Rows, ref: ColumnRef) -> list[Any]:
    """The member's values, None where missing, numbers clamped."""
    rows = rows_used(ref.table, person[ref.table.name])
    return [clamp(ref.column, row[ref.column.name]) for row in rows]


def clamp(column: Column, value: Any) -> Any:
    if value is None or column.bounds is None:
        return value
    low, high = column.bounds
    return min(max(float(value), low), high)


def cell_of(column: Column, value: Any) -> int | None:
    if value is None:
        return None
    if column.levels:
        return column.levels.index(value)
    inner = [float(Fraction(edge)) for edge in column.bins[1:-1]]
    return sum(value >= edge for edge in inner)


def contribution_of(shape: Contribution, person: Rows) -> list[int]:
    """The integers that one member adds."""
    match shape:
        case CellCounts():
            return _cells_of(shape, person)
        case BoundedValue():
            return _value_of(shape, person)
        case Products():
            return _products_of(shape, person)
        case Rollup():
            cells = _cells_of(shape.cells, person)
            views = [
                [
                    sum(n for n, home in zip(cells, view, strict=True) if home == group)
                    for group in range(max(view) + 1)
                ]
                for view in shape.groups
            ]
            return [*cells, *(number for view in views for number in view)]
        case Stack():
            return [number for part in shape.parts for number in contribution_of(part, person)]


def _cells_of(shape: CellCounts, person: Rows) -> list[int]:
    sizes = [len(dim.column.cell_labels) for dim in shape.dims]
    options = []
    for name in dict.fromkeys(dim.table.name for dim in shape.dims):
        dims = [dim for dim in shape.dims if dim.table.name == name]
        per_row = zip(*(values_of(person, dim) for dim in dims), strict=True)
        options.append(
            [
                {d.name: cell_of(d.column, v) for d, v in zip(dims, row, strict=True)}
                for row in per_row
            ]
        )
    cells = set()
    for choice in product(*options):
        joined = {name: code for part in choice for name, code in part.items()}
        codes = [joined[dim.name] for dim in shape.dims]
        if None not in codes:
            cell = 0
            for size, code in zip(sizes, codes, strict=True):
                cell = cell * size + code
            cells.add(cell)
    vector = [0] * math.prod(sizes)
    for cell in sorted(cells)[: shape.max_cells]:
        vector[cell] = shape.weight
    return vector


def _value_of(shape: BoundedValue, person: Rows) -> list[int]:
    known = [v for v in values_of(person, shape.column) if v is not None]
    length = 1 + (shape.count_weight > 0) + shape.with_square
    if not known:
        return [0] * length
    steps = [math.floor((v - shape.centre) / shape.half_width * shape.scale + 0.5) for v in known]
    q = [min(max(step, -shape.scale), shape.scale) for step in steps]
    if shape.summary is Summary.MEAN:
        value = math.floor(Fraction(sum(q), len(q)) + Fraction(1, 2))
    elif shape.summary is Summary.SUM:
        most = shape.column.table.max_rows_per_member
        value = math.floor(Fraction(sum(q), most) + Fraction(1, 2))
    else:
        value = sum(q)
    square = math.floor(Fraction(value * value, shape.scale)) - shape.scale // 2
    counted = [shape.count_weight] if shape.count_weight > 0 else []
    return [*counted, value, *([square] if shape.with_square else [])]


def _products_of(shape: Products, person: Rows) -> list[int]:
    vector = [0] * shape.length
    codes = [cell_of(dim.column, value) for dim in shape.dims for value in values_of(person, dim)]
    numbers = [_one_value(variable, person) for variable in shape.variables]
    if None in codes or len(codes) < len(shape.dims) or None in numbers:
        return vector
    cell = 0
    for dim, code in zip(shape.dims, codes, strict=True):
        cell = cell * len(dim.column.cell_labels) + code
    parts = [shape.count_weight] if shape.count_weight > 0 else []
    scale = shape.variables[0].scale
    for monomial in shape.monomials:
        product: int = numbers[monomial.factors[0]]
        for factor in monomial.factors[1:]:
            product = _nearest(Fraction(product * numbers[factor], scale))
        product = _nearest(Fraction(product, monomial.divisor))
        if all(monomial.factors.count(each) % 2 == 0 for each in set(monomial.factors)):
            product -= _nearest(Fraction(scale, monomial.divisor)) // 2
        parts.append(product)
    vector[cell * len(parts) : (cell + 1) * len(parts)] = parts
    return vector


def _nearest(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def _one_value(shape: BoundedValue, person: Rows) -> int | None:
    """The member's q, or None where nothing is known; a level counts as its place."""
    known = [v for v in values_of(person, shape.column) if v is not None]
    if not known:
        return None
    if shape.column.column.levels:
        known = [shape.column.column.levels.index(v) for v in known]
    steps = [math.floor((v - shape.centre) / shape.half_width * shape.scale + 0.5) for v in known]
    q = [min(max(step, -shape.scale), shape.scale) for step in steps]
    match shape.summary:
        case Summary.MEAN:
            return _nearest(Fraction(sum(q), len(q)))
        case Summary.SUM:
            return _nearest(Fraction(sum(q), shape.column.table.max_rows_per_member))
        case _:
            return sum(q)


# Cohorts as nested tuples, with their text


def make_cohort(rng: random.Random, dictionary: Dictionary, depth: int = 3) -> tuple[Any, ...]:
    """("and" | "or", a, b), ("not", a), or a leaf (kind, ref, …)."""
    kind = rng.choice(["leaf", "leaf", "and", "or", "not"]) if depth else "leaf"
    if kind == "leaf":
        return _make_leaf(rng, dictionary)
    inner = [make_cohort(rng, dictionary, depth - 1) for _ in range(1 if kind == "not" else 2)]
    return (kind, *inner)


def _make_leaf(rng: random.Random, dictionary: Dictionary) -> tuple[Any, ...]:
    usable = [ref for ref in dictionary.refs.values() if ref.column.type is not ColumnType.TEXT]
    ref = rng.choice(usable)
    ordered = not ref.column.levels
    kinds = ["compare", "in", "not in", "missing", "not missing"] + ["between"] * ordered
    kind = rng.choice(kinds)
    if kind == "compare":
        signs = ["==", "!=", "<", "<=", ">", ">="] if ordered else ["==", "!="]
        return (kind, ref, rng.choice(signs), _value(rng, ref.column))
    if kind == "between":
        return (kind, ref, *sorted([_value(rng, ref.column), _value(rng, ref.column)]))
    if kind in ("in", "not in"):
        return (kind, ref, [_value(rng, ref.column) for _ in range(rng.randint(1, 3))])
    return (kind, ref)


def cohort_text(cohort: tuple[Any, ...], rng: random.Random) -> str:
    """The tree written out, with more brackets and spaces than needed."""
    match cohort:
        case ("and" | "or" as word, left, right):
            return f"({cohort_text(left, rng)}) {word}  ({cohort_text(right, rng)})"
        case ("not", inner):
            return f"not ({cohort_text(inner, rng)})"
        case ("compare", ref, sign, value):
            return f"{_name(ref, rng)}{sign}{_written(ref, value)}"
        case ("between", ref, low, high):
            return f"{_name(ref, rng)} between {_written(ref, low)} AND {_written(ref, high)}"
        case ("in" | "not in" as word, ref, values):
            listed = ",".join(_written(ref, value) for value in values)
            return f"{_name(ref, rng)} {word} [{listed}]"
        case ("missing", ref):
            return f"{_name(ref, rng)} is missing"
        case ("not missing", ref):
            return f"{_name(ref, rng)} is not missing"
    raise ValueError(cohort)


def _name(ref: ColumnRef, rng: random.Random) -> str:
    return ref.name if ref.column.name == "day" or rng.random() < 0.5 else ref.column.name


def _written(ref: ColumnRef, value: Any) -> str:
    if ref.column.type is ColumnType.BOOLEAN:
        return str(value)
    if isinstance(value, str):
        return '"' + value + '"'
    return f"'{value}'" if isinstance(value, date) else repr(value)


def truth(cohort: tuple[Any, ...], person: Rows) -> bool | None:
    """True, False, or None for unknown."""
    match cohort:
        case ("and", left, right):
            sides = (truth(left, person), truth(right, person))
            return False if False in sides else None if None in sides else True
        case ("or", left, right):
            sides = (truth(left, person), truth(right, person))
            return True if True in sides else None if None in sides else False
        case ("not", inner):
            found = truth(inner, person)
            return None if found is None else not found
        case ("missing", ref):
            return all(value is None for value in values_of(person, ref))
        case ("not missing", ref):
            return any(value is not None for value in values_of(person, ref))
    ref = cohort[1]
    known = [value for value in values_of(person, ref) if value is not None]
    if not known and not ref.many:
        return None
    return any(_meets(cohort, value) for value in known)


def _meets(leaf: tuple[Any, ...], value: Any) -> bool:
    match leaf:
        case ("compare", _, sign, other):
            return {
                "==": value == other,
                "!=": value != other,
                "<": value < other,
                "<=": value <= other,
                ">": value > other,
                ">=": value >= other,
            }[sign]
        case ("between", _, low, high):
            return bool(low <= value <= high)
        case ("in", _, values):
            return value in values
        case ("not in", _, values):
            return value not in values
    raise ValueError(leaf)


# Questions


def make_contribution(rng: random.Random, dictionary: Dictionary) -> Contribution:
    refs = list(dictionary.refs.values())
    match rng.choice(["cells", "cells", "value", "value", "products", "rollup", "stack"]):
        case "cells":
            return _make_cells(rng, refs)
        case "value":
            scale = rng.choice([1, 3, 1000, 2**20 + 7, 2**29, 2**30 - 1, 2**30])
            return _make_value(rng, refs, scale)
        case "products":
            return _make_products(rng, refs)
        case "rollup":
            cells = _make_cells(rng, refs)
            views = rng.randint(1, 2)
            groups = [tuple(rng.randint(0, 2) for _ in range(cells.length)) for _ in range(views)]
            return Rollup(replace(cells, max_cells=1), tuple(groups))
        case _:
            return Stack(
                (_make_cells(rng, refs), _make_products(rng, refs), _make_cells(rng, refs))
            )


def _make_cells(rng: random.Random, refs: list[ColumnRef]) -> CellCounts:
    cells = [ref for ref in refs if ref.column.cell_labels]
    dims = tuple(_varied(rng, ref) for ref in rng.sample(cells, rng.randint(0, 3)))
    rows = {dim.table.name: dim.table for dim in dims}
    dims = tuple(replace(dim, table=rows[dim.table.name]) for dim in dims)
    return CellCounts(dims, weight=rng.randint(1, 2**20), max_cells=rng.choice([1, 2, 10**6]))


def _varied(rng: random.Random, ref: ColumnRef) -> ColumnRef:
    """Sometimes with other bins, sometimes with fewer rows per member."""
    if ref.column.type in NUMERIC and ref.column.bounds is not None and rng.random() < 0.5:
        low, high = ref.column.bounds
        inner = {low, high, *(rng.uniform(low, high) for _ in range(rng.randint(0, 6)))}
        ref = gridded(ref, [repr(edge) for edge in sorted(inner)])
    return capped(ref, 2) if ref.many and rng.random() < 0.3 else ref


def _make_value(rng: random.Random, refs: list[ColumnRef], scale: int) -> BoundedValue:
    ref = rng.choice([ref for ref in refs if ref.column.bounds is not None])
    low, high = ref.column.bounds or (0.0, 1.0)
    summary = rng.choice([Summary.MEAN, Summary.SUM]) if ref.many else Summary.VALUE
    return BoundedValue(
        column=ref,
        summary=summary,
        centre=(low + high) / 2,
        half_width=(high - low) / 2,
        scale=scale,
        count_weight=rng.choice([0, 5, 2**19]),
        with_square=summary is not Summary.SUM and rng.random() < 0.5,
    )


def _make_products(rng: random.Random, refs: list[ColumnRef]) -> Products:
    scale = rng.choice([1, 3, 1000, 2**29 + 7, 2**30])
    variables = [_make_value(rng, refs, scale) for _ in range(rng.randint(1, 3))]
    coded = [ref for ref in refs if ref.column.type is ColumnType.BOOLEAN and not ref.many]
    if coded and rng.random() < 0.4:
        ref = rng.choice(coded)
        variables.append(BoundedValue(ref, Summary.VALUE, 0.0, 1.0, scale, 0, False))
    places = range(len(variables))
    monomials = [
        Monomial(tuple(sorted(rng.choices(places, k=rng.randint(1, 4)))), rng.choice([1, 2, 7]))
        for _ in range(rng.randint(1, 4))
    ]
    one = [ref for ref in refs if ref.column.cell_labels and not ref.many]
    dims = tuple(_varied(rng, ref) for ref in rng.sample(one, rng.randint(0, 2)))
    return Products(dims, tuple(variables), rng.choice([0, 11, scale]), tuple(monomials))


def pooled_total(
    world: World, shape: Contribution, cohort: tuple[Any, ...] | None, *, consenting: bool
) -> list[int]:
    """What the sum over the world's members must be."""
    vectors = [
        contribution_of(shape, person)
        for key, person in world.people.items()
        if (not consenting or world.consents(key))
        and (cohort is None or truth(cohort, person) is True)
    ]
    return [sum(column) for column in zip(*vectors, strict=True)] if vectors else [0] * shape.length
