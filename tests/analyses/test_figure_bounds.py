"""However many rows a member brings and whatever they hold, a figure adds no more than declared."""

from __future__ import annotations

import random
import warnings

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models import reference
from models.aggregates.columns import gridded
from models.contribution import BoundedValue, CellCounts, Monomial, Products, Stack, Summary
from models.figures.grid import LAST_DAY, MOST_SLOPE_ROWS, slope_grid, sum_grid
from models.figures.parse import parse_figure
from models.figures.reference import figure_values
from models.figures.types import FigureColumn
from models.rows import Rows, TableRows, is_known, ranks
from privacy.contract.dictionary import Column, ColumnType, Dictionary, Table
from privacy.contract.dictionary import Rows as Many
from tests.support.figure_factory import figure_words, make_figure, make_timed_dictionary

SEEDS = st.integers(0, 2**32 - 1)


def hostile(dictionary: Dictionary, members: int, seed: int) -> Rows:
    """More rows per member than declared, numbers and dates far out of every bound."""
    rng = np.random.default_rng(seed)
    return Rows(dictionary, members, {t.name: _table(rng, t, members) for t in dictionary.tables})


def _table(rng: np.random.Generator, table: Table, members: int) -> TableRows:
    most = 1 if table.max_rows_per_member == 1 else 3 * table.max_rows_per_member
    member = np.repeat(np.arange(members), rng.integers(0, most + 1, size=members))
    values = {column.name: _wild(rng, column, len(member)) for column in table.columns}
    return TableRows(member, ranks(member), values)


def _wild(rng: np.random.Generator, column: Column, rows: int) -> np.ndarray:
    match column.type:
        case ColumnType.INTEGER | ColumnType.NUMBER:
            far = rng.choice([-np.inf, np.inf, np.nan, -1e9, 1e300, 5e-324, 0.0], size=rows)
            return np.where(rng.random(rows) < 0.6, rng.normal(5, 40, size=rows), far)
        case ColumnType.DATE:
            days = rng.choice([-719162, 2932896, 18262, 18263, 18270, 20000], size=rows)
            dates = days.astype("datetime64[D]")
            return np.where(rng.random(rows) < 0.1, np.datetime64("NaT", "D"), dates)
        case _:
            return rng.integers(-1, len(column.levels), size=rows)


def shapes(ref: FigureColumn, scale: int) -> list[CellCounts | BoundedValue | Products]:
    """Everything that takes a figure, at a public centre and width that fit nothing."""
    if ref.column.levels or ref.column.type is ColumnType.DATE:
        dims = (ref,) if ref.column.levels else ()
        return [CellCounts(dims, scale, 1)]
    value = BoundedValue(ref, Summary.VALUE, 0.5, 3.0, scale, scale, True)
    low, high = ref.column.bounds or (0.0, 1.0)
    cells = gridded(ref, tuple(repr(edge) for edge in (low, (low + high) / 2, high)))
    monomials = (Monomial((0,)), Monomial((0, 0)))
    return [value, CellCounts((cells,), scale, 1), Products((cells,), (value,), scale, monomials)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_one_member_moves_a_total_by_no_more_than_the_bound(seed: int) -> None:
    rng = random.Random(seed)
    dictionary = make_timed_dictionary(rng)
    rows = hostile(dictionary, 12, seed)
    ref = parse_figure(figure_words(make_figure(rng, dictionary)), dictionary)
    keep = np.ones(12, dtype=np.bool_)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for shape in shapes(ref, 2 ** rng.choice([0, 7, 20])):
            whole = reference.total(shape, rows, keep)
            for member in range(12):
                less = reference.total(shape, rows.select(np.arange(12) != member), keep[1:])
                change = [int(number) for number in whole - less]
                assert sum(number**2 for number in change) <= shape.norm_squared
            stacked = Stack((shape, shape))
            each = reference.contribute(stacked, rows, keep).astype(object)
            assert (each**2).sum(axis=1).max() <= stacked.norm_squared


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_a_figure_is_a_function_of_its_member_alone(seed: int) -> None:
    rng = random.Random(seed)
    dictionary = make_timed_dictionary(rng)
    rows = hostile(dictionary, 10, seed)
    ref = parse_figure(figure_words(make_figure(rng, dictionary)), dictionary)
    keep = np.random.default_rng(seed).random(10) < 0.5
    alone = figure_values(rows.select(keep), ref)
    together = figure_values(rows, ref)[keep]
    np.testing.assert_array_equal(is_known(alone), is_known(together))
    np.testing.assert_array_equal(alone[is_known(alone)], together[is_known(alone)])


def test_no_integer_on_the_way_can_reach_2_to_the_62() -> None:
    for low, high in ((0, 1), (0, 48), (-3, 7), (0, 3e12), (-1e15, 1e15)):
        for most in (1, 2, 8, 1000, 2**15, 1_000_000):
            column = Column(name="x", type=ColumnType.NUMBER, lower=repr(low), upper=repr(high))
            table = Table(
                name="t", key="k", rows=Many.MANY, max_rows_per_member=most, columns=(column,)
            )
            ref = Dictionary(tables=(table,)).resolve("x")
            grid = sum_grid(ref)
            assert most * max(-grid.low, grid.high) <= 2**53
            if most <= MOST_SLOPE_ROWS:
                grid = slope_grid(ref)
                assert 2 * most**2 * LAST_DAY * max(-grid.low, grid.high) < 2**62
                assert most**2 * LAST_DAY**2 < 2**62
