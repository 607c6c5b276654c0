"""Where a fit of counts begins: a law that has the mean and the spread of their logarithms."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from models.regression.batch import Floats

_SHAPES = tuple(np.exp(np.linspace(math.log(0.05), math.log(5.0), 14)).tolist())
_MOST = 1000
_LEAST_MEAN = math.log(0.02)
_HALVINGS = 24


@lru_cache(maxsize=256)
def matched(first: float, second: float, highest: float) -> tuple[float, float]:
    """(log of the mean, log of the dispersion) of the negative binomial law whose mean of
    log1p(y) is `first` and that of its square nearest to `second`, among a few dispersions."""
    logs = np.log1p(np.arange(int(min(highest, _MOST)) + 1))
    found = [(_level(logs, first, a), a) for a in _SHAPES]
    gaps = [_gap(logs, _law(logs, level, a), (first, second)) for level, a in found]
    level, a = found[int(np.argmin(gaps))]
    return level, math.log(a)


def _gap(logs: Floats, law: Floats, wanted: tuple[float, float]) -> float:
    """How far the law's moments are from those wanted; a law that is cut off may reach neither."""
    first, second = float(law @ logs), float(law @ logs**2)
    return 4 * abs(first - wanted[0]) + abs(second - wanted[1])


def _level(logs: Floats, first: float, a: float) -> float:
    """The log of the mean at which log1p(y) has mean `first`."""
    low, high = _LEAST_MEAN, float(logs[-1])
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = float(_law(logs, middle, a) @ logs) < first
        low, high = (middle, high) if below else (low, middle)
    return (low + high) / 2


def _law(logs: Floats, level: float, a: float) -> Floats:
    """The chances of 0, 1, …, cut off at the last count."""
    mean, count = math.exp(level), np.arange(len(logs) - 1)
    ratio = (a * count + 1) / (count + 1) * mean / (1 + a * mean)
    steps = np.concatenate([[0.0], np.cumsum(np.log(ratio))])
    law = np.exp(steps - steps.max())
    return np.asarray(law / law.sum())
