"""One member moves no total by more than delta_grid, whatever the rows hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import reference
from models.aggregates.catalogue import contribution
from models.aggregates.requests import Analysis, Count, Mean, Sum, normalise
from models.contribution import BoundedValue, CellCounts
from models.reference import contribute, total
from models.rows import Codes, Rows, TableRows
from privacy.contract.dictionary import Dictionary
from tests.support.rows_factory import (
    ANALYSES,
    analyses,
    clinic,
    dictionaries,
    hostile_rows,
)


def norms_squared(analysis: Analysis, rows: Rows, delta_grid: int) -> list[int]:
    """Exact squared norms of every member's vector."""
    asked = normalise(analysis, rows.dictionary)
    shape = contribution(asked, rows.dictionary, delta_grid)
    matrix = contribute(shape, rows, np.ones(rows.members, dtype=bool))
    return [sum(int(each) ** 2 for each in line) for line in matrix]


@settings(max_examples=150, deadline=None)
@given(dictionaries(), analyses(), st.integers(20, 2**30), st.integers(0, 2**32))
def test_every_member_stays_within_the_bound_and_so_do_neighbours(
    dictionary: Dictionary, analysis: Analysis, delta_grid: int, seed: int
) -> None:
    rows = hostile_rows(dictionary, members=6, seed=seed)
    asked = normalise(analysis, dictionary)
    shape = contribution(asked, dictionary, delta_grid)
    assert shape.norm_squared <= delta_grid**2
    everyone = np.ones(rows.members, dtype=bool)
    assert max(norms_squared(analysis, rows, delta_grid)) <= shape.norm_squared
    without = np.arange(rows.members) != seed % rows.members
    fewer = total(shape, rows.select(without), everyone[without])
    moved = total(shape, rows, everyone) - fewer
    assert sum(int(each) ** 2 for each in moved) <= delta_grid**2


@settings(max_examples=60, deadline=None)
@given(dictionaries(), analyses(), st.integers(1000, 2**30))
def test_the_scale_is_the_largest_that_fits(
    dictionary: Dictionary, analysis: Analysis, delta_grid: int
) -> None:
    shape = contribution(normalise(analysis, dictionary), dictionary, delta_grid)
    match shape:
        case CellCounts(_, weight, most):
            assert (weight + 1) ** 2 * most > delta_grid**2
        case BoundedValue(scale=scale, with_square=True):
            larger = scale + 1
            assert 2 * larger**2 + (larger - larger // 2) ** 2 > delta_grid**2
        case BoundedValue(column=column, scale=scale):
            assert (scale + 1) * column.table.max_rows_per_member > delta_grid


def _unclamped(shape: BoundedValue, values: np.ndarray) -> np.ndarray:
    steps = (values - shape.centre) / shape.half_width * shape.scale
    return np.floor(np.nan_to_num(steps, posinf=1e9, neginf=-1e9).clip(-1e9, 1e9)).astype(np.int64)


def _every_row(self: TableRows, most: int) -> TableRows:
    return self


@pytest.mark.parametrize("mutant", ["no clamp", "no row cap"])
def test_a_mutant_is_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = hostile_rows(clinic(), members=400, seed=1)
    delta_grid = 10_000
    cases = [*ANALYSES, Sum(column="symptoms.severity"), Mean(column="change")]
    assert all(max(norms_squared(each, rows, delta_grid)) <= delta_grid**2 for each in cases)
    if mutant == "no clamp":
        monkeypatch.setattr(reference, "quantised", _unclamped)
    else:
        monkeypatch.setattr(TableRows, "first", _every_row)
    broken = [each for each in cases if max(norms_squared(each, rows, delta_grid)) > delta_grid**2]
    assert broken


def test_a_member_is_counted_once_in_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = hostile_rows(clinic(), members=50, seed=2)
    asked = normalise(Count(by=("symptom",)), clinic())
    shape = contribution(asked, clinic(), 1000)
    assert isinstance(shape, CellCounts)
    assert set(np.unique(contribute(shape, rows, np.ones(50, dtype=bool)))) == {0, shape.weight}

    def repeated(pairs: np.ndarray, axis: int) -> Codes:
        return pairs[:, np.lexsort(pairs[::-1])]

    monkeypatch.setattr(reference.np, "unique", repeated)
    summed = total(shape, rows, np.ones(50, dtype=bool))
    monkeypatch.undo()
    assert summed.sum() > total(shape, rows, np.ones(50, dtype=bool)).sum()


def test_the_bound_on_cells_holds_of_itself() -> None:
    rows = hostile_rows(clinic(), members=50, seed=4)
    dims = tuple(map(clinic().resolve, ("symptom", "drug")))
    cut = contribute(CellCounts(dims, weight=7, max_cells=2), rows, np.ones(50, dtype=bool))
    full = contribute(CellCounts(dims, weight=7, max_cells=4), rows, np.ones(50, dtype=bool))
    assert (cut > 0).sum(axis=1).max() == 2 < (full > 0).sum(axis=1).max()
    assert ((cut > 0) <= (full > 0)).all()
    assert (cut.argmax(axis=1) == full.argmax(axis=1)).all()  # the first cells are kept


def test_members_outside_the_cohort_add_nothing() -> None:
    rows = hostile_rows(clinic(), members=20, seed=3)
    mask = np.arange(20) % 2 == 0
    for analysis in ANALYSES:
        shape = contribution(normalise(analysis, clinic()), clinic(), 5000)
        assert not contribute(shape, rows, mask)[~mask].any()


def test_cells_per_member_follow_rows_and_levels() -> None:
    wide = contribution(normalise(Count(by=("symptom", "severity")), clinic()), clinic(), 1000)
    narrow = contribution(normalise(Count(by=("symptom",)), clinic()), clinic(), 1000)
    both = contribution(normalise(Count(by=("symptom", "drug", "sex")), clinic()), clinic(), 1000)
    assert [each.max_cells for each in (wide, narrow, both) if isinstance(each, CellCounts)] == [
        3,
        2,
        4,
    ]
    assert isinstance(wide, CellCounts)
    assert wide.weight == math.isqrt(1000**2 // 3)
