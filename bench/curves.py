"""How well scores tell those with an outcome from those without, and how sure a mean is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def auc(score: NDArray[np.floating], happened: NDArray[np.bool_]) -> float:
    """The area under the receiver operating curve, by ranks."""
    rank = np.argsort(np.argsort(score)) + 1.0
    cases = happened.sum()
    above = rank[happened].sum() - cases * (cases + 1) / 2
    return float(above / (cases * (len(score) - cases)))


def half_width(values: list[float]) -> float:
    """Of the 95 % interval of a mean."""
    return 1.96 * float(np.std(values, ddof=1)) / math.sqrt(len(values))
