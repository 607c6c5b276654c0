"""From real vectors to the grid, so that a member's integer vector lies in the ball for certain.

The bound is on the L2 norm of one member's whole vector, |v|_2 <= delta_grid, and it is checked
on the integers that are summed, with exact arithmetic: squares are held in two limbs or in
Python integers, because 64-bit squares wrap.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from privacy.errors import BadInput
from privacy.mechanism import MAX_DELTA_GRID

_LIMB = 30
_SMALL = 2**33
_FAR = 2.0**32  # times delta_grid it still fits 64 bits; the row is shrunk anyway
_NEARLY = 0.999  # of the bound's square
_ROWS = 2**23
_FITS = 2.0**61  # a squared norm found below it is below 2^62, and fits 64 bits


def to_grid(matrix: NDArray[np.float64], delta_grid: int) -> NDArray[np.int64]:
    """Rows meant to lie in the unit L2 ball, scaled by `delta_grid` and rounded to integers.

    `matrix`: [members, d]. A row with a value that is not finite contributes the zero vector.
    Guarantee: every row of the result has exact L2 norm at most `delta_grid`. Rounding moves a
    coordinate by at most 1/2; a row that is or was rounded outside is shrunk by `shrink_to_ball`.
    Raises BadInput unless `matrix` is a real matrix and 1 <= delta_grid <= 2^30.
    """
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype.kind != "f":
        raise BadInput("contributions to round are a real matrix")
    near = matrix.astype(np.float64, copy=False)
    rounded, squared = _rounded(near, _checked(delta_grid))
    if not (squared <= (_FAR * delta_grid) ** 2).all():  # too large for 64 bits, or not a number
        usable = np.isfinite(near).all(axis=1, keepdims=True)
        near = np.clip(np.where(usable, near, 0.0), -_FAR, _FAR)
        rounded, squared = _rounded(near, delta_grid)
    result = rounded.astype(np.int64)
    _shrink_near(result, squared, delta_grid)
    return result


def total_on_grid(matrix: NDArray[np.float64], delta_grid: int) -> NDArray[np.int64]:
    """Shape [d]: the sum of the rows of `to_grid`, without a matrix of integers.

    Rows that are inside for certain are added up as whole numbers in doubles: of up to 2^23 rows,
    no partial sum of numbers up to `delta_grid` is beyond 2^53, so that each is exact in whatever
    order. The others go through `to_grid`. Raises BadInput as that does, and for more rows.
    """
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype.kind != "f":
        raise BadInput("contributions to round are a real matrix")
    if len(matrix) > _ROWS:
        raise BadInput(f"at most {_ROWS} contributions are added at a time")
    rounded, squared = _rounded(matrix.astype(np.float64, copy=False), _checked(delta_grid))
    unsure = ~(squared <= _NEARLY * float(delta_grid) ** 2)
    if not unsure.any():
        return np.asarray(rounded.sum(axis=0).astype(np.int64))
    rounded[unsure] = 0.0
    others = to_grid(matrix[unsure], delta_grid).sum(axis=0)
    return np.asarray(rounded.sum(axis=0).astype(np.int64) + others)


def _rounded(
    matrix: NDArray[np.float64], delta_grid: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Whole numbers as doubles, and the sums of their squares."""
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = matrix * delta_grid
        np.rint(rounded, out=rounded)
        return rounded, _squares(rounded)


def _squares(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.einsum("ij,ij->i", matrix, matrix))


def shrink_to_ball(matrix: NDArray[np.int64], delta_grid: int) -> NDArray[np.int64]:
    """Shrink the rows that lie outside the ball toward zero; leave the others as they are.

    A row x outside becomes trunc(x * delta_grid / ceil(|x|_2)), coordinate by coordinate.
    Guarantee: every row of the result has exact L2 norm at most `delta_grid`; no sign flips; a
    shrunken coordinate is within 2 of x_j * delta_grid / |x|_2.
    Raises BadInput unless `matrix` is [members, d] of int64 and 1 <= delta_grid <= 2^30.
    """
    _checked(delta_grid)
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype != np.int64:
        raise BadInput("contributions are a matrix of 64-bit integers")
    result = matrix.copy()
    _shrink_near(result, _squares(matrix.astype(np.float64)), delta_grid)
    return result


def _shrink_near(result: NDArray[np.int64], squared: NDArray[np.float64], delta_grid: int) -> None:
    """Look at the rows that may be outside, in exact arithmetic, and shrink those that are.

    `squared` are sums of squares of the same numbers as doubles, each within a part of 2^-53. A
    sum of d such squares is within (d + 4) * 2^-53 of the true one, relatively, in whatever order
    it is taken; with d below 2^40 a row found below 0.999 of the bound is inside, and is not
    looked at again.
    """
    rows = np.flatnonzero(~(squared <= _NEARLY * float(delta_grid) ** 2))
    if not len(rows):
        return
    fits = squared[rows] < _FITS
    _shrink_in_words(result, rows[fits], delta_grid)
    if not fits.all():
        _shrink_far(result, rows[~fits], delta_grid)


def _shrink_in_words(result: NDArray[np.int64], rows: NDArray[np.intp], delta_grid: int) -> None:
    """Rows whose squared norm is below 2^62: sums of squares, and a size below 2^31 times
    delta_grid, stay below 2^63."""
    values = result[rows]
    squared = np.einsum("ij,ij->i", values, values)
    outside = squared > delta_grid**2
    if not outside.any():
        return
    values, norms = values[outside], _ceil_sqrts(squared[outside])
    shrunk = np.abs(values) * delta_grid // norms[:, None]
    result[rows[outside]] = np.where(values < 0, -shrunk, shrunk)


def _ceil_sqrts(squared: NDArray[np.int64]) -> NDArray[np.int64]:
    """The least integers whose squares are not below `squared`, from 1 to 2^62.

    The root of a double is within 1 of the true one, so that the answer is one of four numbers.
    """
    found = np.sqrt(squared.astype(np.float64)).astype(np.int64) - 1
    for _ in range(3):
        found += found * found < squared
    return found


def _shrink_far(result: NDArray[np.int64], rows: NDArray[np.intp], delta_grid: int) -> None:
    """Rows of any size."""
    sizes = np.abs(result[rows]).view(np.uint64)  # the magnitude of -2^63 is right as unsigned
    largest = sizes.max(axis=1, initial=0)
    for row in rows[largest >= _SMALL]:
        result[row] = _shrink_exactly(result[row], delta_grid)
    _shrink_small(result, sizes[largest < _SMALL], rows[largest < _SMALL], delta_grid)


def _checked(delta_grid: int) -> int:
    if type(delta_grid) is not int or not 1 <= delta_grid <= MAX_DELTA_GRID:
        raise BadInput(f"delta_grid is a whole number from 1 to {MAX_DELTA_GRID}")
    return delta_grid


def _shrink_exactly(row: NDArray[np.int64], delta_grid: int) -> list[int]:
    """One row of any size, in Python integers."""
    values = [int(value) for value in row]
    norm = _ceil_sqrt(sum(value * value for value in values))
    return [_sign(value) * (abs(value) * delta_grid // norm) for value in values]


def _shrink_small(
    result: NDArray[np.int64],
    sizes: NDArray[np.uint64],
    rows: NDArray[np.intp],
    delta_grid: int,
) -> None:
    """Rows below 2^33 in every coordinate: size * delta_grid stays below 2^63."""
    norms_squared = _squared_norms(sizes)
    outside = [k for k, squared in enumerate(norms_squared) if squared > delta_grid**2]
    if not outside:
        return
    rows = rows[outside]
    norms = np.array([_ceil_sqrt(norms_squared[k]) for k in outside], dtype=np.uint64)
    shrunk = (sizes[outside] * np.uint64(delta_grid) // norms[:, None]).astype(np.int64)
    result[rows] = np.where(result[rows] < 0, -shrunk, shrunk)


def _squared_norms(sizes: NDArray[np.uint64]) -> list[int]:
    """Exact sum of squares per row of magnitudes below 2^33.

    With size = a * 2^30 + b, a < 2^3 and b < 2^30, each of the three sums below stays in 64 bits
    for up to 2^29 coordinates once b * b is itself cut into two limbs.
    """
    mask = np.uint64(2**_LIMB - 1)
    high, low = sizes >> np.uint64(_LIMB), sizes & mask
    square = low * low
    unit = (square & mask).sum(axis=1, dtype=np.uint64).tolist()
    middle = ((square >> np.uint64(_LIMB)) + 2 * high * low).sum(axis=1, dtype=np.uint64).tolist()
    top = (high * high).sum(axis=1, dtype=np.uint64).tolist()
    return [u + (m << _LIMB) + (t << 2 * _LIMB) for u, m, t in zip(unit, middle, top, strict=True)]


def _ceil_sqrt(value: int) -> int:
    return math.isqrt(value - 1) + 1 if value > 0 else 0


def _sign(value: int) -> int:
    return -1 if value < 0 else 1
