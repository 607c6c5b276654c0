"""Matrices of rows that are kept column by column, and sums along their rows.

Guarantee, as of `models.rowwise`: a row of a result is a function of that row alone, to the last
bit. Every element is made by additions and products of doubles in the order of the columns, each
rounded as IEEE 754 says, whatever the other rows hold and how many they are.
"""

from __future__ import annotations

import math

import numpy as np

from models.regression.batch import Floats


def empty(rows: int, width: int) -> Floats:
    """[rows, width], each column in one piece; nothing is written yet."""
    return np.empty((width, rows)).T


def product(rows: Floats, matrix: Floats) -> Floats:
    """[n, d] times [d] or [d, k]: shape [n] or [n, k]. Zeros of `matrix` are passed over."""
    if matrix.ndim == 1:
        return _combined(rows, matrix)
    result = empty(len(rows), matrix.shape[1])
    for at, vector in enumerate(matrix.T):
        result[:, at] = _combined(rows, vector)
    return result


def _combined(rows: Floats, vector: Floats) -> Floats:
    total, term = np.zeros(len(rows)), np.empty(len(rows))
    for column, factor in zip(rows.T, vector.tolist(), strict=True):
        if factor:
            np.multiply(column, factor, out=term)
            total += term
    return total


def squared_norms(matrix: Floats) -> Floats:
    """[rows, d] to [rows]."""
    total, term = np.zeros(len(matrix)), np.empty(len(matrix))
    for column in matrix.T:
        np.multiply(column, column, out=term)
        total += term
    return total


def packed_products(matrix: Floats, weight: Floats, out: Floats) -> None:
    """Row by row the products of all pairs of columns times `weight`, into `out`.

    `out` [rows, at least d(d+1)/2] has the places of `member_vectors.unpacked` for a matrix of
    as many columns as fill it: the pairs of a later column stand after all of an earlier one.
    """
    places = packed_places(matrix.shape[1], out.shape[1])
    for at, start in enumerate(places):
        own = matrix[:, at] * weight
        np.multiply(matrix[:, at], own, out=out[:, start])
        rest = matrix[:, at + 1 :]
        own *= math.sqrt(2.0)
        np.multiply(rest, own[:, None], out=out[:, start + 1 : start + 1 + rest.shape[1]])


def packed_places(columns: int, length: int) -> list[int]:
    """Where the diagonal's numbers stand among `length` packed ones."""
    size = (math.isqrt(8 * length + 1) - 1) // 2
    return [at * size - at * (at - 1) // 2 for at in range(columns)]
