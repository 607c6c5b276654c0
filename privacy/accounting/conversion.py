"""From rho to (epsilon, delta) and back, by one formula in both directions.

    epsilon(rho) = min over alpha > 1 of
        rho*alpha + [ln(1/(alpha*delta)) + (alpha-1)*ln(1 - 1/alpha)] / (alpha-1)

With x = alpha - 1 and L = ln(1/delta), the minimum is where rho*x^2 + ln(1+x) = L. The left side
grows with x, so there is one such x, and d epsilon / d rho = alpha there.

How the rounding is bounded. The formula holds for every alpha, so an inexact minimiser can only
overstate epsilon. Arithmetic is decimal with 60 digits; with delta in [10^-300, 1/2] the terms'
rounding errors add up to less than 10^-50 * (1 + |epsilon|), and `_SLACK` = 10^-45 times that is
added before the result is rounded up to a float. Two neighbouring rhos differ by 2^-60 and so
their epsilons by more than 8*10^-19, which is above the slack up to epsilon = 10^26: below that
the result is monotone, and bisection on it is exact.

Source: Canonne, Kamath and Steinke 2020 (arXiv 2004.00010), proposition 12, with the zCDP bound
rho*alpha on the Renyi divergence of order alpha.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache

from privacy.errors import BadInput
from privacy.units import UNITS_PER_RHO, Rho

DEFAULT_DELTA = Fraction(1, 10**6)
MAX_EPSILON = Fraction(10**15)  # of one question
MAX_BUDGET = Fraction(10**24)  # of all questions together

_DIGITS = Context(prec=60, rounding=ROUND_HALF_EVEN)
_SLACK = Decimal("1e-45")
_SMALLEST_DELTA = Fraction(1, 10**300)
_NEWTON_STEPS = 200
_NUMBER = re.compile(r"[0-9]{1,25}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?", re.ASCII)


def parse_epsilon(text: str) -> Fraction:
    """Read a question's epsilon as decimal text, exactly.

    Raises BadInput unless 0 < epsilon <= 10^15.
    """
    return _parse(text, MAX_EPSILON)


def parse_budget(text: str) -> Fraction:
    """Read the epsilon of an allowance or a year as decimal text, exactly.

    A budget may hold any number of the dearest questions. Raises BadInput unless it is above 0
    and at most 10^24.
    """
    return _parse(text, MAX_BUDGET)


def _parse(text: str, most: Fraction) -> Fraction:
    if not isinstance(text, str) or not _NUMBER.fullmatch(text):
        raise BadInput("epsilon is not a decimal number", instead="write for example 0.5")
    return _in_range(Fraction(text), most)


def _in_range(epsilon: Fraction, most: Fraction) -> Fraction:
    if not 0 < epsilon <= most:
        limit = f"write a number above 0, at most {float(most):.0e}".replace("e+", "e")
        raise BadInput("epsilon is out of range", instead=limit)
    return epsilon


def epsilon_of_rho(rho: Rho, delta: Fraction) -> float:
    """The epsilon at `delta` of a loss of `rho`, rounded up; 0 for no loss.

    Guarantee: never below the formula's exact value, and below it * (1 + 10^-15) + 10^-44;
    monotone in rho up to epsilon = 10^26. Zero where already (0, delta) holds.
    Raises BadInput unless 10^-300 <= delta <= 1/2.
    """
    _check_delta(delta)
    return _epsilon_of_rho(rho.units, delta)


def rho_of_epsilon(epsilon: Fraction, delta: Fraction) -> Rho:
    """The largest rho, in whole units, whose `epsilon_of_rho` is at most `epsilon`.

    Guarantee: epsilon_of_rho(result) <= epsilon < epsilon_of_rho(result + one unit).
    Raises BadInput unless 0 < epsilon <= 10^24 and 10^-300 <= delta <= 1/2.
    """
    _check_delta(delta)
    if not isinstance(epsilon, Fraction | int):
        raise BadInput("epsilon is out of range", instead="write a number above 0")
    return Rho(_units_of_epsilon(_in_range(Fraction(epsilon), MAX_BUDGET), delta))


def _check_delta(delta: Fraction) -> None:
    if not isinstance(delta, Fraction) or not _SMALLEST_DELTA <= delta <= Fraction(1, 2):
        raise BadInput("delta is out of range", instead="a fraction from 10^-300 to 1/2")


@contextmanager
def _digits() -> Iterator[None]:
    with localcontext(_DIGITS):
        yield


@lru_cache(maxsize=4096)
def _epsilon_of_rho(units: int, delta: Fraction) -> float:
    if units == 0:
        return 0.0
    with _digits():
        value, _ = _minimum(_decimal(Fraction(units, UNITS_PER_RHO)), _log_inverse(delta))
        upper = value + _SLACK * (1 + abs(value))
    return _float_up(upper) if upper > 0 else 0.0


@lru_cache(maxsize=4096)
def _units_of_epsilon(epsilon: Fraction, delta: Fraction) -> int:
    limit = _float_down(epsilon)
    with _digits():
        rho = _solve(Decimal(limit), _log_inverse(delta))
        units = max(0, int(rho * UNITS_PER_RHO))
    while _epsilon_of_rho(units, delta) > limit:
        units -= 1
    while _epsilon_of_rho(units + 1, delta) <= limit:
        units += 1
    return units


def _solve(epsilon: Decimal, log_inverse_delta: Decimal) -> Decimal:
    """The rho whose minimum is `epsilon`, by Newton's method.

    The minimum is concave in rho, so each step lands at or below the solution and, from
    there, climbs. The start is the solution of rho + 2*sqrt(rho*L) = epsilon, which is below.
    """
    unit = Decimal(1) / UNITS_PER_RHO
    root = (log_inverse_delta + epsilon).sqrt() + log_inverse_delta.sqrt()
    rho = max((epsilon / root) ** 2, unit)
    for _ in range(_NEWTON_STEPS):
        value, alpha = _minimum(rho, log_inverse_delta)
        step = (epsilon - value) / alpha
        rho = max(rho + step, unit)
        if abs(step) < unit / 1024 or rho == unit:
            break
    return rho


def _minimum(rho: Decimal, log_inverse_delta: Decimal) -> tuple[Decimal, Decimal]:
    """The formula at (as good as) its minimiser, and that alpha. `rho` > 0."""
    x = Decimal(_rough_minimiser(float(rho), float(log_inverse_delta)))
    for _ in range(2):  # each step doubles the 15 digits that are right
        gap = rho * x * x + (1 + x).ln() - log_inverse_delta
        x -= gap / (2 * rho * x + 1 / (1 + x))
    value = rho * (1 + x) + (log_inverse_delta - (1 + x).ln()) / x - (1 + 1 / x).ln()
    return value, 1 + x


def _rough_minimiser(rho: float, log_inverse_delta: float) -> float:
    """The root of rho*x^2 + ln(1+x) = L by bisection; ln(1+x) lies between 0 and x."""
    high = math.sqrt(log_inverse_delta / rho)
    low = 2 * log_inverse_delta / (1 + math.sqrt(1 + 4 * rho * log_inverse_delta))
    low = min(low, high)
    for _ in range(200):
        middle = math.sqrt(low) * math.sqrt(high)
        if not low < middle < high:
            break
        if rho * middle * middle + math.log1p(middle) < log_inverse_delta:
            low = middle
        else:
            high = middle
    return high


def _log_inverse(delta: Fraction) -> Decimal:
    return -_decimal(delta).ln()


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def _float_up(value: Decimal) -> float:
    nearest = float(value)
    return nearest if Decimal(nearest) >= value else math.nextafter(nearest, math.inf)


def _float_down(value: Fraction) -> float:
    nearest = float(value)
    return nearest if Fraction(nearest) <= value else math.nextafter(nearest, 0.0)
