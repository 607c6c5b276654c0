"""Sums along rows in one fixed order, so that no bit of a row depends on the rows beside it.

A library for matrices adds in an order that it chooses by the number of rows and by a row's place
among them. A member's vector would then change, in the last bit or altogether where numbers cancel,
when another member leaves; and leaving would move a sum by more than one vector.

Guarantee: a row of the result is a function of that row alone, to the last bit: every element is
made by additions and products of doubles (or floats) in the order of the columns, each rounded
as IEEE 754 says, whatever the other rows hold and how many they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

_AT_ONCE = 2**15  # numbers in work, so that they stay in the processor's cache


def product(rows: Array, matrix: Array) -> Array:
    """[n, d] times [d] or [d, k]: shape [n] or [n, k], in C order."""
    if matrix.ndim == 1:
        return product(rows, matrix[:, None])[:, 0]
    size, width = len(rows), matrix.shape[1]
    found = np.zeros((size, width), dtype=np.result_type(rows, matrix))
    step = max(_AT_ONCE // max(width, 1), 64)
    for start in range(0, size, step):
        part = np.ascontiguousarray(rows[start : start + step].T)
        total = np.zeros((width, part.shape[1]), dtype=found.dtype)
        each = np.empty_like(total)
        for column, weights in zip(part, matrix, strict=True):
            total += np.multiply(weights[:, None], column, out=each)
        found[start : start + step] = total.T
    return found


def squared_norms(rows: Array) -> Array:
    """[n, d] to [n]."""
    total = np.zeros(len(rows), dtype=rows.dtype)
    for start in range(0, rows.shape[1], _AT_ONCE):
        part = rows[:, start : start + _AT_ONCE]
        total += np.ascontiguousarray(part * part).sum(axis=1)
    return total
