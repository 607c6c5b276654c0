"""B-splines on public knots.

Source: de Boor (1978), A Practical Guide to Splines; the recursion of Cox and de Boor.
"""

from __future__ import annotations

import math

import numpy as np

from models.regression.batch import Floats

_DIGITS = 5  # of the distance between knots that nobody wrote


def b_splines(x: Floats, low: float, high: float, inner: tuple[float, ...], degree: int) -> Floats:
    """[n, len(inner) + degree + 1]: the basis at `x` in [low, high], clamped at both ends.

    Guarantee: values are at least 0 and each row adds up to 1, so its L2 norm is at most 1.
    """
    knots = np.concatenate([np.full(degree + 1, low), inner, np.full(degree + 1, high)])
    last = len(inner) + degree
    place = np.clip(np.searchsorted(knots, x, side="right") - 1, degree, last)
    basis = np.zeros((len(x), degree + 1))
    basis[:, 0] = 1.0
    for order in range(1, degree + 1):
        saved = np.zeros(len(x))
        for step in range(order):
            right, left = knots[place + step + 1], knots[place + step + 1 - order]
            part = basis[:, step] / (right - left)
            basis[:, step] = saved + (right - x) * part
            saved = (x - left) * part
        basis[:, order] = saved
    full = np.zeros((len(x), last + 1))
    for step in range(degree + 1):
        full[np.arange(len(x)), place - degree + step] = basis[:, step]
    return full


def even_knots(low: float, high: float, count: int) -> tuple[float, ...]:
    """Evenly within the bounds, each a short decimal number: what is printed is what is fitted."""
    step = (high - low) / (count + 1)
    digits = _DIGITS - 1 - math.floor(math.log10(step))
    return tuple(round(low + step * (k + 1), digits) for k in range(count))
