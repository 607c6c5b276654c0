"""Figures of many rows: engine, reference and a literal reading agree to the last bit."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models import reference
from models.aggregates.columns import gridded
from models.cohort.parse import parse_cohort
from models.contribution import BoundedValue, CellCounts, Contribution, Monomial, Products, Summary
from models.figures.parse import parse_figure
from models.figures.reference import figure_values
from models.figures.types import FigureColumn
from models.rows import Rows, from_tables, is_known
from node.engine import total
from tests.data.test_engine import imported
from tests.support.data_factory import TODAY, World
from tests.support.figure_factory import figure_of, figure_words, make_figure, make_timed_world

SEEDS = st.integers(0, 2**32 - 1)


def in_memory(world: World) -> Rows:
    """The same people for the reference."""
    tables: dict[str, dict[str, list[Any]]] = {}
    for table in world.dictionary.tables:
        rows = [(key, row) for key, person in world.people.items() for row in person[table.name]]
        columns = {c.name: [row[c.name] for _, row in rows] for c in table.columns}
        tables[table.name] = {table.key: [key for key, _ in rows], **columns}
    return from_tables(world.dictionary, tables, members=world.people)


def as_python(ref: FigureColumn, value: Any) -> Any:
    if ref.column.levels:
        return None if value < 0 else ref.column.levels[value]
    if ref.column.type.value == "date":
        return None if np.isnat(value) else value.item()
    return None if np.isnan(value) else float(value)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_the_reference_equals_a_literal_reading(seed: int) -> None:
    rng = random.Random(seed)
    world = make_timed_world(rng)
    rows = in_memory(world)
    for _ in range(10):
        figure = make_figure(rng, world.dictionary)
        ref = parse_figure(figure_words(figure), world.dictionary)
        found = [as_python(ref, value) for value in figure_values(rows, ref)]
        expected = [figure_of(figure, person, world.dictionary) for person in world.people.values()]
        assert found == expected, ref.name


def some_shape(rng: random.Random, world: World, ref: FigureColumn) -> Contribution:
    """What may be summed of a figure: its cells, its value, products with another's."""
    if ref.column.levels:
        return CellCounts((ref, world.dictionary.resolve("site")), 7, 1)
    if ref.column.type.value == "date":
        return CellCounts((), 1, 1)
    low, high = ref.column.bounds or (0.0, 1.0)
    centre, half = (low + high) / 2, (high - low) / 2
    value = BoundedValue(ref, Summary.VALUE, centre, half, 2 ** rng.choice([3, 20, 30]), 5, True)
    edges = tuple(repr(low + (high - low) * i / 3) for i in range(4))
    cells = gridded(ref, edges)
    match rng.choice(["value", "cells", "products"]):
        case "value":
            return value
        case "cells":
            return CellCounts((cells, world.dictionary.resolve("grade")), 3, 3)
    other = parse_figure("count(takes: dose > 1)", world.dictionary)
    variable = BoundedValue(other, Summary.VALUE, 1.0, 2.0, 2**10, 0, False)
    own = BoundedValue(ref, Summary.VALUE, centre, half, 2**10, 0, False)
    return Products(
        (cells,), (own, variable), 9, (Monomial((0,)), Monomial((0, 1)), Monomial((1, 1)))
    )


@settings(max_examples=5, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_the_engine_adds_up_what_the_reference_does(seed: int) -> None:
    rng = random.Random(seed)
    world = make_timed_world(rng)
    records, rows = imported(world), in_memory(world)
    for _ in range(7):
        ref = parse_figure(figure_words(make_figure(rng, world.dictionary)), world.dictionary)
        shape = some_shape(rng, world, ref)
        cohort = parse_cohort(cohort_on(rng, world), world.dictionary)
        mask = reference.cohort_mask(cohort, rows)
        found = total(records, shape, cohort, purpose=None, today=TODAY)
        assert found.tolist() == reference.total(shape, rows, mask).tolist(), (ref.name, cohort)


def cohort_on(rng: random.Random, world: World) -> str:
    """Conditions on figures, and on columns, joined."""
    parts = []
    for _ in range(rng.choice([1, 1, 2])):
        figure = make_figure(rng, world.dictionary)
        ref = parse_figure(figure_words(figure), world.dictionary)
        parts.append(
            rng.choice(["", "not "]) + f"({figure_words(figure)} {_said(rng, ref, world)})"
        )
    parts.append(rng.choice(["age >= 0", "site == 'north'", "state == 'ill'"]))
    return rng.choice([" and ", " or "]).join(parts)


def _said(rng: random.Random, ref: FigureColumn, world: World) -> str:
    rows = in_memory(world)
    values = figure_values(rows, ref)
    known = [as_python(ref, value) for value in values[is_known(values)]] or [None]
    value = rng.choice(known)
    if value is None:
        return rng.choice(["is missing", "is not missing"])
    written = value if value in ("true", "false") else f"'{value}'"
    written = repr(value) if isinstance(value, float) else written
    sign = rng.choice(["==", "!="] if ref.column.levels else ["==", "!=", "<", ">="])
    return f"{sign} {written}"
