"""Sums along rows: the same bits in every batch, and the numbers that linear algebra gives."""

from __future__ import annotations

import numpy as np
import pytest

from models.regression.columns import (
    empty,
    packed_products,
    product,
    squared_norms,
)
from models.regression.member_vectors import packed, packed_length, unpacked


def matrix(rows: int, width: int, seed: int = 0) -> np.ndarray:
    found = empty(rows, width)
    found[:] = np.random.default_rng(seed).normal(size=(rows, width))
    return found


@pytest.mark.parametrize("width", [1, 7, 11, 60])
def test_a_row_has_the_same_bits_in_every_batch(width: int) -> None:
    x = matrix(103, width)
    linear = np.random.default_rng(1).normal(size=(width, 5))
    whole = product(x, linear), product(x, linear[:, 0]), squared_norms(x)
    for start, end in ((0, 1), (1, 8), (50, 103)):
        for part in (x[start:end], np.ascontiguousarray(x[start:end])):
            found = product(part, linear), product(part, linear[:, 0]), squared_norms(part)
            for mine, all_rows in zip(found, whole, strict=True):
                np.testing.assert_array_equal(mine, all_rows[start:end])


@pytest.mark.parametrize("width", [1, 11, 60])
def test_sums_are_those_of_linear_algebra(width: int) -> None:
    x = matrix(40, width)
    linear = np.triu(np.random.default_rng(2).normal(size=(width, width)))
    np.testing.assert_allclose(product(x, linear), x @ linear, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(product(x, linear[0]), x @ linear[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(squared_norms(x), (x * x).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize(("width", "size"), [(1, 1), (4, 4), (4, 6)])
def test_products_of_pairs_are_a_packed_matrix(width: int, size: int) -> None:
    x, weight = matrix(9, width), np.linspace(0.0, 2.0, 9)
    found = empty(9, packed_length(size))
    found[:] = 0.0
    packed_products(x, weight, found)
    full = np.zeros((9, size, size))
    full[:, :width, :width] = x[:, :, None] * x[:, None, :] * weight[:, None, None]
    np.testing.assert_allclose(found, packed(full), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(unpacked(found[3], size), full[3], rtol=1e-12, atol=1e-15)
