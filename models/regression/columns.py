"""Matrices of rows that are kept column by column, and sums along their rows.

Guarantee: a row of `product`, `dot` and `squared_norms` has the same bits in every batch: its terms
are added one by one in the order of the columns, however many rows there are. Only `product` of
more than MOST_COLUMNS columns leaves the order to the library of linear algebra.
"""

from __future__ import annotations

import math

import numpy as np

from models.regression.batch import Floats

MOST_COLUMNS = 32


def empty(rows: int, width: int) -> Floats:
    """[rows, width], each column in one piece; nothing is written yet."""
    return np.empty((width, rows)).T


def dot(matrix: Floats, vector: Floats) -> Floats:
    """[rows, d] and [d] to [rows]."""
    total, term = np.zeros(len(matrix)), np.empty(len(matrix))
    for column, factor in zip(matrix.T, vector.tolist(), strict=True):
        if factor:
            np.multiply(column, factor, out=term)
            total += term
    return total


def product(matrix: Floats, linear: Floats) -> Floats:
    """[rows, d] and [d, k] to [rows, k]."""
    if len(linear) > MOST_COLUMNS:
        return np.asarray(np.matmul(linear.T, matrix.T)).T
    result = empty(len(matrix), linear.shape[1])
    for at, vector in enumerate(linear.T):
        result[:, at] = dot(matrix, vector)
    return result


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
