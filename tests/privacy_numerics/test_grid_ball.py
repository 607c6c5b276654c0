"""A member's integer vector is in the ball, in exact arithmetic, whatever came in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from privacy import grid
from privacy.errors import BadInput
from privacy.grid import shrink_to_ball, to_grid, total_on_grid

Matrix = NDArray[np.int64]

deltas = st.one_of(st.integers(1, 64), st.integers(1, 2**30), st.just(2**30))
shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=8)
entries = st.one_of(
    st.integers(-40, 40),
    st.integers(-(2**31), 2**31),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([-(2**63), 2**63 - 1, 2**33, -(2**33), 2**33 - 1, 2**32, -(2**30)]),
    st.sampled_from([2**34, -(2**34) - 1, 2**35 - 1, 2**40]),
)
matrices = shapes.flatmap(lambda shape: hnp.arrays(np.int64, shape, elements=entries))


def squared_norm(row: NDArray[np.int64]) -> int:
    return sum(int(value) ** 2 for value in row)


@given(matrices, deltas)
@settings(max_examples=300, deadline=None)
def test_rows_end_in_the_ball_and_rows_inside_are_untouched(matrix: Matrix, delta: int) -> None:
    before = matrix.copy()
    shrunk = shrink_to_ball(matrix, delta)
    assert np.array_equal(matrix, before), "the input is not written to"
    for old, new in zip(matrix, shrunk, strict=True):
        assert squared_norm(new) <= delta**2
        if squared_norm(old) <= delta**2:
            assert np.array_equal(old, new)


@given(matrices, deltas)
@settings(max_examples=300, deadline=None)
def test_direction_is_kept_to_two_grid_units(matrix: Matrix, delta: int) -> None:
    shrunk = shrink_to_ball(matrix, delta)
    for old, new in zip(matrix, shrunk, strict=True):
        norm_squared = squared_norm(old)
        if norm_squared <= delta**2:
            continue
        for x, y in zip(map(int, old), map(int, new), strict=True):
            assert abs(y) <= abs(x)
            assert x * y >= 0
            # |x|*delta/|row| lies in [|y|, |y| + 2), compared as squares of integers
            scaled = (abs(x) * delta) ** 2
            assert y**2 * norm_squared <= scaled < (abs(y) + 2) ** 2 * norm_squared


@given(matrices, deltas)
@settings(deadline=None)
def test_shrinking_twice_changes_nothing_more(matrix: Matrix, delta: int) -> None:
    once = shrink_to_ball(matrix, delta)
    assert np.array_equal(shrink_to_ball(once, delta), once)


def test_wrapping_squares_would_let_a_giant_through() -> None:
    """The mutant: 64-bit squares of 2^32 wrap to zero and look harmless."""
    giants = np.array([[2**32, 0], [2**32, 2**32], [-(2**63), 0], [2**31] * 2], dtype=np.int64)
    wrapped = (giants * giants).sum(axis=1)
    assert (wrapped <= 2**60).sum() >= 3
    shrunk = shrink_to_ball(giants, 2**30)
    assert all(squared_norm(row) <= 2**60 for row in shrunk)
    assert shrunk[0].tolist() == [2**30, 0]
    assert shrunk[2].tolist() == [-(2**30), 0]


@pytest.mark.parametrize("size", [2**33 - 1, 2**33, 2**34 + 1, 2**35 - 1, 2**40])
def test_no_product_wraps_on_the_way_back_to_the_ball(size: int) -> None:
    shrunk = shrink_to_ball(np.array([[size, -3]], dtype=np.int64), 2**30)
    assert 2**30 - 2 <= shrunk[0, 0] <= 2**30
    assert shrunk[0, 1] in (0, -1)


def test_float_norms_would_misjudge_the_boundary() -> None:
    """2^30 in one coordinate and 1 in another is outside by one part in 2^60."""
    row = np.array([[2**30, 1]], dtype=np.int64)
    assert float(np.linalg.norm(row.astype(float))) <= 2**30
    assert squared_norm(shrink_to_ball(row, 2**30)[0]) <= 2**60


@pytest.mark.parametrize("delta", [3, 1000, 2**20, 2**30 - 1, 2**30])
def test_rows_at_the_surface_are_judged_exactly(delta: int) -> None:
    """Integer rows within a few units of the surface, both sides of it, and one far outside."""
    rng = np.random.default_rng(delta)
    directions = rng.normal(size=(400, 11))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = delta * rng.choice([1.0, 1.0 - 2.0**-40, 1.3, 1.9, 2.5, 1e4], size=(400, 1))
    rows = np.rint(directions * lengths).astype(np.int64)
    shrunk = shrink_to_ball(rows, delta)
    for old, new in zip(rows, shrunk, strict=True):
        values = [int(value) for value in old]
        squared = squared_norm(old)
        if squared > delta**2:
            norm = math.isqrt(squared - 1) + 1
            sizes = [abs(value) * delta // norm for value in values]
            values = [
                size if value >= 0 else -size for size, value in zip(sizes, values, strict=True)
            ]
        assert new.tolist() == values


def test_roots_are_exact_next_to_squares() -> None:
    """A mutant that trusts the root of a double is off at the largest squares."""
    roots = [1, 2, 3, 4, 2**20, 2**26 + 1, 2**30 - 1, 2**30, 2**31 - 1]
    squares = [k * k + step for k in roots for step in (-1, 0, 1) if k * k + step > 0]
    exact = [math.isqrt(value - 1) + 1 for value in squares]
    assert grid._ceil_sqrts(np.array(squares, dtype=np.int64)).tolist() == exact
    mutant = np.ceil(np.sqrt(np.array(squares, dtype=np.float64))).astype(np.int64)
    assert mutant.tolist() != exact


def test_rounding_alone_takes_wide_rows_out_of_the_ball() -> None:
    """10,000 coordinates of 0.51 grid units round to 1: the norm doubles, the bound still holds."""
    matrix, delta = np.full((3, 10_000), 0.01), 51
    rounded = np.rint(matrix * delta).astype(np.int64)
    assert squared_norm(rounded[0]) > 3 * delta**2
    assert all(squared_norm(row) <= delta**2 for row in to_grid(matrix, delta))


@given(
    hnp.arrays(np.float64, shapes, elements=st.floats(allow_nan=True, allow_infinity=True)), deltas
)
@settings(deadline=None)
def test_any_real_row_becomes_a_bounded_row(matrix: NDArray[np.float64], delta: int) -> None:
    grid = to_grid(matrix, delta)
    for old, new in zip(matrix, grid, strict=True):
        assert squared_norm(new) <= delta**2
        if not np.isfinite(old).all():
            assert not new.any(), "a row that fails contributes zero"


@given(
    hnp.arrays(
        np.float64,
        shapes,
        elements=st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.floats(-1.0, 1.0)),
    ),
    deltas,
)
@settings(deadline=None)
def test_a_total_is_that_of_the_rows_one_by_one(matrix: NDArray[np.float64], delta: int) -> None:
    before = matrix.copy()
    assert np.array_equal(total_on_grid(matrix, delta), to_grid(matrix, delta).sum(axis=0))
    assert np.array_equal(matrix, before, equal_nan=True), "the input is not written to"


def test_a_total_of_many_rows_is_exact_to_the_last_unit() -> None:
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(20_000, 3))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True) * rng.choice([0.9, 1.0, 1.1], (20_000, 1))
    for layout in (rows, np.asfortranarray(rows)):
        expected = [sum(int(each) for each in column) for column in to_grid(rows, 2**30).T]
        assert total_on_grid(layout, 2**30).tolist() == expected


def test_more_rows_than_doubles_add_exactly_are_refused() -> None:
    with pytest.raises(BadInput):
        total_on_grid(np.zeros((2**23 + 1, 1)), 5)


def test_ordinary_rows_are_rounded_to_nearest() -> None:
    rows = np.array([[0.5, -0.25, 0.0], [1.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    assert to_grid(rows, 1000).tolist() == [[500, -250, 0], [1000, 0, 0], [1000, 0, 0]]


@pytest.mark.parametrize("delta", [0, -1, 2**30 + 1, math.nan, 1.0, True])
def test_bounds_out_of_range_are_refused(delta: int) -> None:
    with pytest.raises(BadInput):
        shrink_to_ball(np.zeros((1, 1), dtype=np.int64), delta)
    with pytest.raises(BadInput):
        to_grid(np.zeros((1, 1)), delta)


def test_other_arrays_are_refused() -> None:
    for wrong in (np.zeros((2, 2)), np.zeros(3, dtype=np.int64), np.zeros((1, 1), dtype=np.int32)):
        with pytest.raises(BadInput):
            shrink_to_ball(wrong, 5)
    for wrong in (np.zeros((2, 2), dtype=np.int64), np.zeros(3), [[0.0]]):
        with pytest.raises(BadInput):
            to_grid(wrong, 5)  # type: ignore[arg-type]
        with pytest.raises(BadInput):
            total_on_grid(wrong, 5)  # type: ignore[arg-type]
