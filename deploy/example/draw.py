"""Small draws that the example's tables share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deploy.example.figures import Shares

Codes = NDArray[np.int64]
Numbers = NDArray[np.float64]
Row = list[str]


def pick(rng: np.random.Generator, shares: Shares, size: int) -> list[str]:
    """`size` names, drawn with these shares (their sum is taken as one)."""
    names, weights = list(shares), np.array(list(shares.values()), dtype=np.float64)
    codes: Codes = rng.choice(len(names), size=size, p=weights / weights.sum())
    return [names[code] for code in codes.tolist()]


def whole(values: Numbers, low: float, high: float) -> list[str]:
    """Rounded to whole numbers within [low, high]; an unknown value (NaN) is an empty field."""
    return written(np.round(values), low, high, 0)


def written(values: Numbers, low: float, high: float, digits: int) -> list[str]:
    """Numbers as text with `digits` decimals, within [low, high]; NaN is an empty field."""
    kept = np.clip(values, low, high).tolist()
    return ["" if math.isnan(value) else f"{value:.{digits}f}" for value in kept]


def with_gaps(rng: np.random.Generator, fields: Sequence[str], share: float) -> list[str]:
    """The same fields with a share of them empty."""
    gaps = (rng.random(len(fields)) < share).tolist()
    return ["" if gap else field for field, gap in zip(fields, gaps, strict=True)]


def as_rows(columns: Sequence[Sequence[str]], missing: str) -> list[Row]:
    """Columns as rows; an empty field becomes the organisation's word for missing.

    The first column, the member's key, is never missing.
    """
    return [
        [row[0], *(field or missing for field in row[1:])] for row in zip(*columns, strict=True)
    ]
